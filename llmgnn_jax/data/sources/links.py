"""Links of a graph in memory, as they stand there, to relations."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from llmgnn_jax.data.joining import join_links
from llmgnn_jax.data.relations import SIDES, Relation

logger = logging.getLogger(__name__)

Key = tuple[str, str, str]
"""Name, kind of the heads, kind of the tails."""


def added_up(
    name: str,
    *,
    kinds: tuple[str, str],
    heads: np.ndarray,
    tails: np.ndarray,
    weights: np.ndarray,
    directed: bool,
) -> Relation:
    """A relation of links that may repeat: the weights of one and the same are added.

    Links of a node with itself are left out. Both are counted in a warning.

    Args:
        name: For the warning.
        kinds: Of heads and of tails.
        heads: (M,) indices of their kind.
        tails: (M,) likewise.
        weights: (M,) finite, above 0.
        directed: As of the relation; where not, a link stands in either order.
    """
    joined = join_links(
        heads,
        tails,
        weights,
        one_kind=kinds[0] == kinds[1],
        directed=directed,
        repeated="added",
    )
    if joined.loops:
        logger.warning("relation %s: %d links to oneself left out", name, joined.loops)
    if joined.repeats:
        logger.warning(
            "relation %s: %d of %d links repeat others: their weights are added up",
            name,
            joined.repeats,
            len(heads) - joined.loops,
        )
    return Relation(
        heads_of=kinds[0],
        tails_of=kinds[1],
        heads=joined.heads,
        tails=joined.tails,
        weights=joined.weights,
        directed=directed,
    )


def same_links(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> bool:
    """Whether two lists of links, a column an array, are equal but for their order."""
    first, second = (np.stack(links)[:, np.lexsort(links)] for links in (one, other))
    return np.array_equal(first, second)


def names_of(keys: Iterable[Key]) -> Mapping[Key, str]:
    """What each relation is called: where kinds share a name, they are part of it."""
    keys = list(keys)
    times = Counter(name for name, _, _ in keys)
    return {
        (name, heads_of, tails_of): name
        if times[name] == 1
        else f"{name} {heads_of}-{tails_of}"
        for name, heads_of, tails_of in keys
    }


def in_order(kinds: tuple[str, str]) -> bool:
    """Whether undirected links have these kinds as heads and tails, or the other way.

    Users come first, then items, then entities by name.
    """
    ranks = [
        (SIDES.index(kind) if kind in SIDES else len(SIDES), kind) for kind in kinds
    ]
    return ranks[0] <= ranks[1]
