"""The largest singular values of a matrix of pairs, and their vectors.

Shapes: U users, I items, K singular values, W = K + oversampling.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.spectral.pairs import PairPlan

_LEAST_VALUE = 1e-4
"""Of the largest singular value: below it is the rounding of float32."""

_LEAST_PIVOT = 1e-2
"""Of the largest one: below it float32 has too few digits for the square of columns."""


class SingularVectors(NamedTuple):
    """R = users diag(values) items^T, nearly.

    Attributes:
        users_UK: (U, K) float32, orthonormal columns.
        values_K: (K,) float32, descending.
        items_IK: (I, K) float32, orthonormal columns.
    """

    users_UK: jax.Array
    values_K: jax.Array
    items_IK: jax.Array


@functools.partial(jax.jit, static_argnames=("rank", "iterations", "oversampling"))
def singular_vectors(
    plan: PairPlan,
    *,
    rank: int,
    key: jax.Array,
    iterations: int = 6,
    oversampling: int = 32,
) -> SingularVectors:
    """The `rank` largest, by subspace iteration from a random start.

    Halko, Martinsson and Tropp 2011, https://arxiv.org/abs/0909.4061, algorithms 4.4
    and 5.1. The vectors are unique up to sign where the values differ.

    Args:
        plan: R.
        rank: K, at most min(U, I). Beyond the rank of R vectors are 0.
        key: Of the random start.
        iterations: Products with R^T R. The spectra of interactions fall slowly: the
            more, the closer the last of the vectors.
        oversampling: Columns beyond K that are iterated too.
    """
    num_users = plan.by_user.incoming.num_nodes
    num_items = plan.by_item.incoming.num_nodes
    if not 0 < rank <= min(num_users, num_items):
        raise ValueError(f"rank: expected 1 to {min(num_users, num_items)}, got {rank}")
    width = min(rank + oversampling, num_users, num_items)
    basis_IW = _orthonormal(jax.random.normal(key, (num_items, width)))
    for _ in range(iterations):
        # Orthonormal on either side: float32 would lose the small ones to the first.
        basis_UW = _orthonormal(plan.to_users(basis_IW))
        basis_IW = _orthonormal(plan.to_items(basis_UW))
    # Of the narrow matrix R V, whose left vectors are R's own, by that of a square one.
    image_UW = plan.to_users(basis_IW)
    basis_UW = _orthonormal(image_UW)
    left_WW, values_W, right_WW = jnp.linalg.svd(_product(basis_UW.T, image_UW))
    # What completes a basis beyond the rank of R is no direction of it.
    there_K = values_W[:rank] > _LEAST_VALUE * values_W[0]
    return SingularVectors(
        jnp.where(there_K[None, :], _product(basis_UW, left_WW[:, :rank]), 0.0),
        values_W[:rank],
        jnp.where(there_K[None, :], _product(basis_IW, right_WW[:rank].T), 0.0),
    )


def _orthonormal(columns_NW: jax.Array) -> jax.Array:
    """(N, W) an orthonormal basis of what the columns span.

    By Cholesky's factors of W x W products, twice, which is products of matrices and
    many times as fast as Householder's reflections (Yamamoto et al. 2015, "Roundoff
    error analysis of the CholeskyQR2 algorithm"). It takes columns that are far from
    dependent, as those of an iteration are where the singular values fall slowly;
    others go through the reflections.
    """
    once_NW, lower_WW = _whitened(columns_NW)
    twice_NW, _ = _whitened(once_NW)
    pivots_W = jnp.diagonal(lower_WW)
    # NaN, where a pivot is not positive, is not above anything either.
    apart = jnp.min(pivots_W) > _LEAST_PIVOT * jnp.max(pivots_W)
    return jax.lax.cond(
        apart, lambda: twice_NW, lambda: jnp.linalg.qr(columns_NW, mode="reduced")[0]
    )


def _whitened(columns_NW: jax.Array) -> tuple[jax.Array, jax.Array]:
    """C L^-T with L L^T = C^T C, and L."""
    lower_WW = jnp.linalg.cholesky(_product(columns_NW.T, columns_NW))
    white_NW = jax.lax.linalg.triangular_solve(
        lower_WW, columns_NW, left_side=False, lower=True, transpose_a=True
    )
    return white_NW, lower_WW


def _product(left: jax.Array, right: jax.Array) -> jax.Array:
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)
