"""`jnp.take`: rows read at random and written out."""

import jax
import jax.numpy as jnp

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import compiled, peak_mb

_BAG = 256


def setup(inputs: Inputs) -> Task:
    """A run's units are GB, read and written."""
    table, rows = jnp.asarray(inputs["nodes"]), jnp.asarray(inputs["probe"])
    program, compile_s = compiled(
        jax.jit(lambda table, rows: jnp.take(table, rows, axis=0, mode="clip")),
        table,
        rows,
    )

    def outputs() -> dict:
        taken = program(table, rows)
        return {"sums": taken.reshape(-1, _BAG, table.shape[1]).sum(axis=1)}

    return Task(
        run=lambda: program(table, rows).block_until_ready(),
        outputs=outputs,
        units=2 * rows.size * table.shape[1] * 4 / 1e9,
        compile_s=compile_s,
        device_peak_mb=peak_mb(),
    )
