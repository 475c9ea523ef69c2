"""The compiled program that runs many training steps of any task."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from llmgnn_jax.parallel.strategy import Strategy
from llmgnn_jax.training.rowwise import squares_of_rows
from llmgnn_jax.training.state import NODE_TABLE, TrainState


class StepMetrics(NamedTuple):
    """What a step reports: (K,) arrays for K steps of one call.

    Attributes:
        loss: Of the batch.
        gradient_norm: Of all parameters together.
        missed: Requests between devices that had no place and were left out.
    """

    loss: jax.Array
    gradient_norm: jax.Array
    missed: jax.Array


Program = Callable[[TrainState, Any, jax.Array], tuple[TrainState, StepMetrics]]

# loss(params, data, key=root key, step=() int32) -> () float32, and () int32, requests
# that had no place; with several parts also part=() int32, of which part of the batch.
Loss = Callable[..., tuple[jax.Array, jax.Array]]


def compile_steps(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    capacity: int,
    parts: int = 1,
    bind: Callable[[Any, TrainState], Any] | None = None,
    strategy: Strategy | None = None,
    state: TrainState | None = None,
) -> Program:
    """Compiles, at its first call, a program that runs up to `capacity` steps.

    `program(state, data, count)` takes `count` steps, a () int32 that is traced: a
    shorter last call, a resumed run and a full call share one compilation and one step
    body, and so give the same bits. The state is donated.

    Args:
        loss: `loss(params, data, key=, step=)` of a step; every draw follows from the
            root key and the step.
        optimizer: What its gradients go through.
        capacity: Most steps of one call.
        parts: Of a batch, whose losses and gradients are averaged.
        bind: (data, state) -> what the loss is given as data; by default the data.
        strategy: How it is laid over devices; by default there is one.
        state: Of the shapes and places that the program is called with; for a strategy.

    Returns:
        The program: (state, data, count) -> (state, metrics with (capacity,) arrays, of
        which the first `count` are filled in).
    """

    def averaged(values: Any) -> Any:
        return values if strategy is None else strategy.placement.mean(values)

    def of_batch(state: TrainState, data: Any) -> tuple[jax.Array, jax.Array, Any]:
        """Loss, what was missed, and gradients."""
        key = jax.random.wrap_key_data(state.key_data)
        data = data if bind is None else bind(data, state)
        both = jax.value_and_grad(loss, has_aux=True)

        def of_part(**options: jax.Array) -> tuple[jax.Array, jax.Array, Any]:
            (value, missed), gradients = both(
                state.params, data, key=key, step=state.step, **options
            )
            return value, missed.astype(jnp.float32), gradients

        if parts == 1:
            return of_part()

        def add(total: Any, part: jax.Array) -> tuple[Any, None]:
            new = of_part(part=part)
            return jax.tree.map(
                lambda one, other: one + other / parts, total, new
            ), None

        none = jnp.zeros(())
        zeros = jax.tree.map(jnp.zeros_like, (none, none, state.params))
        return jax.lax.scan(add, zeros, jnp.arange(parts, dtype=jnp.int32))[0]

    def one_step(state: TrainState, data: Any) -> tuple[TrainState, StepMetrics]:
        with contextlib.nullcontext() if strategy is None else strategy.traced():
            return advanced(state, data)

    def advanced(state: TrainState, data: Any) -> tuple[TrainState, StepMetrics]:
        value, missed, gradients = averaged(of_batch(state, data))
        missed = missed * parts  # A number, not a mean.
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        state = dataclasses.replace(
            state,
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
            step=state.step + 1,
        )
        return state, StepMetrics(value, _norm(gradients), missed)

    def run_steps(
        state: TrainState, data: Any, count: jax.Array
    ) -> tuple[TrainState, StepMetrics]:
        def body(
            number: jax.Array, carry: tuple[TrainState, StepMetrics]
        ) -> tuple[TrainState, StepMetrics]:
            state, metrics = carry
            state, new = one_step(state, data)
            metrics = jax.tree.map(
                lambda values, one: values.at[number].set(one), metrics, new
            )
            return state, metrics

        empty = StepMetrics(*[jnp.zeros(capacity) for _ in StepMetrics._fields])
        return jax.lax.fori_loop(0, count, body, (state, empty))

    if strategy is None:
        return jax.jit(run_steps, donate_argnums=0)
    return strategy.compile(run_steps, state)


def _norm(gradients: Any) -> jax.Array:
    # Products: XLA writes an array of squares out on a CPU before it adds it up. Over
    # all axes: what is cut by column would be brought together to be made flat.
    def squared(path: tuple, leaf: jax.Array) -> jax.Array:
        if path[0].key == NODE_TABLE:
            # Row by row: a row-wise optimizer asks for these sums too, so that the
            # table is read once for both, unless XLA adds them up in a pass of its own.
            return jnp.sum(jax.lax.optimization_barrier(squares_of_rows(leaf)))
        return jnp.tensordot(leaf, leaf, axes=leaf.ndim, precision="highest")

    squares = jax.tree_util.tree_map_with_path(squared, gradients)
    return jnp.sqrt(sum(jax.tree.leaves(squares)))
