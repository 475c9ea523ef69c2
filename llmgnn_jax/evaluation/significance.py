"""Whether one model is better than another, or only luckier with these users.

The unit that is drawn is the user: two models are judged on the same users, so only
differences within a user count. NumPy alone: numbers of users in, p-values out.

Shapes: N users, M models or metrics, R draws.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

PERMUTATIONS = 10_000
BOOTSTRAPS = 2_000
METHOD = "paired permutation of users"
CORRECTION = "Holm"
LEVEL = 0.05
"""Two models are told apart where the corrected p is below it."""

_TAIL_BOOTSTRAPS = 10_000
"""Draws of intervals far above 95 %, whose ends are those of a few of them."""

_DRAWN_AT_ONCE = 2**22
"""Random numbers that are held at a time."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How much better the model `a` is than `b`.

    Attributes:
        a: Name of the one.
        b: Name of the other.
        delta: Mean over users of a's value less b's.
        ci95: Between which two numbers the difference lies, at 95 %, of it alone.
        ci95_simultaneous: Likewise, so that all comparisons that were made together
            lie in theirs at 95 %.
        p: Two-sided, corrected for all comparisons that were made together.
    """

    a: str
    b: str
    delta: float
    ci95: tuple[float, float]
    ci95_simultaneous: tuple[float, float]
    p: float


def compared(
    name: str, values: Mapping[str, np.ndarray], *, seed: int = 0
) -> list[Comparison]:
    """One model against each of the others, on the same users.

    Args:
        name: The one, a key of `values`.
        values: Model -> (N,) its metric for each user, in one order of users.
        seed: Of the draws.

    Raises:
        ValueError: If models were judged on different numbers of users.
    """
    others = [other for other in values if other != name]
    return paired([(name, other) for other in others], values, seed=seed)


def paired(
    pairs: Sequence[tuple[str, str]],
    values: Mapping[str, np.ndarray],
    *,
    seed: int = 0,
) -> list[Comparison]:
    """The one of each pair against the other, corrected for the number of pairs.

    p-values by `holm`; simultaneous intervals by Bonferroni, each of M at 1 - 0.05 / M,
    which no order of p-values narrows: one may hold 0 where p is just below 0.05.

    Args:
        pairs: (a, b), keys of `values`.
        values: Model -> (N,) its metric for each user, in one order of users.
        seed: Of the draws.

    Raises:
        ValueError: If models were judged on different numbers of users.
    """
    if not pairs:
        return []
    sizes = {len(value) for value in values.values()}
    if len(sizes) > 1:
        raise ValueError(f"values: expected as many users for all, got {sizes}")
    differences_NM = np.stack([values[a] - values[b] for a, b in pairs], 1)
    p_M = holm(permutation_test(differences_NM, seed=seed))
    low_M, high_M = mean_intervals(differences_NM, seed=seed)
    lowest_M, highest_M = mean_intervals(
        differences_NM,
        level=1 - LEVEL / len(pairs),
        draws=_TAIL_BOOTSTRAPS,
        seed=seed,
    )
    return [
        Comparison(
            a=a,
            b=b,
            delta=float(differences_NM[:, number].mean()),
            ci95=(float(low_M[number]), float(high_M[number])),
            ci95_simultaneous=(float(lowest_M[number]), float(highest_M[number])),
            p=float(p_M[number]),
        )
        for number, (a, b) in enumerate(pairs)
    ]


def pooled(
    users: Sequence[np.ndarray], values: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Several seeds as one: each user's mean over the seeds that it was judged in.

    Seeds of one data set share their users, so that a user of three seeds is one draw,
    not three.

    Args:
        users: (N,) int of each seed.
        values: Model -> (N,) of each seed, the same models in all.
    """
    all_users, rows = np.unique(np.concatenate(users), return_inverse=True)
    times = np.bincount(rows, minlength=len(all_users))
    return {
        name: np.bincount(rows, np.concatenate([one[name] for one in values])) / times
        for name in values[0]
    }


