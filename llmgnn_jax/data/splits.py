"""Rules to hold out interactions; each gives a `Split`.

Those that hide items or users altogether are in `cold_split`.

A split depends on the content alone (external ids, times, values, texts), neither on
the order of rows in a file nor on the numbering of users and items.
"""

import functools
from collections.abc import Callable

import numpy as np

from llmgnn_jax.config.held_out import SplitRule
from llmgnn_jax.data.by_user import Ratios, parts_by_user, random_parts
from llmgnn_jax.data.cold_split import COLD_SHARE, split_cold
from llmgnn_jax.data.cold_start import COLD_SIDES
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.friends import parts_of_friendships
from llmgnn_jax.data.ordering import lexsorted
from llmgnn_jax.data.parts import (
    HeldOutPart,
    NoTestPart,
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

VALID_SHARE = 0.1
"""How much is held out for valid by the rules that take a share, if nothing is said."""


def split_random(
    dataset: Dataset, *, seed: int, ratios: Ratios = (0.8, 0.1, 0.1)
) -> Split:
    """Splits each user's interactions at random, with RecBole's rounding.

    See `random_parts`. Friendships are split as a whole instead, both directions of
    each together, see `parts_of_friendships`.

    Raises:
        UserError: If a ratio is negative or the train ratio is not positive.
    """
    ratios = _checked_ratios(ratios)
    if dataset.people == "friends":
        parts = parts_of_friendships(dataset, seed=seed, ratios=ratios)
        return Split(dataset, "random", seed, *parts, ratios)
    parts = random_parts(dataset, dataset.canonical_order, seed=seed, ratios=ratios)
    return Split(dataset, "random", seed, *parts, ratios)


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
    order = order[lexsorted((draws, dataset.timestamps[order], dataset.users[order]))]
    totals = np.bincount(dataset.users, minlength=dataset.num_users)
    test = (totals >= 2).astype(np.int64)
    valid = (totals >= 3).astype(np.int64)
    counts = np.stack([totals - valid - test, valid, test])
    parts = parts_by_user(dataset, order, counts)
    return Split(dataset, "leave_last_out", seed, *parts)


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
    ratios = (1 - valid_share, valid_share, 0.0)
    train, valid, _ = random_parts(dataset, order, seed=seed, ratios=ratios)
    return Split(
        dataset,
        "published",
        seed,
        train,
        valid,
        np.flatnonzero(dataset.published_test),
        valid_share=valid_share,
    )


def split_by_rule(
    dataset: Dataset,
    *,
    rule: SplitRule | str,
    seed: int,
    valid_share: float = VALID_SHARE,
    cold_share: float = COLD_SHARE,
    folds: int = 0,
    fold: int = 0,
    warm_share: float = 0.0,
) -> Split:
    """Splits by the named rule with its default ratios.

    Args:
        dataset: What to split.
        rule: One of `SplitRule`.
        seed: Of the draw.
        valid_share: For "published" and the cold rules alone.
        cold_share: For the cold rules alone, as `split_cold` has it.
        folds: Likewise.
        fold: Likewise.
        warm_share: Likewise.

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
                warm_share=warm_share,
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
    if dataset.people != "none" and rule not in ("random", "published", "temporal"):
        raise UserError.field(
            "split.rule",
            expected="random, published or temporal for links between people",
            got=repr(rule),
        )
    return rules[rule](dataset, seed=seed)


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
