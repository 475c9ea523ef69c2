"""Links whose ends are put in order and whose repeats are joined.

Host side only: NumPy, no JAX import.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from llmgnn_jax.data.ordering import lexsorted

Repeated: TypeAlias = Literal["greatest", "added"]
"""What a link weighs that is there several times."""


@dataclass(frozen=True, kw_only=True, eq=False)
class JoinedLinks:
    """Links, each once, by head, then tail.

    Attributes:
        heads: (M,) int64.
        tails: (M,) int64; not below its head where links have no direction.
        weights: (M,) float64.
        loops: How many were left out since they are of a node with itself.
        repeats: How many are one with another.
    """

    heads: np.ndarray
    tails: np.ndarray
    weights: np.ndarray
    loops: int
    repeats: int


def join_links(
    heads: np.ndarray,
    tails: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    one_kind: bool,
    directed: bool,
    repeated: Repeated = "greatest",
) -> JoinedLinks:
    """Joins links that may repeat, in either order if they have no direction.

    Args:
        heads: (M',) numbers of nodes.
        tails: (M',) likewise.
        weights: (M',); 1 each if not given.
        one_kind: Whether heads and tails are nodes of one kind. Only then can a link
            be of a node with itself, which says nothing and is left out, or stand in
            the other order.
        directed: Whether the order says something.
        repeated: Whether the greatest weight of those that repeat stays, or they are
            added up.
    """
    heads, tails = np.asarray(heads, np.int64), np.asarray(tails, np.int64)
    weights = np.ones(len(heads)) if weights is None else np.asarray(weights, float)
    loops = 0
    if one_kind:
        other = heads != tails
        loops = int(np.count_nonzero(~other))
        heads, tails, weights = heads[other], tails[other], weights[other]
        if not directed:
            heads, tails = np.minimum(heads, tails), np.maximum(heads, tails)
    order = lexsorted([tails, heads])
    heads, tails, weights = heads[order], tails[order], weights[order]
    first = np.ones(len(heads), bool)
    first[1:] = (heads[1:] != heads[:-1]) | (tails[1:] != tails[:-1])
    join = np.add if repeated == "added" else np.maximum
    return JoinedLinks(
        heads=heads[first],
        tails=tails[first],
        weights=join.reduceat(weights, np.flatnonzero(first)),
        loops=loops,
        repeats=int(np.count_nonzero(~first)),
    )
