"""Sums of rows of a table that are named by number, without a copy of the rows.

Shapes: N rows of the table, W sums, K rows in each, D width.

XLA's gather on a CPU works element by element; its CSR product reads whole rows and
adds them up in place, which makes the first layer of a sampled step several times
faster.
"""

import jax
import jax.numpy as jnp
from jax.experimental import sparse


@jax.custom_vjp
def gathered_sums(
    table_ND: jax.Array, ids_WK: jax.Array, weights_WK: jax.Array
) -> jax.Array:
    """out[w] = sum over k of weights[w, k] table[ids[w, k]].

    Args:
        table_ND: (N, D) of any float type.
        ids_WK: (W, K) int32 in [0, N).
        weights_WK: (W, K) float32, may be traced.

    Returns:
        (W, D) float32. Differentiable in the table and in the weights; the gradient of
        the table is a scatter, which is left out where nobody asks for it.
    """
    if table_ND.dtype != jnp.float32:
        # The CSR kernel knows float32 alone.
        return _by_gather(table_ND, ids_WK, weights_WK)
    return jax.lax.platform_dependent(
        table_ND, ids_WK, weights_WK, cpu=_by_csr, default=_by_gather
    )


def gathered_rows(
    table_ND: jax.Array, ids_W: jax.Array, mask_W: jax.Array
) -> jax.Array:
    """(W, D) rows in the type of the table, 0 where the mask is False."""
    weights_W1 = mask_W.astype(jnp.float32)[:, None]
    return gathered_sums(table_ND, ids_W[:, None], weights_W1).astype(table_ND.dtype)


def _by_csr(table_ND: jax.Array, ids_WK: jax.Array, weights_WK: jax.Array) -> jax.Array:
    sums, size = ids_WK.shape
    indptr = jnp.arange(sums + 1, dtype=jnp.int32) * size
    matrix = sparse.BCSR(
        (weights_WK.reshape(-1), ids_WK.reshape(-1), indptr),
        shape=(sums, table_ND.shape[0]),
    )
    return matrix @ table_ND


def _by_gather(
    table_ND: jax.Array, ids_WK: jax.Array, weights_WK: jax.Array
) -> jax.Array:
    rows_WKD = table_ND.at[ids_WK].get(mode="promise_in_bounds")
    return jnp.sum(rows_WKD.astype(jnp.float32) * weights_WK[:, :, None], axis=1)


def _forward(
    table_ND: jax.Array, ids_WK: jax.Array, weights_WK: jax.Array
) -> tuple[jax.Array, tuple]:
    return gathered_sums(table_ND, ids_WK, weights_WK), (table_ND, ids_WK, weights_WK)


def _backward(residuals: tuple, gradient_WD: jax.Array) -> tuple:
    table_ND, ids_WK, weights_WK = residuals
    spread_WKD = weights_WK[:, :, None] * gradient_WD[:, None, :]
    table_gradient = jnp.zeros(table_ND.shape, jnp.float32).at[ids_WK].add(spread_WKD)
    rows_WKD = table_ND.at[ids_WK].get(mode="promise_in_bounds")
    weights_gradient = jnp.sum(
        rows_WKD.astype(jnp.float32) * gradient_WD[:, None, :], axis=-1
    )
    return table_gradient.astype(table_ND.dtype), None, weights_gradient


gathered_sums.defvjp(_forward, _backward)
