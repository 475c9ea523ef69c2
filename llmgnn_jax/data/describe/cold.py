"""What is cold in the parts of a split: without an interaction in train."""

from dataclasses import dataclass

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.parts import Split
from llmgnn_jax.data.splits import split_by_rule
from llmgnn_jax.errors import UserError

RULES = ("published", "random", "temporal")
"""The rules whose parts are looked at, where the data suit them."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """The held-out part of a split.

    Attributes:
        interactions: How many.
        users: How many different users it has.
        items: How many different items.
        cold_users: How many of the users have no interaction in train.
        cold_items: How many of the items.
        cold_interactions: How many interactions are with one of either.
    """

    interactions: int
    users: int
    items: int
    cold_users: int
    cold_items: int
    cold_interactions: int


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A split by a rule, or why there is none.

    Attributes:
        rule: Its name.
        reason: Why the data do not suit it; "" where they do.
        train: Interactions of the train part.
        valid: None where there is no split.
        test: Likewise.
    """

    rule: str
    reason: str = ""
    train: int = 0
    valid: Part | None = None
    test: Part | None = None


def splits(dataset: Dataset, *, seed: int) -> dict[str, Split | str]:
    """The dataset split by each of `RULES`, or why it cannot be."""
    found: dict[str, Split | str] = {}
    for rule in RULES:
        try:
            found[rule] = split_by_rule(dataset, rule=rule, seed=seed)
        except UserError as error:
            found[rule] = str(error)
    return found


def parts(rule: str, split: Split | str) -> Parts:
    """How large a split's parts are, and what is cold in them."""
    if isinstance(split, str):
        return Parts(rule=rule, reason=split)
    data = split.dataset
    known = [
        np.bincount(indices[split.train], minlength=size) > 0
        for indices, size in (
            (data.users, data.num_users),
            (data.items, data.num_items),
        )
    ]

    def part(rows: np.ndarray) -> Part:
        users, items = data.users[rows], data.items[rows]
        cold = [~known[0][users], ~known[1][items]]
        return Part(
            interactions=len(rows),
            users=len(np.unique(users)),
            items=len(np.unique(items)),
            cold_users=len(np.unique(users[cold[0]])),
            cold_items=len(np.unique(items[cold[1]])),
            cold_interactions=int((cold[0] | cold[1]).sum()),
        )

    return Parts(
        rule=rule,
        train=len(split.train),
        valid=part(split.valid),
        test=part(split.test),
    )
