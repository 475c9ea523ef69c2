"""How many neighbours nodes have: a law that stands in for a graph that is not there.

A node's degree as a multiple of the mean, by the share of nodes that have as many or
more. Between the points given, and beyond the last, it is a power of that share: the
tail is Pareto's, up to the one node of N that has most.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.parallel.popularity import classes_of


@dataclass(frozen=True, kw_only=True)
class DegreeLaw:
    """Of one side's nodes.

    Attributes:
        shares: Shares of the nodes, falling from 1.
        multiples: The degree that this share of the nodes has or exceeds, rising.
    """

    shares: tuple[float, ...]
    multiples: tuple[float, ...]

    def multiples_at(self, shares: np.ndarray) -> np.ndarray:
        """Degrees as multiples of the mean, that these shares of nodes have."""
        knots, values = np.log(self.shares), np.log(self.multiples)
        at = np.log(np.asarray(shares, float))
        inside = np.interp(-at, -knots, values)
        if len(knots) < 2:
            return np.exp(inside)
        slope = (values[-1] - values[-2]) / (knots[-1] - knots[-2])
        beyond = values[-1] + slope * (at - knots[-1])
        return np.exp(np.where(at < knots[-1], beyond, inside))


@dataclass(frozen=True, kw_only=True)
class Degrees:
    """The degrees of the n nodes of a side, by rank, that have E edges in all.

    Attributes:
        count: n.
        edges: E.
        law: Their shape.
    """

    count: int
    edges: int
    law: DegreeLaw

    @property
    def mean(self) -> float:
        return self.edges / self.count

    def at(self, ranks: np.ndarray) -> np.ndarray:
        """Degrees of the nodes of rank 0 (the largest), 1, ...; no more than E."""
        shares = (np.asarray(ranks) + 0.5) / self.count
        return np.minimum(self._scale() * self.law.multiples_at(shares), self.edges)

    def average(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        """The mean of a function of the degree over all nodes."""
        weights, ranks = self._bins()
        return float(np.sum(weights * function(self.at(ranks))))

    def classes(self) -> tuple[tuple[int, int], ...]:
        """As `Popularity` has them."""
        weights, ranks = self._bins()
        return classes_of(self.at(ranks), weights * self.count)

    def _bins(self) -> tuple[np.ndarray, np.ndarray]:
        """Ranks that stand for all, the first ones by themselves; and their shares."""
        borders = np.unique(
            np.round(np.geomspace(1, self.count + 1, 4000)).astype(np.int64)
        )
        if borders[-1] != self.count + 1:
            borders = np.append(borders, self.count + 1)
        first, last = borders[:-1] - 1, borders[1:] - 1
        return (last - first) / self.count, (first + last - 1) / 2

    def _scale(self) -> float:
        weights, ranks = self._bins()
        shares = (ranks + 0.5) / self.count
        return self.mean / float(np.sum(weights * self.law.multiples_at(shares)))


@dataclass(frozen=True, kw_only=True)
class GraphLaw:
    """The laws of both sides of an interaction graph, and how large the sides are.

    Attributes:
        users: Of users.
        items: Of items.
        user_share: Users among all nodes.
    """

    users: DegreeLaw
    items: DegreeLaw
    user_share: float


_SHARES = (1.0, 0.99, 0.9, 0.75, 0.5, 0.25, 0.1, 0.01, 0.001)

LAWS: dict[str, GraphLaw] = {
    # Quantiles of the train part of Gowalla as LightGCN splits it, over their means of
    # 27.13 and 19.77.
    "gowalla": GraphLaw(
        users=DegreeLaw(
            shares=_SHARES,
            multiples=(
                *(0.2949, 0.2949, 0.2949, 0.4054, 0.5897, 1.0688, 1.9534, 6.7026),
                15.9693,
            ),
        ),
        items=DegreeLaw(
            shares=_SHARES,
            multiples=(
                *(0.0506, 0.2529, 0.4047, 0.4553, 0.6070, 0.9611, 1.7199, 7.0314),
                20.5884,
            ),
        ),
        user_share=0.4215,
    ),
    # Every node has as many: nothing is harder to cut.
    "even": GraphLaw(
        users=DegreeLaw(shares=(1.0,), multiples=(1.0,)),
        items=DegreeLaw(shares=(1.0,), multiples=(1.0,)),
        user_share=0.5,
    ),
}


def law_of(name: str) -> GraphLaw:
    """A law by its name.

    Raises:
        UserError: If there is none of this name.
    """
    if name not in LAWS:
        raise UserError.field(
            "--degrees", expected="one of " + ", ".join(LAWS), got=repr(name)
        )
    return LAWS[name]
