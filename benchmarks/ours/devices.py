"""The training step of LightGCN on as many devices as this process has."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import check_backend, compiled, peak_mb
from benchmarks.ours.steps import STEPS_PER_CALL
from llmgnn_jax import recipes
from llmgnn_jax.config import Config, replace
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.ranking import trainee_of
from llmgnn_jax.training.trained import set_up

# Adam's, optax's default: its first moment after a step is the gradient times the rest.
_B1 = 0.9


def setup(
    inputs: Inputs, *, source: str, backend: str, exchange: str, groups: int
) -> Task:
    """The recipe `gowalla-lightgcn` as `llmgnn train` lays it over the devices.

    Args:
        inputs: For the reader alone; the run reads its source.
        source: As `data.source`.
        backend: Of the sums within a device.
        exchange: How node vectors reach other devices; one device has none.
        groups: Nodes are dealt into so many, whatever the devices are: their numbers,
            and so all draws, are then the same for every number of devices.
    """
    check_backend(backend)
    prepared = prepare(_config(source, backend, exchange, groups))
    model = set_up("graph", prepared)
    trainee = trainee_of("graph", prepared, model)
    start, count = model.snapshot.state, jnp.int32(STEPS_PER_CALL)

    def fresh_state():
        return jax.tree.map(jnp.copy, start)

    program, compile_s = compiled(trainee.program, fresh_state(), trainee.data, count)

    def outputs() -> dict[str, np.ndarray]:
        first, _ = program(fresh_state(), trainee.data, jnp.int32(1))
        (moment,) = jax.tree.leaves(optax.tree_utils.tree_get(first.opt_state, "mu"))
        _, metrics = program(fresh_state(), trainee.data, count)
        return {
            "gradient": np.asarray(moment) / (1 - _B1),
            "losses": np.asarray(metrics.loss),
        }

    state = fresh_state()

    def run() -> None:
        nonlocal state
        state, metrics = program(state, trainee.data, count)
        metrics.loss.block_until_ready()

    return Task(
        run=run,
        outputs=outputs,
        units=STEPS_PER_CALL,
        compile_s=compile_s,
        notes={"devices": prepared.strategy.devices, "exchange": exchange},
        device_peak_mb=peak_mb(),
    )


def _config(source: str, backend: str, exchange: str, groups: int) -> Config:
    return replace(
        recipes.recipe("gowalla-lightgcn"),
        **{
            "data.source": source,
            "graph.backend": backend,
            "graph.spare_users": 0,
            "graph.spare_items": 0,
            "graph.spare_edges": 0,
            "train.steps_per_call": STEPS_PER_CALL,
            "parallel.exchange": exchange,
            "parallel.groups": groups,
        },
    )
