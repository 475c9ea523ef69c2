"""Row-wise Adagrad: what a table's optimizer keeps is one number a row.

Shapes: N rows of a table, D their width.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from llmgnn_jax.native.calls import call_kernel
from llmgnn_jax.text import kernels
from llmgnn_jax.training.native import library

EPS = 1e-8
"""As in FBGEMM."""


class RowwiseAdagradState(NamedTuple):
    """What is kept of the gradients.

    Attributes:
        squares: For each table (N, D) an (N,) float32, the sum over the steps of the
            mean square of the row's gradient.
    """

    squares: Any


def scale_by_rowwise_adagrad() -> optax.GradientTransformation:
    """A row's gradient g_i over sqrt(G_i) + eps, with G_i += mean over d of g_id^2.

    "Exact row-wise Adagrad" of FBGEMM and DLRM (Duchi et al. 2011, "Adaptive
    Subgradient Methods", with one step size a row). It is lazy: a row whose gradient is
    0 stays as it is, to the last bit, and so does its sum.

    As XLA compiles a step of sampled neighbours it passes over an array of the table's
    size 5 times: the gradient is written, read for the sums (and its norm), read again
    with the table, and the table is written. Adam's step takes 8 on a TPU, and 14 on a
    CPU, where moments, table and norm are loops of their own.
    """

    def init(tables: Any) -> RowwiseAdagradState:
        return RowwiseAdagradState(
            jax.tree.map(lambda table: jnp.zeros(len(table), jnp.float32), tables)
        )

    def update(
        gradients: Any, state: RowwiseAdagradState, params: Any = None
    ) -> tuple[Any, RowwiseAdagradState]:
        del params
        squares = jax.tree.map(
            lambda sum_N, gradient_ND: (
                sum_N + squares_of_rows(gradient_ND) / gradient_ND.shape[1]
            ),
            *(state.squares, gradients),
        )
        scaled = jax.tree.map(
            lambda sum_N, gradient_ND: gradient_ND / (jnp.sqrt(sum_N) + EPS)[:, None],
            *(squares, gradients),
        )
        return scaled, RowwiseAdagradState(squares)

    return optax.GradientTransformation(init, update)


def squares_of_rows(table_ND: jax.Array) -> jax.Array:
    """(N,), the squared norm of each row.

    On a CPU by a kernel of ours: XLA writes an array of squares before it adds it up.
    """
    if table_ND.dtype == jnp.float32 and kernels.usable() and library.available():
        rows = jax.ShapeDtypeStruct(table_ND.shape[:1], jnp.float32)
        return call_kernel("llmgnn_row_squares", rows, table_ND)
    return jnp.einsum("nd,nd->n", table_ND, table_ND, precision="highest")
