"""The rules that hold out all that was done with some items, by some users, or both."""

import math

import numpy as np

from llmgnn_jax.data.cold_start import COLD_SIDES, ColdRule, draw_cold
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.parts import Split
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError

COLD_SHARE = 0.1
"""How much of the items or users is hidden for test, if nothing is said."""


def split_cold(
    dataset: Dataset,
    *,
    rule: ColdRule = "cold_items",
    seed: int,
    share: float = COLD_SHARE,
    valid_share: float = 0.1,
    folds: int = 0,
    fold: int = 0,
) -> Split:
    """Hides a share of the items, of the users or of both; trains on all other rows.

    All interactions of what is hidden leave train: a cold item has its catalogue text,
    a cold user a profile text where there is one, and neither has anything else. Test
    is every interaction with something that test hides, valid every other one with
    something that valid hides: what is tuned on valid has never met what is tested.
    Which they are, `Split.cold_items` and `Split.cold_users` say.

    Items are drawn from those with a text and at least one interaction, users from
    those with at least one interaction; with `folds` they are dealt into as many, so
    that over all folds of a seed test hides each of them exactly once.

    Args:
        dataset: What to split.
        rule: "cold_items", "cold_users" or "cold_both".
        seed: Of the draw.
        share: How much test hides, rounded, at least one; not read with `folds`.
        valid_share: How much valid hides, likewise; at 0 nothing is validated on.
        folds: From 2 on, or 0 for a random share.
        fold: Which one test hides, from 0; valid takes of those that follow it.

    Raises:
        UserError: If the rule is unknown, a share, `folds` or `fold` is out of range,
            or there is too little to hide or nothing left to train on.
    """
    if rule not in COLD_SIDES:
        raise UserError.field(
            "split.rule",
            expected="one of " + ", ".join(COLD_SIDES),
            got=repr(rule),
            fix=did_you_mean(rule, COLD_SIDES),
        )
    _check_ranges(share=share, valid_share=valid_share, folds=folds, fold=fold)
    cold = draw_cold(
        dataset,
        rule=rule,
        seed=seed,
        share=share,
        valid_share=valid_share,
        folds=folds,
        fold=fold,
    )
    valid, test = cold.rows(dataset)
    train = ~(valid | test)
    if not train.any():
        raise UserError.field(
            f"split.rule {rule!r}",
            expected="interactions left to train on",
            got=f"none of {dataset.num_interactions}",
            fix="lower the shares, or use more folds",
        )
    return Split(
        dataset,
        rule,
        seed,
        np.flatnonzero(train),
        np.flatnonzero(valid),
        np.flatnonzero(test),
        valid_share=valid_share,
        cold=cold,
    )


def _check_ranges(*, share: float, valid_share: float, folds: int, fold: int) -> None:
    if folds < 0 or folds == 1:
        raise UserError.field(
            "split.folds", expected="2 or more, or 0 for a random share", got=folds
        )
    if not 0 <= fold < max(folds, 1):
        raise UserError.field(
            "split.fold",
            expected=f"0 to {folds - 1}" if folds else "0 where there are no folds",
            got=fold,
        )
    if folds:
        share = 1 / folds
    elif not 0 < share < 1:
        raise UserError.field(
            "split.cold_share", expected="a share between 0 and 1", got=share
        )
    both = share + valid_share
    if not (valid_share >= 0 and both < 1) or math.isclose(both, 1):
        raise UserError.field(
            "split.valid_share",
            expected="a share from 0 on that leaves something to train on beside "
            f"the {share:g} of test",
            got=valid_share,
        )
