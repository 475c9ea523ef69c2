"""Rules to hold out interactions; each gives a `Split`.

Those that hide items or users altogether are in `cold_split`.

A split depends on the content alone (external ids, times, values, texts), neither on
the order of rows in a file nor on the numbering of users and items.
"""

import functools
from collections.abc import Callable
from typing import Literal

import numpy as np

from llmgnn_jax.data.cold_split import COLD_SHARE, split_cold
from llmgnn_jax.data.cold_start import COLD_SIDES
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.parts import (
    HeldOutPart,
    NoTestPart,
    Ratios,
    Split,
    TrainSplit,
    TuningSplit,
)
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError

__all__ = [
    "HeldOutPart",
    "NoTestPart",
    "Ratios",
    "Rule",
    "Split",
    "TrainSplit",
    "TuningSplit",
    "split_by_rule",
    "split_cold",
    "split_leave_last_out",
    "split_published",
    "split_random",
    "split_temporal",
]

Rule = Literal[
    "random",
    "leave_last_out",
    "temporal",
    "published",
    "cold_items",
    "cold_users",
    "cold_both",
]

VALID_SHARE = 0.1
"""How much is held out for valid by the rules that take a share, if nothing is said."""


def split_random(
    dataset: Dataset, *, seed: int, ratios: Ratios = (0.8, 0.1, 0.1)
) -> Split:
    """Splits each user's interactions at random, with RecBole's rounding.

    For a user with n interactions valid and test get `int(ratio * n)`; then the last
    parts get one each where that is 0 and train can spare it (RecBole's `RS` split
    grouped by user, `recbole.data.dataset.Dataset._calcu_split_ids`).

    Raises:
        UserError: If a ratio is negative or the train ratio is not positive.
    """
    ratios = _checked_ratios(ratios)
    order = dataset.canonical_order
    draws = np.random.default_rng(seed).random(len(order))
    # One draw an interaction, in canonical order: shuffled within each user.
    order = order[np.lexsort((draws, dataset.users[order]))]
    counts = _recbole_counts(
        np.bincount(dataset.users, minlength=dataset.num_users), ratios
    )
    return _cut_by_user(dataset, "random", seed, order, counts, ratios)


def split_leave_last_out(dataset: Dataset, *, seed: int = 0) -> Split:
    """Holds out each user's last interaction for test, the one before for valid.

    Of two interactions one is tested and none validated; a single one is trained on.
    Those of the same second are put in a seeded random order: file order and ids say
    something about popularity.

    Raises:
        UserError: If the dataset has no timestamps.
    """
    _check_timestamps(dataset, "leave_last_out")
    order = dataset.canonical_order
    draws = np.random.default_rng(seed).random(len(order))
    order = order[np.lexsort((draws, dataset.timestamps[order], dataset.users[order]))]
    totals = np.bincount(dataset.users, minlength=dataset.num_users)
    test = (totals >= 2).astype(np.int64)
    valid = (totals >= 3).astype(np.int64)
    counts = np.stack([totals - valid - test, valid, test])
    return _cut_by_user(dataset, "leave_last_out", seed, order, counts, None)


def split_temporal(
    dataset: Dataset, *, ratios: Ratios = (0.8, 0.1, 0.1), seed: int = 0
) -> Split:
    """Cuts all interactions at two points in time, the same for every user.

    The cuts are the times at which the first `ratios[0]` and `ratios[0] + ratios[1]` of
    the interactions have happened; all of one second stay together in the later part,
    so nothing in a part is as late as what comes after it. Users who come late have no
    train interactions. Nothing is drawn: the seed is only recorded.

    Raises:
        UserError: If the dataset has no timestamps, a part would be empty, or a ratio
            is out of range.
    """
    ratios = _checked_ratios(ratios)
    _check_timestamps(dataset, "temporal")
    times = np.sort(dataset.timestamps)
    cuts = [
        times[min(int(share * len(times)), len(times) - 1)]
        for share in np.cumsum(ratios)[:2]
    ]
    part = np.searchsorted(cuts, dataset.timestamps, side="right")
    train, valid, test = (np.flatnonzero(part == p) for p in range(3))
    sizes = (len(train), len(valid), len(test))
    if min(sizes) == 0:
        raise UserError.field(
            "split.rule 'temporal'",
            expected="interactions before, between and after the cuts",
            got=f"{sizes} in train, valid and test",
            fix="choose other ratios or the rule 'random'",
        )
    return Split(dataset, "temporal", seed, train, valid, test, ratios)


