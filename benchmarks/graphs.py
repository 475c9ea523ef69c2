"""Graphs to measure on, as NumPy arrays: Gowalla from its files, and power laws.

Shapes: N nodes, E directed edges. Edges are sorted by (receiver, sender); both sides of
a benchmark are given the same arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.harness import Unavailable
from llmgnn_jax.data import catalog
from llmgnn_jax.data.csr import Csr
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.splits import split_published
from llmgnn_jax.errors import UserError


@dataclass(frozen=True, kw_only=True, eq=False)
class Edges:
    """A directed graph, sorted by (receiver, sender).

    Attributes:
        num_nodes: N.
        senders: (E,) int32.
        receivers: (E,) int32, ascending.
        weights: (E,) float32, 1 / sqrt(d_u d_v).
    """

    num_nodes: int
    senders: np.ndarray
    receivers: np.ndarray
    weights: np.ndarray

    @property
    def indptr(self) -> np.ndarray:
        """(N + 1,) int64: the edges into node v are indptr[v]:indptr[v + 1]."""
        counts = np.bincount(self.receivers, minlength=self.num_nodes)
        return np.concatenate([[0], np.cumsum(counts)])

    def arrays(self) -> dict[str, np.ndarray]:
        """What the workers load."""
        return {
            "num_nodes": np.asarray(self.num_nodes),
            "senders": self.senders,
            "receivers": self.receivers,
            "weights": self.weights,
            "indptr": self.indptr,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Interactions:
    """Who interacted with what: different pairs, sorted by user.

    Attributes:
        num_users: U.
        num_items: I.
        users: (P,) int32, ascending.
        items: (P,) int32.
    """

    num_users: int
    num_items: int
    users: np.ndarray
    items: np.ndarray

    def edges(self) -> Edges:
        """Both directions; item i is node num_users + i; symmetrically normalised."""
        items = self.items + self.num_users
        return normalised(
            np.concatenate([self.users, items]),
            np.concatenate([items, self.users]),
            self.num_users + self.num_items,
        )


def gowalla() -> Interactions:
    """The train part of the published LightGCN split of Gowalla: 810,128 pairs.

    Raises:
        Unavailable: If no mirror serves it.
    """
    dataset = _loaded("gowalla")
    split = split_published(dataset, seed=0, valid_share=0.0)
    return _interactions(split.training().csr(), num_items=dataset.num_items)


def ml_100k() -> Interactions:
    """All 100,000 pairs of MovieLens-100K.

    Raises:
        Unavailable: If no mirror serves it.
    """
    dataset = _loaded("ml-100k")
    pairs = Csr.from_pairs(dataset.users, dataset.items, dataset.num_users)
    return _interactions(pairs, num_items=dataset.num_items)


def film_texts() -> list[str]:
    """Title, year and genres of each of MovieLens-100K's 1,682 films.

    One has neither, and gets the title that stands in the file.

    Raises:
        Unavailable: If no mirror serves it.
    """
    return [text or "unknown" for text in _loaded("ml-100k").item_texts]


def random_pairs(
    num_users: int, num_items: int, num_pairs: int, *, seed: int, exponent: float = 0.6
) -> Interactions:
    """Different pairs whose ends are drawn by a power law, for where no data are.

    Each user has one pair at least. Ends are drawn as in `power_law`, and again until
    there are enough that differ.

    Args:
        num_users: U.
        num_items: I.
        num_pairs: P, from U to a third of U x I, so that drawing ends.
        seed: Of every draw.
        exponent: Skew of users and of items.
    """
    if not num_users <= num_pairs <= num_users * num_items // 3:
        raise ValueError(
            f"num_pairs: expected {num_users} to {num_users * num_items // 3}, "
            f"got {num_pairs}"
        )
    random = np.random.default_rng(seed)
    draw_user = _by_rank(num_users, exponent, random)
    draw_item = _by_rank(num_items, exponent, random)
    firsts = np.arange(num_users) * num_items + draw_item(num_users)
    keys = firsts
    while len(keys) < num_pairs:
        drawn = draw_user(num_pairs).astype(np.int64) * num_items + draw_item(num_pairs)
        keys = np.union1d(keys, drawn)
    # Those that are too many go, but never a user's first.
    others = np.setdiff1d(keys, firsts, assume_unique=True)
    kept = random.permutation(others)[: num_pairs - num_users]
    keys = np.sort(np.concatenate([firsts, kept]))
    return Interactions(
        num_users=num_users,
        num_items=num_items,
        users=(keys // num_items).astype(np.int32),
        items=(keys % num_items).astype(np.int32),
    )


def power_law(
    num_nodes: int, num_edges: int, *, seed: int, exponent: float = 0.8
) -> Edges:
    """A symmetric graph whose ends are drawn by a power law of the nodes' rank.

    Both ends of each of `num_edges / 2` pairs are drawn with probabilities
    proportional to rank ** -exponent (Chung and Lu 2002: degrees with a tail of
    exponent 1 + 1 / `exponent`, here 2.25), and each pair gives two directed edges.
    Ranks are laid over the node numbers at random, so that nothing is local by luck.
    Repeated edges and self-edges stay: they are work like any other.

    Args:
        num_nodes: N.
        num_edges: E, even.
        seed: Of every draw.
        exponent: Skew; 0 is uniform.
    """
    draw = _by_rank(num_nodes, exponent, np.random.default_rng(seed))
    first, second = draw(num_edges // 2), draw(num_edges // 2)
    return normalised(
        np.concatenate([first, second]), np.concatenate([second, first]), num_nodes
    )


def _by_rank(
    count: int, exponent: float, random: np.random.Generator
) -> Callable[[int], np.ndarray]:
    """Draws int32 numbers below `count`, which have ranks at random."""
    cumulative = np.cumsum(np.arange(1, count + 1, dtype=np.float64) ** -exponent)
    cumulative /= cumulative[-1]
    number_of_rank = random.permutation(count).astype(np.int32)

    def draw(size: int) -> np.ndarray:
        ranks = np.searchsorted(cumulative, random.random(size), side="right")
        return number_of_rank[np.minimum(ranks, count - 1)]

    return draw


def _loaded(name: str) -> Dataset:
    try:
        return catalog.load(name)
    except UserError as error:
        raise Unavailable(str(error)) from None


def _interactions(pairs: Csr, *, num_items: int) -> Interactions:
    return Interactions(
        num_users=pairs.num_rows,
        num_items=num_items,
        users=np.repeat(np.arange(pairs.num_rows, dtype=np.int32), pairs.counts()),
        items=pairs.indices,
    )


def normalised(senders: np.ndarray, receivers: np.ndarray, num_nodes: int) -> Edges:
    """Sorts directed edges, and weighs them by 1 / sqrt(d_u d_v), d the in-degree."""
    # One key to sort by: several times as fast as a lexicographic sort at 50 M edges.
    keys = receivers.astype(np.int64) * num_nodes + senders
    keys.sort()
    receivers = (keys // num_nodes).astype(np.int32)
    senders = (keys % num_nodes).astype(np.int32)
    degrees = np.maximum(np.bincount(receivers, minlength=num_nodes), 1.0)
    scale = 1.0 / np.sqrt(degrees)
    return Edges(
        num_nodes=num_nodes,
        senders=senders,
        receivers=receivers,
        weights=(scale[senders] * scale[receivers]).astype(np.float32),
    )


def skew(num_nodes: int, receivers: np.ndarray) -> str:
    """The in-degrees in words, to be printed beside what was measured on them."""
    degrees = np.sort(np.bincount(receivers, minlength=num_nodes))[::-1]
    top = degrees[: max(1, num_nodes // 100)].sum() / max(1, degrees.sum())
    return (
        f"{num_nodes:,} nodes, {len(receivers):,} directed edges, degree mean "
        f"{degrees.mean():.1f}, median {np.median(degrees):.0f}, max {degrees[0]:,}; "
        f"{top:.0%} of the edges at 1% of the nodes."
    )


def feature_table(num_nodes: int, width: int, *, seed: int) -> np.ndarray:
    """(N, width) float32, standard normal."""
    random = np.random.default_rng(seed)
    return random.standard_normal((num_nodes, width), dtype=np.float32)
