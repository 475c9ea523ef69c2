"""Sums of rows of a table that are named by number, without a copy of the rows.

Shapes: N rows of the table, W sums, K rows in each, D width.

XLA's gather on a CPU works element by element; a CSR product, and more so a kernel of
our own, reads whole rows and adds them up in place, which makes the first layer of a
sampled step several times faster.
"""

import functools

import jax
import jax.numpy as jnp
from jax.experimental import sparse

from llmgnn_jax.graph.aggregate import Backend, native


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def gathered_sums(
    table_ND: jax.Array,
    ids_WK: jax.Array,
    weights_WK: jax.Array,
    mask_WK: jax.Array,
    backend: Backend = "csr",
) -> jax.Array:
    """out[w] = sum over k with mask[w, k] of weights[w, k] table[ids[w, k]].

    Args:
        table_ND: (N, D) of any float type; a row that is not finite spreads to those
            sums alone that it is a part of.
        ids_WK: (W, K) int32 in [0, N), any of these in masked slots.
        weights_WK: (W, K) float32, may be traced; any in masked slots.
        mask_WK: (W, K) bool, False in slots that take part in nothing.
        backend: `native`, of a table in float32 or bfloat16, and `csr`, of one in
            float32 on a CPU, read the rows where they lie; the others gather them.

    Returns:
        (W, D) float32, 0 where all slots are masked. Differentiable in the table and in
        the weights, by `native` once; the gradient of the table is a scatter, by
        `native` a sort and sums, which is left out where nobody asks for it.
    """
    if _by_native(table_ND, ids_WK, backend):
        return native.gathered_sums(table_ND, ids_WK, weights_WK, mask_WK)
    if backend != "csr" or table_ND.dtype != jnp.float32:
        # The CSR kernel knows float32 alone.
        return _by_gather(table_ND, ids_WK, weights_WK, mask_WK)
    return jax.lax.platform_dependent(
        table_ND, ids_WK, weights_WK, mask_WK, cpu=_by_csr, default=_by_gather
    )


def gathered_rows(
    table_ND: jax.Array, ids_W: jax.Array, mask_W: jax.Array, *, backend: Backend
) -> jax.Array:
    """(W, D) rows in the type of the table, 0 where the mask is False."""
    weights_W1 = jnp.ones((*mask_W.shape, 1), jnp.float32)
    rows = gathered_sums(table_ND, ids_W[:, None], weights_W1, mask_W[:, None], backend)
    return rows.astype(table_ND.dtype)


def _by_native(table_ND: jax.Array, ids_WK: jax.Array, backend: Backend) -> bool:
    read_in_place = table_ND.dtype in (jnp.float32, jnp.bfloat16)
    return backend == "native" and read_in_place and ids_WK.size > 0


def _by_csr(
    table_ND: jax.Array, ids_WK: jax.Array, weights_WK: jax.Array, mask_WK: jax.Array
) -> jax.Array:
    sums, size = ids_WK.shape
    # The kernel reads masked slots too, and 0 times what is not finite is not 0: they
    # read a row that is a part of the sum anyhow. Sums without one are cleared.
    some_W1 = jnp.max(jnp.where(mask_WK, ids_WK, -1), axis=1, initial=-1, keepdims=True)
    ids_WK = jnp.where(mask_WK, ids_WK, jnp.maximum(some_W1, 0))
    weights_WK = jnp.where(mask_WK, weights_WK, 0)
    indptr = jnp.arange(sums + 1, dtype=jnp.int32) * size
    matrix = sparse.BCSR(
        (weights_WK.reshape(-1), ids_WK.reshape(-1), indptr),
        shape=(sums, table_ND.shape[0]),
    )
    return jnp.where(some_W1 >= 0, matrix @ table_ND, 0)


def _by_gather(
    table_ND: jax.Array, ids_WK: jax.Array, weights_WK: jax.Array, mask_WK: jax.Array
) -> jax.Array:
    rows_WKD = table_ND.at[ids_WK].get(mode="promise_in_bounds")
    products_WKD = rows_WKD.astype(jnp.float32) * weights_WK[:, :, None]
    return jnp.sum(jnp.where(mask_WK[:, :, None], products_WKD, 0), axis=1)


def _forward(
    table_ND: jax.Array,
    ids_WK: jax.Array,
    weights_WK: jax.Array,
    mask_WK: jax.Array,
    backend: Backend,
) -> tuple[jax.Array, tuple]:
    given = (table_ND, ids_WK, weights_WK, mask_WK)
    return gathered_sums(*given, backend), given


def _backward(backend: Backend, residuals: tuple, gradient_WD: jax.Array) -> tuple:
    table_ND, ids_WK, weights_WK, mask_WK = residuals
    if _by_native(table_ND, ids_WK, backend):
        sums, size = ids_WK.shape
        table_gradient = native.scattered_sums(
            ids_WK.reshape(-1),
            jnp.arange(sums * size, dtype=jnp.int32) // size,
            jnp.where(mask_WK, weights_WK, 0).reshape(-1),
            gradient_WD.astype(jnp.float32),
            num_rows=table_ND.shape[0],
        )
    else:
        spread_WKD = weights_WK[:, :, None] * gradient_WD[:, None, :]
        spread_WKD = jnp.where(mask_WK[:, :, None], spread_WKD, 0)
        zeros_ND = jnp.zeros(table_ND.shape, jnp.float32)
        table_gradient = zeros_ND.at[ids_WK].add(spread_WKD)
    rows_WKD = table_ND.at[ids_WK].get(mode="promise_in_bounds")
    weights_gradient = jnp.sum(
        rows_WKD.astype(jnp.float32) * gradient_WD[:, None, :], axis=-1
    )
    weights_gradient = jnp.where(mask_WK, weights_gradient, 0)
    return table_gradient.astype(table_ND.dtype), None, weights_gradient, None


gathered_sums.defvjp(_forward, _backward)
