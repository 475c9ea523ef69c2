"""Places of a list that are kept for new items, which no score would bring there.

What is known of a new item is what its text says. Its score is that of a mean over all
items with such a text, and so below those of items that are known to be liked: ranked
by scores alone, new items are shown to nobody and stay new.

Shapes: U users, k length of the lists.
"""

from collections.abc import Callable, Sequence

import numpy as np

from llmgnn_jax.evaluation.ranking import Rankings


def ranked_with_places(
    ranked: Callable[[np.ndarray | None], Rankings],
    *,
    candidates: np.ndarray | None,
    new: np.ndarray | None,
    places: Sequence[int],
) -> Rankings:
    """Lists of all candidates, with places for what is new, if any are kept.

    Args:
        ranked: Lists of some candidates, (I,) bool, or of all items.
        candidates: (I,) bool; None for all items.
        new: (I,) bool, which of them are new; None where none is told apart.
        places: Which places are kept, 1 is the first.
    """
    if not places or new is None or not new.any():
        return ranked(candidates)
    known = ~new if candidates is None else candidates & ~new
    return with_places_for(ranked(known), ranked(new), places)


def with_places_for(known: Rankings, new: Rankings, places: Sequence[int]) -> Rankings:
    """Lists in which some places show the best new items, the others the best known.

    Args:
        known: Lists of known items alone.
        new: Lists of new items alone, of the same users and the same length.
        places: Which places are kept, 1 is the first.

    Returns:
        Lists of the same length. Where one kind is exhausted the other fills its
        places. Scores are those that the items have; they do not descend.
    """
    length = known.items.shape[1]
    kept_k = np.isin(np.arange(1, length + 1), places)
    users, rows = len(known.users), np.arange(len(known.users))
    items = np.full((users, length), -1, np.int32)
    scores = np.full((users, length), -np.inf, np.float32)
    taken = np.zeros((2, users), np.int64)
    there = [(one.items >= 0).sum(axis=1) for one in (known, new)]
    for place, kept in enumerate(kept_k):
        left_known, left_new = (there[kind] > taken[kind] for kind in (0, 1))
        from_new = np.where(kept, left_new, ~left_known & left_new)
        for kind, (one, chosen) in enumerate(((known, ~from_new), (new, from_new))):
            chosen = chosen & (there[kind] > taken[kind])
            at = rows[chosen], taken[kind][chosen]
            items[chosen, place], scores[chosen, place] = one.items[at], one.scores[at]
            taken[kind] += chosen
    return Rankings(users=known.users, items=items, scores=scores)