def permutation_test(
    differences_NM: np.ndarray, *, draws: int = PERMUTATIONS, seed: int = 0
) -> np.ndarray:
    """(M,) two-sided p-values of a mean difference of 0, by random changes of sign.

    Were two models the same, a user's difference would be as likely of either sign. The
    p-value is the share of drawn signs whose mean is as far from 0 as the one that was
    seen, which counts as one of them. Source: Fisher's randomisation test, as compared
    by Smucker, Allan and Carterette, "A comparison of statistical significance tests
    for information retrieval evaluation" (2007).

    Args:
        differences_NM: (N, M), a comparison in each column.
        draws: R; the smallest p-value is 1 / (R + 1).
        seed: Of the draws; all columns have the same.
    """
    differences_NM = np.asarray(differences_NM, np.float64)
    count = len(differences_NM)
    seen_M = np.abs(differences_NM.sum(axis=0))
    # Sums in another order differ in their last digits.
    limit_M = seen_M - 1e-9 * np.abs(differences_NM).sum(axis=0)
    as_far_M = np.ones(differences_NM.shape[1])
    rng = np.random.default_rng(seed)
    for rows in _parts(draws, count):
        signs_RN = rng.integers(0, 2, (rows, count), np.int8).astype(np.float64)
        sums_RM = (2.0 * signs_RN - 1.0) @ differences_NM
        as_far_M += (np.abs(sums_RM) >= limit_M).sum(axis=0)
    return as_far_M / (draws + 1)


def mean_intervals(
    values_NM: np.ndarray,
    *,
    level: float = 1 - LEVEL,
    draws: int = BOOTSTRAPS,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """(M,) and (M,): between which the means over users lie, at 95 % or a given level.

    Percentile bootstrap: users are drawn with replacement, the same in each column.
    Source: Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 13.
    """
    return ratio_intervals(
        values_NM, np.ones(len(values_NM)), level=level, draws=draws, seed=seed
    )


def ratio_intervals(
    sums_NM: np.ndarray,
    counts_N: np.ndarray,
    *,
    level: float = 1 - LEVEL,
    draws: int = BOOTSTRAPS,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """(M,) and (M,): between which sums over users by their counts lie.

    As `mean_intervals`, of means over what users have several of (ratings): whoever is
    drawn comes with all of them.

    Args:
        sums_NM: (N, M) of each user.
        counts_N: (N,) how many each sum is of.
        level: How often the true value is to lie between them.
        draws: R.
        seed: Of the draws.
    """
    sums_NM = np.asarray(sums_NM, np.float64)
    count = len(sums_NM)
    rng = np.random.default_rng(seed)
    ratios = []
    for rows in _parts(draws, count):
        drawn_RN = rng.integers(0, count, (rows, count))
        flat = (drawn_RN + count * np.arange(rows)[:, None]).reshape(-1)
        times_RN = np.bincount(flat, minlength=rows * count).reshape(rows, count)
        ratios.append(times_RN @ sums_NM / (times_RN @ counts_N)[:, None])
    tail = (1 - level) / 2
    low_M, high_M = np.quantile(np.concatenate(ratios), (tail, 1 - tail), axis=0)
    return low_M, high_M


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """p-values corrected for being several, in their order.

    The k-th smallest of M is multiplied by M - k + 1; none is below a smaller one's:
    below a level there is then a false one among them at most that often. Source: Holm,
    "A simple sequentially rejective multiple test procedure" (1979).
    """
    p_M = np.asarray(p_values, np.float64)
    order = np.argsort(p_M, kind="stable")
    factors = len(p_M) - np.arange(len(p_M))
    corrected = np.empty_like(p_M)
    corrected[order] = np.maximum.accumulate(np.minimum(p_M[order] * factors, 1.0))
    return corrected


def _parts(draws: int, count: int) -> Iterator[int]:
    """Rows of draws that are made at a time."""
    most = max(1, _DRAWN_AT_ONCE // max(count, 1))
    for first in range(0, draws, most):
        yield min(most, draws - first)
