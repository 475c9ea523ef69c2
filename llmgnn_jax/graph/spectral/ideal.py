"""The ideal low-pass filter of who interacted with what, as vectors.

Its scores are inner products, so that they are added to any model's at the price of a
wider vector, for a catalogue of any size: nothing is as large as users by items, or
items by items.

Shapes: U users, I items, K singular vectors.
"""

import jax
import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.item_item import FilterVectors
from llmgnn_jax.graph.spectral.pairs import plan_pairs
from llmgnn_jax.graph.spectral.singular import singular_vectors


def ideal_low_pass(
    pairs: Csr, num_items: int, *, rank: int, seed: int = 0, backend: Backend = "csr"
) -> FilterVectors:
    """x d_I^-1/2 V V^T d_I^1/2 of users with rows x, see `graph.spectral.filters`.

    Args:
        pairs: (U x I) who interacted with what.
        num_items: I.
        rank: K, at most I. Beyond min(U, I) there are no more, and columns are 0.
        seed: Of the random start of the singular vectors.
        backend: Kernel of the sums over neighbours.
    """
    rank = min(rank, num_items)
    plan = plan_pairs(pairs, num_items, backend=backend)
    found = singular_vectors(
        plan,
        rank=min(rank, pairs.num_rows),
        key=jax.random.key(seed),
    )
    # x d_I^-1/2 is d_U^1/2 times the user's row of R.
    roots_U1 = np.sqrt(pairs.counts())[:, None]
    degrees_I = np.maximum(np.bincount(pairs.indices, minlength=num_items), 1)
    roots_I1 = np.sqrt(degrees_I)[:, None]

    def laid(rows_NK: jax.Array | np.ndarray) -> np.ndarray:
        rows_NK = np.asarray(rows_NK, np.float32)
        return np.pad(rows_NK, ((0, 0), (0, rank - rows_NK.shape[1])))

    return FilterVectors(
        read_IK=laid(found.items_IK / roots_I1),
        item_IK=laid(found.items_IK * roots_I1),
        user_UK=laid(plan.to_users(found.items_IK) * roots_U1),
    )
