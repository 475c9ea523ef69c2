"""The training steps of a run as a task: `llmgnn_jax.training.step.build_program`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import Task
from benchmarks.ours.device import compiled, peak_mb
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.state import TrainData
from llmgnn_jax.training.step import batch_loss, build_program
from llmgnn_jax.training.trained import Setup

# A call of the program runs this many steps, as in training.
STEPS_PER_CALL = 10


def task_of_steps(
    prepared: Prepared,
    model: Setup,
    data: TrainData,
    *,
    params: Any,
    outputs_of: Callable[[Any, np.ndarray], dict[str, np.ndarray]],
) -> Task:
    """A run is one call of the program, from where the last one ended.

    Args:
        prepared: The run's data.
        model: As it is before the first step.
        data: What its steps read.
        params: What training starts from, in place of the model's own.
        outputs_of: Gradients of the first step and the losses of the first call ->
            outputs.
    """
    config = prepared.config
    start = dataclasses.replace(model.snapshot.state, params=params)

    def fresh_state() -> Any:
        return jax.tree.map(jnp.copy, start)

    encoder = None if model.text is None else model.text.spec
    program = build_program(model.definition, model.optimizer, config, encoder=encoder)
    count = jnp.int32(STEPS_PER_CALL)
    program, compile_s = compiled(program, fresh_state(), data, count)

    def outputs() -> dict[str, np.ndarray]:
        key = jax.random.wrap_key_data(start.key_data)

        @jax.jit
        def gradients(params: Any, data: TrainData) -> Any:
            gradients, _ = jax.grad(batch_loss, has_aux=True)(
                params,
                model.definition,
                data,
                key=key,
                step=jnp.int32(0),
                config=config,
                encoder=encoder,
            )
            return gradients

        _, metrics = program(fresh_state(), data, count)
        return outputs_of(gradients(params, data), np.asarray(metrics.loss))

    state = fresh_state()

    def run() -> None:
        nonlocal state
        state, metrics = program(state, data, count)
        metrics.loss.block_until_ready()

    return Task(
        run=run,
        outputs=outputs,
        units=STEPS_PER_CALL,
        compile_s=compile_s,
        notes={"backend": prepared.backend, "steps_per_call": STEPS_PER_CALL},
        device_peak_mb=peak_mb(),
    )


def with_table(start: Any, table: np.ndarray) -> jax.Array:
    """The node vectors of a model with a table's: spare slots and the padding node,
    which are no part of the peers' table, are 0."""
    assert start.shape[0] >= table.shape[0]
    return jnp.zeros_like(start).at[: table.shape[0]].set(jnp.asarray(table))
