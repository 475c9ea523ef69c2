"""Friendships in three parts: both directions of each are held out together."""

import numpy as np

from llmgnn_jax.data.by_user import Ratios
from llmgnn_jax.data.dataset import Dataset


def parts_of_friendships(
    dataset: Dataset, *, seed: int, ratios: Ratios
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All friendships in three parts at random, both directions of each in one of them.

    The draw knows external ids alone. `int(ratio * n)` of n friendships go to valid and
    to test.

    Args:
        dataset: Whose `people` are "friends".
        seed: Of the draw.
        ratios: Of train, valid and test; they sum to 1.

    Returns:
        The rows of train, valid and test.
    """
    order = dataset.canonical_order
    size = dataset.num_users
    users = dataset.users[order].astype(np.int64)
    items = dataset.items[order].astype(np.int64)
    codes = np.minimum(users, items) * size + np.maximum(users, items)
    # Friendships in the order in which the canonical one first names them.
    _, first, places = np.unique(codes, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    drawn = np.random.default_rng(seed).permutation(len(first))
    sizes = [int(share * len(first)) for share in ratios[1:]]
    part = np.zeros(len(first), np.int64)
    part[drawn[: sizes[0]]] = 1
    part[drawn[sizes[0] : sum(sizes)]] = 2
    of_row = part[rank[places]]
    train, valid, test = (order[of_row == number] for number in range(3))
    return train, valid, test
