"""The rules that hold out all that was done with some items, by some users, or both."""

import numpy as np

from llmgnn_jax.config.held_out import check_cold_shares
from llmgnn_jax.data.by_user import random_parts
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
    warm_share: float = 0.0,
) -> Split:
    """Hides a share of the items, of the users or of both; trains on all other rows.

    All interactions of what is hidden leave train: a cold item has its catalogue text,
    a cold user a profile text where there is one, and neither has anything else. Test
    is every interaction with something that test hides, valid every other one with
    something that valid hides: what is tuned on valid has never met what is tested.
    Which they are, `Split.cold_items` and `Split.cold_users` say.

    With a `warm_share` as much of each user's other interactions is held out for test,
    and for valid, at random: what is known beside what is cold.

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
        warm_share: How much of the interactions with nothing hidden test holds out, and
            valid as well, where it hides something.

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
    check_cold_shares(
        "split",
        cold_share=share,
        valid_share=valid_share,
        warm_share=warm_share,
        folds=folds,
        fold=fold,
    )
    cold = draw_cold(
        dataset,
        rule=rule,
        seed=seed,
        share=share,
        valid_share=valid_share,
        folds=folds,
        fold=fold,
        warm_share=warm_share,
    )
    of_valid, of_test = cold.rows(dataset)
    valid, test = np.flatnonzero(of_valid), np.flatnonzero(of_test)
    train = dataset.canonical_order
    train = train[~(of_valid | of_test)[train]]
    if warm_share:
        validated = warm_share if valid_share else 0.0
        ratios = (1 - warm_share - validated, validated, warm_share)
        train, *warm = random_parts(dataset, train, seed=seed, ratios=ratios)
        valid, test = np.union1d(valid, warm[0]), np.union1d(test, warm[1])
    if not len(train):
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
        train,
        valid,
        test,
        valid_share=valid_share,
        cold=cold,
    )
