"""How many different rows so many requests are for: hubs are asked for again and again.

Shapes: U user slots, I item slots, q requests.

A neighbour that is drawn under a node is a node at random in proportion to its degree,
whoever the node is, if edges are taken as random: of q such draws on a side of E edges,
a node of degree d is hit with probability 1 - (1 - d / E) ** q.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Which part of a device's seeds are users: between all and none, what is worst counts.
_PARTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class Popularity:
    """The degrees of both sides, in classes of about one degree, four an octave.

    Hashable, and the same integers in every process: what is computed from it is part
    of what a program is compiled for.

    Attributes:
        users: (how many rows, edges of all of them) of each class that has edges.
        items: Likewise.
    """

    users: tuple[tuple[int, int], ...]
    items: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, users_U: np.ndarray, items_I: np.ndarray) -> "Popularity":
        """From the degrees of users and of items."""
        return cls(users=classes_of(users_U), items=classes_of(items_I))

    def distinct(self, seeds: int, fanouts: Sequence[int]) -> float:
        """How many rows the trees under a device's seeds are expected to name.

        Seeds are taken to differ: users and negatives are drawn evenly.

        Args:
            seeds: How many; users or items, whatever names most.
            fanouts: For each hop how many neighbours a node draws.
        """
        sizes = np.cumprod([seeds, *fanouts]).tolist()
        other, same = sum(sizes[1::2]), sum(sizes[2::2])
        most = max(
            _distinct(self.users, round(part * same + (1 - part) * other))
            + _distinct(self.items, round(part * other + (1 - part) * same))
            for part in _PARTS
        )
        return seeds + most


def classes_of(
    degrees: np.ndarray, rows: np.ndarray | None = None
) -> tuple[tuple[int, int], ...]:
    """The classes of some degrees.

    Args:
        degrees: Of the rows of a side, any number.
        rows: How many rows each of them stands for; one if not given.
    """
    degrees = np.asarray(degrees, np.float64)
    rows = np.ones(len(degrees)) if rows is None else rows
    mantissa, exponent = np.frexp(degrees)
    number = np.where(degrees >= 1, 4 * exponent + np.floor(8 * mantissa) - 4, 0)
    of = number.astype(np.int64)
    counts = np.bincount(of, rows)
    edges = np.bincount(of, degrees * rows)
    return tuple(
        (round(count), round(edge))
        for count, edge in zip(counts.tolist(), edges.tolist(), strict=True)
        if round(edge)
    )


def _distinct(classes: Sequence[tuple[int, int]], requests: int) -> float:
    total = sum(edges for _, edges in classes)
    return math.fsum(
        count
        * (1.0 - _power(1.0 - min(1.0, edges / (max(count, 1) * total)), requests))
        for count, edges in classes
    )


def _power(base: float, exponent: int) -> float:
    """base ** exponent by multiplications alone, which every processor rounds alike."""
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result
