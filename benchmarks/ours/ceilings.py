"""A large product and a copy in JAX."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import compiled, peak_mb

# Rows that parity looks at, and numbers of a copy.
_ROWS, _NUMBERS = 64, 4096


def product(inputs: Inputs, *, dtype: str, result: str) -> Task:
    """A run's units are TFLOP."""
    matrix = jnp.asarray(inputs["matrix"], dtype)

    def multiply(matrix: jax.Array) -> jax.Array:
        return jnp.matmul(matrix, matrix, preferred_element_type=result)

    program, compile_s = compiled(jax.jit(multiply), matrix)
    return Task(
        run=lambda: program(matrix).block_until_ready(),
        outputs=lambda: {"rows": np.asarray(program(matrix)[:_ROWS], np.float32)},
        units=2 * matrix.shape[0] ** 3 / 1e12,
        compile_s=compile_s,
        device_peak_mb=peak_mb(),
    )


def copy(inputs: Inputs) -> Task:
    """A run's units are GB, read and written. A mere copy XLA would leave out."""
    numbers = jnp.arange(int(inputs["count"]), dtype=jnp.float32)
    program, compile_s = compiled(jax.jit(jnp.negative), numbers)
    return Task(
        run=lambda: program(numbers).block_until_ready(),
        outputs=lambda: {"numbers": np.abs(program(numbers)[:_NUMBERS])},
        units=2 * 4 * numbers.size / 1e9,
        compile_s=compile_s,
        device_peak_mb=peak_mb(),
    )
