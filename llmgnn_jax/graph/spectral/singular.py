"""The largest singular values of a matrix of pairs, and their vectors.

Shapes: U users, I items, K singular values, W = K + oversampling.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.spectral.pairs import PairPlan


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
        rank: K, at most min(U, I).
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
    # Of the small matrix R V, whose left vectors are R's own.
    left_UW, values_W, right_WW = jnp.linalg.svd(
        plan.to_users(basis_IW), full_matrices=False
    )
    items_IW = jnp.matmul(basis_IW, right_WW.T, precision=jax.lax.Precision.HIGHEST)
    return SingularVectors(left_UW[:, :rank], values_W[:rank], items_IW[:, :rank])


def _orthonormal(columns: jax.Array) -> jax.Array:
    return jnp.linalg.qr(columns)[0]
