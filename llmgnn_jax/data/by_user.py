"""Cuts each user's interactions into parts of given sizes."""

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.ordering import lexsorted

Ratios = tuple[float, float, float]
"""Of train, valid and test."""


def random_parts(
    dataset: Dataset, rows: np.ndarray, *, seed: int, ratios: Ratios
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Some rows in three parts, at random within each user, with RecBole's rounding.

    For a user with n interactions valid and test get `int(ratio * n)`; then the last
    parts get one each where that is 0 and train can spare it (RecBole's `RS` split
    grouped by user, `recbole.data.dataset.Dataset._calcu_split_ids`).

    Args:
        dataset: Whose rows.
        rows: (n,) of them, in the canonical order.
        seed: Of the draw: one an interaction.
        ratios: They sum to 1.

    Returns:
        The rows of train, valid and test.
    """
    draws = np.random.default_rng(seed).random(len(rows))
    rows = rows[lexsorted((draws, dataset.users[rows]))]
    totals = np.bincount(dataset.users[rows], minlength=dataset.num_users)
    return parts_by_user(dataset, rows, recbole_counts(totals, ratios))


def parts_by_user(
    dataset: Dataset, rows: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows ordered by user, as each user's first, middle and last of (3, U) counts."""
    users = dataset.users[rows]
    places = _places(users, counts.sum(axis=0))
    ends = np.cumsum(counts, axis=0)
    in_train = places < ends[0, users]
    in_test = places >= ends[1, users]
    return rows[in_train], rows[~in_train & ~in_test], rows[in_test]


def recbole_counts(totals: np.ndarray, ratios: Ratios) -> np.ndarray:
    """(3, U) int64: how many of each user's interactions go to train, valid, test."""
    counts = np.stack([(ratio * totals).astype(np.int64) for ratio in ratios])
    counts[0] = totals - counts[1:].sum(axis=0)
    for i in range(1, len(ratios)):
        share = ratios[-i] * totals
        # Once train is down to 1 it stays there: RecBole's `break`, for all users.
        more = (counts[0] > 1) & (share > 0) & (share < 1)
        counts[-i] += more
        counts[0] -= more
    return counts


def _places(users: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """(n,) int64: the place of each of n rows, ordered by user, among its user's."""
    return np.arange(len(users)) - (np.cumsum(totals) - totals)[users]