def split_published(
    dataset: Dataset, *, seed: int, valid_share: float = VALID_SHARE
) -> Split:
    """Tests on what the publishers of the data hold out, validates on a share of train.

    Of a user with n interactions in the published train part a random
    `int(valid_share * n)` go to valid, one where that is 0 and train can spare it
    (RecBole's rounding). So what is tuned never reads test. With a `valid_share` of 0
    all of the published train part is trained on, and nothing can be tuned.

    Raises:
        UserError: If the dataset has no published parts or the share is out of range.
    """
    if dataset.published_test is None:
        raise UserError.field(
            "split.rule 'published'",
            expected="a data set that comes in parts",
            got=f"{dataset.name}, which does not",
            fix="use the rule 'random'",
        )
    if not 0 <= valid_share < 1:
        raise UserError.field(
            "split.valid_share", expected="a share in [0, 1)", got=valid_share
        )
    order = dataset.canonical_order
    order = order[~dataset.published_test[order]]
    # One draw an interaction, in canonical order: shuffled within each user.
    draws = np.random.default_rng(seed).random(len(order))
    order = order[np.lexsort((draws, dataset.users[order]))]
    users = dataset.users[order]
    totals = np.bincount(users, minlength=dataset.num_users)
    counts = _recbole_counts(totals, (1 - valid_share, valid_share, 0.0))
    in_train = _places(users, totals) < counts[0, users]
    return Split(
        dataset,
        "published",
        seed,
        order[in_train],
        order[~in_train],
        np.flatnonzero(dataset.published_test),
        valid_share=valid_share,
    )


def split_by_rule(
    dataset: Dataset,
    *,
    rule: Rule | str,
    seed: int,
    valid_share: float = VALID_SHARE,
    cold_share: float = COLD_SHARE,
    folds: int = 0,
    fold: int = 0,
) -> Split:
    """Splits by the named rule with its default ratios.

    Args:
        dataset: What to split.
        rule: One of `Rule`.
        seed: Of the draw.
        valid_share: For "published" and the cold rules alone.
        cold_share: For the cold rules alone, as `split_cold` has it.
        folds: Likewise.
        fold: Likewise.

    Raises:
        UserError: If the rule is unknown, or does not suit the dataset.
    """
    rules: dict[str, Callable[..., Split]] = {
        "random": split_random,
        "leave_last_out": split_leave_last_out,
        "temporal": split_temporal,
        "published": functools.partial(split_published, valid_share=valid_share),
        **{
            cold: functools.partial(
                split_cold,
                rule=cold,
                share=cold_share,
                valid_share=valid_share,
                folds=folds,
                fold=fold,
            )
            for cold in COLD_SIDES
        },
    }
    if rule not in rules:
        raise UserError.field(
            "split.rule",
            expected="one of " + ", ".join(rules),
            got=repr(rule),
            fix=did_you_mean(rule, rules),
        )
    return rules[rule](dataset, seed=seed)


def _recbole_counts(totals: np.ndarray, ratios: Ratios) -> np.ndarray:
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


def _cut_by_user(
    dataset: Dataset,
    rule: str,
    seed: int,
    order: np.ndarray,
    counts: np.ndarray,
    ratios: Ratios | None,
) -> Split:
    """Cuts rows ordered by user into each user's first, middle and last `counts`."""
    users = dataset.users[order]
    totals = counts.sum(axis=0)
    place = _places(users, totals)
    ends = np.cumsum(counts, axis=0)
    in_train = place < ends[0, users]
    in_test = place >= ends[1, users]
    return Split(
        dataset,
        rule,
        seed,
        order[in_train],
        order[~in_train & ~in_test],
        order[in_test],
        ratios,
    )


def _places(users: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """(n,) int64: the place of each of n rows, ordered by user, among its user's."""
    return np.arange(len(users)) - (np.cumsum(totals) - totals)[users]


def _checked_ratios(ratios: Ratios) -> Ratios:
    """Three ratios scaled to sum to 1, as RecBole does."""
    train, valid, test = (float(ratio) for ratio in ratios)
    if not (
        train > 0 and valid >= 0 and test >= 0 and np.isfinite(train + valid + test)
    ):
        raise UserError.field(
            "split.ratios",
            expected="train > 0, valid >= 0 and test >= 0",
            got=ratios,
            fix="write for example 0.8 0.1 0.1",
        )
    total = train + valid + test
    return train / total, valid / total, test / total


def _check_timestamps(dataset: Dataset, rule: str) -> None:
    if not dataset.timestamps.any():
        raise UserError.field(
            f"split.rule {rule!r}",
            expected="interactions with timestamps",
            got=f"none in {dataset.name}",
            fix="use the rule 'random'",
        )
