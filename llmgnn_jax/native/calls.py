"""Calls of C++ kernels from traced code."""

from collections.abc import Mapping
from typing import Any

import jax

from llmgnn_jax.errors import UserError


def call_kernel(
    name: str,
    results: Any,
    *arguments: jax.Array,
    in_place: Mapping[int, int] | None = None,
    **attributes: Any,
) -> Any:
    """Calls a kernel that `Library` made known to XLA.

    What has gradients gives it a rule of its own (`jax.custom_vjp`) around this, which
    serves `jax.grad` once; the rule's own kernels have none.

    Args:
        name: XLA's name of it.
        results: `jax.ShapeDtypeStruct`, or a tuple of them.
        arguments: Arrays.
        in_place: Number of an argument -> number of the result that takes its memory.
        attributes: NumPy scalars, bools.

    Returns:
        Arrays as `results` says.

    Raises:
        UserError: If it is differentiated, as second derivatives do.
    """

    @jax.custom_jvp
    def kernel(*arguments: jax.Array) -> Any:
        call = jax.ffi.ffi_call(
            name,
            results,
            vmap_method="sequential",
            input_output_aliases=None if in_place is None else dict(in_place),
        )
        return call(*arguments, **attributes)

    @kernel.defjvp
    def refuse(primals: Any, tangents: Any) -> Any:
        raise UserError.field(
            name,
            expected="first derivatives in reverse mode (jax.grad)",
            got="another derivative of a C++ kernel",
            fix="set LLMGNN_NATIVE=0 to compute by the plain formulas",
        )

    return kernel(*arguments)
