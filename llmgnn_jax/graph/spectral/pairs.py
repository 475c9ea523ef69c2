"""The normalised matrix of users and items, as two sums over neighbours.

Shapes: U users, I items, D width of what is multiplied.
"""

import functools
from dataclasses import dataclass

import jax
import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.graph.aggregate import Backend, weighted_sum
from llmgnn_jax.graph.plan import EdgePlan, plan_edges


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["by_user", "by_item"],
    meta_fields=["backend"],
)
@dataclass(frozen=True, kw_only=True)
class PairPlan:
    """R = diag(u^-1/2) X diag(i^-1/2), X 0/1 with counts u of users, i of items.

    Attributes:
        by_user: Edges from items to users: the matrix.
        by_item: Edges from users to items: its transpose.
        backend: Kernel of the sums.
    """

    by_user: EdgePlan
    by_item: EdgePlan
    backend: Backend

    def to_users(self, items_ID: jax.Array) -> jax.Array:
        """R times (I, D): (U, D)."""
        return weighted_sum(items_ID, None, self.by_user, backend=self.backend)

    def to_items(self, users_UD: jax.Array) -> jax.Array:
        """R^T times (U, D): (I, D)."""
        return weighted_sum(users_UD, None, self.by_item, backend=self.backend)


def plan_pairs(pairs: Csr, num_items: int, *, backend: Backend = "csr") -> PairPlan:
    """Plans the products with R; a user or an item without pairs is a row of 0.

    Args:
        pairs: (U x I) who interacted with what.
        num_items: I.
        backend: Kernel of the sums.
    """
    users, items = pairs.pairs()
    degrees_U = np.maximum(pairs.counts(), 1)
    degrees_I = np.maximum(np.bincount(items, minlength=num_items), 1)
    weights = degrees_U[users] ** -0.5 * degrees_I[items] ** -0.5
    order = np.argsort(items, kind="stable")
    bucketed = backend == "bucketed"
    return PairPlan(
        by_user=plan_edges(
            items,
            users,
            pairs.num_rows,
            num_senders=num_items,
            weights=weights.astype(np.float32),
            buckets=bucketed,
        ),
        by_item=plan_edges(
            users[order],
            items[order],
            num_items,
            num_senders=pairs.num_rows,
            weights=weights[order].astype(np.float32),
            buckets=bucketed,
        ),
        backend=backend,
    )
