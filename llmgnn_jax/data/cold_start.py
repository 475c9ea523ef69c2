"""Which items and users a split keeps out of train altogether.

The draw depends on external ids and the seed alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.validation import checked_flags, read_only
from llmgnn_jax.errors import UserError

ColdRule = Literal["cold_items", "cold_users", "cold_both"]

COLD_SIDES: Mapping[ColdRule, tuple[str, ...]] = {
    "cold_items": ("items",),
    "cold_users": ("users",),
    "cold_both": ("items", "users"),
}
"""Rule -> of what it hides a share."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ColdStart:
    """Items and users none of whose interactions are trained on.

    Attributes:
        valid_items: (I,) bool, the items that validation hides.
        test_items: (I,) bool, the items that test hides; no item is in both.
        valid_users: (U,) bool, likewise.
        test_users: (U,) bool, likewise.
        share: How much of a side test hides; None where that is one of several folds.
        folds: Into how many folds the sides are cut; 0 where a share is drawn.
        fold: Which of them test hides.
        warm_share: How much of each user's interactions with nothing hidden test holds
            out, and valid as well.
    """

    valid_items: np.ndarray
    test_items: np.ndarray
    valid_users: np.ndarray
    test_users: np.ndarray
    share: float | None
    folds: int = 0
    fold: int = 0
    warm_share: float = 0.0

    @property
    def label(self) -> str:
        """For people: "0.1", or "fold 0 of 5", and how much is held out of the rest."""
        fold = f"fold {self.fold} of {self.folds}"
        hidden = fold if self.share is None else f"{self.share:g}"
        return hidden + (f" warm {self.warm_share:g}" if self.warm_share else "")

    def protocol(self) -> dict[str, object]:
        """What of it numbers that are averaged or compared have in common.

        Folds of one protocol are averaged: which of them it is, is no part of it.
        """
        return {
            "cold_share": self.share,
            "folds": self.folds,
            "warm_share": self.warm_share,
        }

    def ids(self, dataset: Dataset) -> list[list[str]]:
        """The sorted external ids of each mask, in the order of the attributes."""
        sides = (dataset.item_ids, dataset.item_ids, dataset.user_ids, dataset.user_ids)
        masks = (self.valid_items, self.test_items, self.valid_users, self.test_users)
        return [
            sorted(ids[i] for i in np.flatnonzero(mask).tolist())
            for ids, mask in zip(sides, masks, strict=True)
        ]

    def rows(self, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
        """(E,) bool twice: the interactions with what valid hides, and what test hides.

        An interaction with anything that test hides is of test, whatever else it is
        with: what is tuned on valid has never met what is tested.
        """
        test = self.test_items[dataset.items] | self.test_users[dataset.users]
        valid = self.valid_items[dataset.items] | self.valid_users[dataset.users]
        return valid & ~test, test

    def check(self, dataset: Dataset, *, valid: np.ndarray, test: np.ndarray) -> None:
        """Passes only if the parts of a split are those that this makes of a dataset.

        Raises:
            UserError: If a mask has a wrong shape, something is hidden twice, or the
                rows of `valid` or `test` are others.
        """
        for side, size in (("items", dataset.num_items), ("users", dataset.num_users)):
            masks = [
                checked_flags(f"{part}_{side}", getattr(self, f"{part}_{side}"), size)
                for part in ("valid", "test")
            ]
            if twice := int((masks[0] & masks[1]).sum()):
                raise UserError.field(
                    f"cold {side}",
                    expected="none hidden by both valid and test",
                    got=twice,
                )
        hidden = self.rows(dataset)
        anything = hidden[0] | hidden[1]
        for name, rows, mask in zip(
            ("valid", "test"), (valid, test), hidden, strict=True
        ):
            of_hidden = rows[anything[rows]]
            others = len(rows) - len(of_hidden)
            whole = np.array_equal(of_hidden, np.flatnonzero(mask))
            if not whole or (others and not self.warm_share):
                raise UserError.field(
                    f"split: {name}",
                    expected=f"all interactions of what {name} hides"
                    + ("" if self.warm_share else ", and no others"),
                    got=f"{len(of_hidden)} of them, {others} others, not these "
                    f"{int(mask.sum())}",
                )


def draw_cold(
    dataset: Dataset,
    *,
    rule: ColdRule,
    seed: int,
    share: float,
    valid_share: float,
    folds: int,
    fold: int,
    warm_share: float,
) -> ColdStart:
    """Draws what is hidden; the arguments are those of `cold_split.split_cold`.

    Raises:
        UserError: If there are too few items or users to draw from.
    """
    # Without words there is nothing that a cold item could be known by.
    worded = np.array([bool(text.strip()) for text in dataset.item_texts])
    eligible = {
        "items": (np.bincount(dataset.items, minlength=dataset.num_items) > 0) & worded,
        "users": np.bincount(dataset.users, minlength=dataset.num_users) > 0,
    }
    masks: dict[str, np.ndarray] = {}
    # A generator for each side: which users are drawn does not hang on the items.
    for number, (side, ids) in enumerate(
        (("items", dataset.item_ids), ("users", dataset.user_ids))
    ):
        valid, test = np.zeros((2, len(ids)), bool)
        if side in COLD_SIDES[rule]:
            order = _drawn_order(ids, eligible[side], (seed, number))
            first, count = _cut(len(order), share=share, folds=folds, fold=fold)
            num_valid = _count(valid_share, len(order)) if valid_share else 0
            if not count or count + num_valid > len(order):
                raise UserError.field(
                    f"split.rule {rule!r}",
                    expected=f"enough {side} to hide some for test"
                    + (" and others for valid" if valid_share else ""),
                    got=f"{len(order)} "
                    + ("with a text and interactions" if side == "items" else side),
                    fix="use another rule, lower shares or fewer folds",
                )
            order = np.roll(order, -first)
            test[order[:count]] = True
            valid[order[count : count + num_valid]] = True
        masks[f"valid_{side}"], masks[f"test_{side}"] = map(read_only, (valid, test))
    return ColdStart(
        **masks,
        share=None if folds else share,
        folds=folds,
        fold=fold,
        warm_share=warm_share,
    )


def _drawn_order(
    ids: Sequence[str], eligible: np.ndarray, seed: tuple[int, int]
) -> np.ndarray:
    """The eligible indices in an order that their external ids and the seed decide."""
    order = sorted(np.flatnonzero(eligible).tolist(), key=ids.__getitem__)
    draws = np.random.default_rng(seed).random(len(order))
    return np.array(order, np.int64)[np.argsort(draws, kind="stable")]


def _cut(size: int, *, share: float, folds: int, fold: int) -> tuple[int, int]:
    """(where what test hides begins in the drawn order, how many it hides)."""
    if not folds:
        return 0, _count(share, size)
    begin, end = fold * size // folds, (fold + 1) * size // folds
    return begin, end - begin


def _count(share: float, size: int) -> int:
    return max(1, round(share * size))
