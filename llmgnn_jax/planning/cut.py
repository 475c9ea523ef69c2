"""What a graph of given degrees comes to on each of S devices, padding included.

Nodes are dealt by degree (`graph.node_layout.balanced_order`), and who is whose
neighbour is taken as drawn at random in proportion to degrees. Counts of random things
are padded to the largest of all that are expected: the mean and sqrt(2 ln k) standard
deviations, for k of them (the expected maximum of k normal variables is below that).
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from llmgnn_jax.parallel.popularity import Popularity
from llmgnn_jax.planning.degrees import Degrees, GraphLaw

_ROUNDS = 64  # of dealing that are counted one by one; the later ones are even


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Sizes on one device, the largest of all; D-wide rows are not in it.

    Attributes:
        shares: S.
        nodes: n, of the device.
        edges: Directed edges that lead into its nodes.
        edges_mean: Likewise, before padding.
        pairs: Train pairs of its users.
        most_items: Items of the user that has most.
        near: Edges between nodes of the device.
        far: Edges from nodes of others.
        halo: H, rows that one device sends to another.
        halo_mean: Likewise, before padding.
        block: Edges between two devices.
        block_mean: Likewise, before padding.
    """

    shares: int
    nodes: int
    edges: int
    edges_mean: float
    pairs: int
    most_items: int
    near: int
    far: int
    halo: int
    halo_mean: float
    block: int
    block_mean: float

    def to_json(self) -> dict[str, float]:
        """Name -> number."""
        return dataclasses.asdict(self)


def cut(
    law: GraphLaw, *, users: int, items: int, interactions: int, nodes: int, shares: int
) -> Cut:
    """The largest share of a graph.

    Args:
        law: Of the degrees.
        users: How many.
        items: How many.
        interactions: M; each is an edge in both directions.
        nodes: n, slots of a device.
        shares: S.
    """
    sides = (
        Degrees(count=users, edges=interactions, law=law.users),
        Degrees(count=items, edges=interactions, law=law.items),
    )
    pairs_mean = interactions / shares
    surplus = [_surplus(side, shares) for side in sides]
    edges_mean = 2.0 * interactions / shares
    edges = edges_mean + sum(surplus)
    if shares == 1:
        whole = 2 * interactions
        return Cut(
            shares=1,
            nodes=nodes,
            edges=whole,
            edges_mean=edges_mean,
            pairs=interactions,
            most_items=_most(sides[0]),
            near=whole,
            far=1,
            halo=1,
            halo_mean=0.0,
            block=whole,
            block_mean=edges_mean,
        )
    number = shares * shares
    # A node goes to another device if a neighbour of its lies there.
    expected = variance = 0.0
    for side in sides:
        here = side.count / shares
        expected += here * side.average(lambda d: _asked(d, shares))
        variance += here * side.average(
            lambda d: _asked(d, shares) * (1.0 - _asked(d, shares))
        )
    block_mean = edges_mean / shares
    return Cut(
        shares=shares,
        nodes=nodes,
        edges=_up(edges),
        edges_mean=edges_mean,
        pairs=_up(pairs_mean + surplus[0]),
        most_items=_most(sides[0]),
        near=_largest(edges / shares, edges / shares, shares),
        far=_largest(edges * (1 - 1 / shares), edges / shares, shares),
        halo=min(nodes, _largest(expected, variance, number)),
        halo_mean=expected,
        block=_largest(edges / shares, edges / shares, number),
        block_mean=block_mean,
    )


def popularity_of(
    law: GraphLaw, *, users: int, items: int, interactions: int
) -> Popularity:
    """How often nodes are drawn as neighbours; arguments as those of `cut`."""
    return Popularity(
        users=Degrees(count=users, edges=interactions, law=law.users).classes(),
        items=Degrees(count=items, edges=interactions, law=law.items).classes(),
    )


def _asked(degrees: np.ndarray, shares: int) -> np.ndarray:
    """The chance that a node has a neighbour on one certain device."""
    return -np.expm1(degrees * math.log1p(-1.0 / shares))


def _surplus(side: Degrees, shares: int) -> float:
    """Edges of the device that is dealt most, beyond the mean."""
    rounds = min(_ROUNDS, -(-side.count // shares))
    ranks = np.arange(rounds * shares).reshape(rounds, shares)
    degrees = np.where(
        ranks < side.count, side.at(np.minimum(ranks, side.count - 1)), 0
    )
    degrees[1::2] = degrees[1::2, ::-1]
    dealt = degrees.sum(axis=0)
    return float(dealt.max() - dealt.mean())


def _most(side: Degrees) -> int:
    return _up(float(side.at(np.array([0]))[0]))


def _largest(mean: float, variance: float, number: int) -> int:
    return max(1, _up(mean + math.sqrt(2.0 * math.log(number) * variance)))


def _up(value: float) -> int:
    return math.ceil(value - 1e-6)
