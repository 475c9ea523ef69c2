"""`Question`: which items are ranked for whom, and which of them are right.

A part of a split asks one: its interactions are to be found among the items that they
are with. Where some are with items or users that training never met and others are not,
each kind is a question of its own too, and the lists of the whole answer both ways.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.data.splits import HeldOutPart, Split


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """What lists are asked for.

    Attributes:
        positives: (U x I) pairs to be found.
        seen: (U x I) pairs that are never recommended.
        candidates: (I,) bool, which items are ranked; None for all of them.
        new: (I,) bool, which of them no train pair is with: what the part hides, and
            what nobody had but in other parts. None where there are no others, or where
            no items are hidden.
    """

    positives: Csr
    seen: Csr
    candidates: np.ndarray | None = None
    new: np.ndarray | None = None


def question_of(split: Split, part: HeldOutPart) -> Question:
    """What a part of a split asks.

    Ranked are the items that were trained on, where any of them is to be found, and
    those that the part hides, where any of those is. So cold items are ranked among
    themselves unless there is something else to be found. What the other part hides
    asks nothing here: its items are in no list, and its users' pairs, which a cold item
    brings in, are not to be found.
    """
    positives, seen = split.held_out(part), split.seen(part)
    if split.cold is None:
        return Question(positives=positives, seen=seen)
    cold_I, warm_I = split.cold_items(part), ~split.hidden_items()
    users, items = positives.pairs()
    other: HeldOutPart = "test" if part == "valid" else "valid"
    keep = (cold_I | warm_I)[items] & ~split.cold_users(other)[users]
    positives = Csr.from_pairs(users[keep], items[keep], positives.num_rows)
    asked_I = np.zeros(split.dataset.num_items, bool)
    asked_I[positives.indices] = True
    candidates_I = np.zeros_like(asked_I)
    for kind_I in (cold_I, warm_I):
        if (asked_I & kind_I).any():
            candidates_I |= kind_I
    train_items = split.dataset.items[split.train]
    heard_I = np.bincount(train_items, minlength=len(asked_I)) > 0
    new_I = candidates_I & ~heard_I
    has_both = cold_I.any() and (candidates_I & heard_I).any()
    return Question(
        positives=positives,
        seen=seen,
        candidates=None if candidates_I.all() else candidates_I,
        new=new_I if has_both else None,
    )


def kinds(
    question: Question, split: Split, part: HeldOutPart
) -> Mapping[str, Question]:
    """The same question for each kind of pair alone, where there are several.

    Returns:
        "warm", "cold items", "cold users", "cold users and items" -> the pairs of that
        kind, to be found among items as warm or as cold as they are.
    """
    cold_I, cold_U = split.cold_items(part), split.cold_users(part)
    warm_I = ~split.hidden_items()
    users, items = question.positives.pairs()
    found: dict[str, Question] = {}
    for name, of_users, of_items in (
        ("warm", ~cold_U, warm_I),
        ("cold items", ~cold_U, cold_I),
        ("cold users", cold_U, warm_I),
        ("cold users and items", cold_U, cold_I),
    ):
        keep = of_users[users] & of_items[items]
        if keep.any():
            found[name] = Question(
                positives=Csr.from_pairs(users[keep], items[keep], len(of_users)),
                seen=question.seen,
                candidates=of_items,
            )
    return found if len(found) > 1 else {}


def ranked_items(question: Question, split: Split, part: HeldOutPart) -> str:
    """How many items are ranked, in words: "9,742 items, 972 of them cold"."""
    cold = int(split.cold_items(part).sum())
    if question.candidates is None:
        total = split.dataset.num_items
    else:
        total = int(question.candidates.sum())
        cold = int((question.candidates & split.cold_items(part)).sum())
    if cold == total:
        return f"{cold:,} cold items"
    return f"{total:,} items" + (f", {cold:,} of them cold" if cold else "")
