"""Interactions, and the links beside them."""

import datetime
from dataclasses import dataclass

import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.describe.sides import Texts, text_lengths
from llmgnn_jax.data.describe.spread import Spread, spread
from llmgnn_jax.data.relations import Relation


@dataclass(frozen=True, kw_only=True)
class Times:
    """When interactions were.

    Attributes:
        first: In UTC, ISO 8601.
        last: Likewise.
        days: Between the two.
        missing: How many interactions have no time.
        together: How many happened in the same second as another of their user.
        seconds: Seconds since 1970 of those with a time.
    """

    first: str
    last: str
    days: float
    missing: int
    together: int
    seconds: Spread


@dataclass(frozen=True, kw_only=True)
class Interactions:
    """All of them.

    Attributes:
        count: How many.
        pairs: How many different pairs of a user and an item.
        repeated: How many interactions are of a pair that another one is of, less one
            a pair.
        most_of_a_pair: Interactions of the pair that has most.
        density: Pairs, of all that there could be.
        values: Ratings or weights; None where all are 1.
        times: None where there are none.
        texts: Reviews or tags; None where there are none.
    """

    count: int
    pairs: int
    repeated: int
    most_of_a_pair: int
    density: float
    values: Spread | None
    times: Times | None
    texts: Texts | None


@dataclass(frozen=True, kw_only=True)
class Links:
    """A relation.

    Attributes:
        name: Of it.
        heads_of: Kind of the heads.
        tails_of: Kind of the tails.
        directed: Whether links have a direction.
        links: How many.
        heads: How many nodes of the heads' kind have a link, and how many there are; of
            one kind whichever end they are.
        tails: Likewise of the tails.
        weights: None where all are 1.
    """

    name: str
    heads_of: str
    tails_of: str
    directed: bool
    links: int
    heads: tuple[int, int]
    tails: tuple[int, int]
    weights: Spread | None


def interaction_facts(dataset: Dataset, pairs: Csr) -> Interactions:
    """What interactions are like.

    Args:
        dataset: Whose.
        pairs: Users x items, each pair once.
    """
    codes = np.sort(dataset.users.astype(np.int64) * dataset.num_items + dataset.items)
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    runs = np.diff(starts, append=len(codes))
    texts = dataset.interaction_texts
    return Interactions(
        count=dataset.num_interactions,
        pairs=pairs.nnz,
        repeated=dataset.num_interactions - pairs.nnz,
        most_of_a_pair=int(runs.max()),
        density=pairs.nnz / (dataset.num_users * dataset.num_items),
        values=None if (dataset.values == 1).all() else spread(dataset.values),
        times=_times(dataset),
        texts=None if texts is None else text_lengths(texts),
    )


def link_facts(dataset: Dataset, name: str) -> Links:
    """What a relation is like."""
    relation = dataset.relations[name]
    sizes = dataset.num_nodes
    alike = (relation.weights == 1).all()
    return Links(
        name=name,
        heads_of=relation.heads_of,
        tails_of=relation.tails_of,
        directed=relation.directed,
        links=relation.num_links,
        heads=(_touched(relation, relation.heads_of), sizes[relation.heads_of]),
        tails=(_touched(relation, relation.tails_of), sizes[relation.tails_of]),
        weights=None if alike else spread(relation.weights),
    )


def _touched(relation: Relation, kind: str) -> int:
    """How many nodes of a kind have a link."""
    ends = (relation.heads, relation.tails)
    nodes = [
        nodes for nodes, of in zip(ends, relation.kinds, strict=True) if of == kind
    ]
    return len(np.unique(np.concatenate(nodes)))


def _times(dataset: Dataset) -> Times | None:
    dated = dataset.timestamps > 0
    if not dated.any():
        return None
    seconds, users = dataset.timestamps[dated], dataset.users[dated]
    order = np.lexsort((seconds, users))
    again = (np.diff(users[order]) == 0) & (np.diff(seconds[order]) == 0)
    together = np.append(again, False) | np.insert(again, 0, False)
    first, last = int(seconds.min()), int(seconds.max())
    return Times(
        first=_told(first),
        last=_told(last),
        days=(last - first) / 86_400,
        missing=int((~dated).sum()),
        together=int(together.sum()),
        seconds=spread(seconds, scale="even"),
    )


def _told(seconds: int) -> str:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        # Milliseconds, most likely: a year that the calendar of Python has not.
        return f"{seconds} seconds after 1970"
