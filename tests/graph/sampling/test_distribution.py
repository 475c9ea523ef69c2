"""What is drawn, against exact probabilities: chi-square of many draws."""

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from llmgnn_jax.graph.sampling import Hop, SampleTable, sample_table, sample_tree

DRAWS = 100_000
# What node 0 hears: sender -> weights of its edges. 3 is there twice; 6 is never drawn.
HEARD = {1: [1.0], 2: [2.0], 3: [0.5, 2.5], 4: [4.0], 5: [7.0], 6: [0.0]}
EDGES = [(sender, weight) for sender, held in HEARD.items() for weight in held]

Outcome = tuple[int, ...]


@pytest.fixture(scope="module")
def table() -> SampleTable:
    """Node 0 hears EDGES, node 1 a hub's worth, node 2 nobody."""
    senders = [sender for sender, _ in EDGES] + [7] * 1000
    weights = [weight for _, weight in EDGES] + [1.0] * 1000
    receivers = [0] * len(EDGES) + [1] * 1000
    order = np.random.default_rng(0).permutation(len(senders))
    return sample_table(
        *(np.asarray(part)[order] for part in (senders, receivers)),
        8,
        weights=np.asarray(weights)[order],
    ).to_device()


@functools.cache
def compiled(size: int, replace: bool, weighted: bool) -> Callable[..., Hop]:
    """(key, table, pair) -> a hop of DRAWS rows that are all the pair's first node."""

    @jax.jit
    def sample(key: jax.Array, table: SampleTable, pair: jax.Array) -> Hop:
        tree = sample_tree(
            key,
            table,
            jnp.full(DRAWS, pair[0]),
            fanouts=(size,),
            replace=replace,
            weighted=weighted,
            excluded_pairs_B2=jnp.broadcast_to(pair[None, :], (DRAWS, 2)),
        )
        return tree.hops[0]

    return sample


def drawn(
    table: SampleTable,
    size: int,
    *,
    replace: bool,
    weighted: bool,
    excluded: int = -1,
    node: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """(DRAWS, size) neighbours of a node and their mask, each row on its own."""
    sample = compiled(size, replace, weighted)
    pair = jnp.asarray([node, excluded], jnp.int32)
    hop = sample(jax.random.key(0), table, pair)
    return np.asarray(hop.nodes), np.asarray(hop.mask)


def p_value(outcomes: Sequence[Outcome], expected: dict[Outcome, Fraction]) -> float:
    """Of the chi-square test; what cannot happen must not."""
    counts = Counter(outcomes)
    possible = {outcome: p for outcome, p in expected.items() if p}
    assert set(counts) <= set(possible)
    assert sum(possible.values()) == 1
    observed = [counts[outcome] for outcome in possible]
    wanted = np.asarray([float(p) for p in possible.values()]) * len(outcomes)
    return float(stats.chisquare(observed, wanted * (sum(observed) / wanted.sum()))[1])


def independent(units: dict[int, Fraction], size: int) -> dict[Outcome, Fraction]:
    """Ordered draws with replacement, in proportion to units."""
    total = sum(units.values())
    out: dict[Outcome, Fraction] = {}
    for outcome in itertools.product(units, repeat=size):
        p = Fraction(1)
        for node in outcome:
            p *= units[node] / total
        out[outcome] = p
    return out


def successive(edges: list[tuple[int, Fraction]], size: int) -> dict[Outcome, Fraction]:
    """Ordered draws of different edges, each in proportion to what is left."""
    out: Counter[Outcome] = Counter()
    for places in itertools.permutations(range(len(edges)), size):
        p, left = Fraction(1), sum(units for _, units in edges)
        for place in places:
            units = edges[place][1]
            p *= units / left if left else 0
            left -= units
        out[tuple(edges[place][0] for place in places)] += p
    return dict(out)


def exact(weight: float) -> Fraction:
    return Fraction(weight).limit_denominator(1000)


def kept(excluded: int) -> list[tuple[int, Fraction]]:
    return [(node, exact(weight)) for node, weight in EDGES if node != excluded]


def by_node(
    edges: list[tuple[int, Fraction]], units: Callable[[Fraction], Fraction]
) -> dict[int, Fraction]:
    out: Counter[int] = Counter()
    for node, weight in edges:
        out[node] += units(weight)
    return dict(out)


def one(_: Fraction) -> Fraction:
    return Fraction(1)


# Nobody, a neighbour in the middle, the doubled one, the last one, one that is no
# neighbour.
@pytest.mark.parametrize("excluded", [-1, 2, 3, 6, 7])
class TestExactProbabilities:
    def test_uniform_with_replacement(self, table: SampleTable, excluded: int) -> None:
        nodes, mask = drawn(table, 2, replace=True, weighted=False, excluded=excluded)
        assert mask.all()
        expected = independent(by_node(kept(excluded), one), 2)
        assert p_value([tuple(row) for row in nodes.tolist()], expected) > 1e-3

    def test_uniform_without(self, table: SampleTable, excluded: int) -> None:
        nodes, mask = drawn(table, 3, replace=False, weighted=False, excluded=excluded)
        assert mask.all()
        edges = [node for node, _ in kept(excluded)]
        sets = [tuple(sorted(s)) for s in itertools.combinations(edges, 3)]
        expected = {
            outcome: Fraction(times, len(sets))
            for outcome, times in Counter(sets).items()
        }
        assert p_value([tuple(sorted(row)) for row in nodes.tolist()], expected) > 1e-3

    def test_weighted_with_replacement(self, table: SampleTable, excluded: int) -> None:
        nodes, mask = drawn(table, 2, replace=True, weighted=True, excluded=excluded)
        assert mask.all()
        expected = independent(by_node(kept(excluded), lambda weight: weight), 2)
        assert p_value([tuple(row) for row in nodes.tolist()], expected) > 1e-3

    def test_weighted_without(self, table: SampleTable, excluded: int) -> None:
        nodes, mask = drawn(table, 3, replace=False, weighted=True, excluded=excluded)
        assert mask.all()
        expected = successive(kept(excluded), 3)
        assert p_value([tuple(row) for row in nodes.tolist()], expected) > 1e-3


def test_the_test_tells_distributions_apart(table: SampleTable) -> None:
    nodes, _ = drawn(table, 1, replace=True, weighted=False)
    outcomes = [tuple(row) for row in nodes.tolist()]
    right = independent(by_node(kept(-1), one), 1)
    slightly_off = {**right, (1,): right[1,] * 21 / 20}
    slightly_off[2,] -= slightly_off[1,] - right[1,]
    assert p_value(outcomes, slightly_off) < 1e-3 < p_value(outcomes, right)


def test_draws_are_independent_from_slot_to_slot_and_hop_to_hop() -> None:
    # Two nodes that hear one another and themselves: each slot is a fair coin.
    both = np.asarray([0, 1, 0, 1]), np.asarray([0, 0, 1, 1])
    table = sample_table(*both, 2).to_device()
    tree = jax.jit(
        lambda: sample_tree(
            jax.random.key(2),
            table,
            jnp.zeros(DRAWS, jnp.int32),
            fanouts=(1, 2),
            replace=True,
        )
    )()
    first = np.asarray(tree.hops[0].nodes)
    second = np.asarray(tree.hops[1].nodes)
    outcomes = [tuple(row) for row in np.concatenate([first, second], 1).tolist()]
    fair = dict.fromkeys(itertools.product((0, 1), repeat=3), Fraction(1, 8))
    assert p_value(outcomes, fair) > 1e-3


@pytest.mark.parametrize("weighted", [False, True])
def test_each_once_where_there_are_too_few(table: SampleTable, weighted: bool) -> None:
    nodes, mask = drawn(table, 9, replace=False, weighted=weighted)
    # The weight of 6 is 0.
    expected = [node for node, weight in EDGES if weight or not weighted]
    assert (mask.sum(axis=1) == len(expected)).all()
    assert mask[:, : len(expected)].all()
    everyone = np.sort(nodes[:, : len(expected)], axis=1)
    np.testing.assert_array_equal(everyone, np.tile(expected, (DRAWS, 1)))
    assert (nodes[:, len(expected) :] == 0).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("replace", [False, True])
def test_nothing_is_drawn_where_nothing_is(
    table: SampleTable, replace: bool, weighted: bool
) -> None:
    # Nobody there; and everybody there excluded.
    for node, excluded in ((2, -1), (1, 7)):
        nodes, mask = drawn(
            table, 3, replace=replace, weighted=weighted, node=node, excluded=excluded
        )
        assert not mask.any()
        assert not nodes.any()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("replace", [False, True])
def test_hubs_are_drawn_from_evenly(
    table: SampleTable, replace: bool, weighted: bool
) -> None:
    rows = 20_000
    tree = sample_tree(
        jax.random.key(8),
        jax.tree.map(np.asarray, table),
        np.ones(rows, np.int32),
        fanouts=(5,),
        replace=replace,
        weighted=weighted,
    )
    edges = np.asarray(tree.hops[0].edge_ids)
    if not replace:
        assert all(len(set(row)) == 5 for row in edges[:1000].tolist())
    counts = np.asarray(list(Counter(edges.ravel().tolist()).values()))
    assert len(counts) == 1000
    # Without replacement the counts vary by 995 / 999 of that.
    assert stats.chisquare(counts)[1] > 1e-3


def test_relations_are_drawn_apart() -> None:
    senders = np.asarray([1, 2, 3, 4, 5, 6, 7])
    relations = np.asarray([0, 0, 0, 2, 2, 2, 2])
    table = sample_table(
        senders, np.zeros(7, np.int64), 8, relations=relations, num_relations=3
    ).to_device()
    tree = jax.jit(
        lambda: sample_tree(
            jax.random.key(0),
            table,
            jnp.zeros(DRAWS, jnp.int32),
            fanouts=((1, 2, 2),),
        )
    )()
    assert tree.hops[0].mask.all(axis=0).tolist() == [True, False, False, True, True]
    nodes = np.asarray(tree.hops[0].nodes)
    outcomes = [
        (first, *sorted(others)) for first, *others in nodes[:, [0, 3, 4]].tolist()
    ]
    pairs = list(itertools.combinations((4, 5, 6, 7), 2))
    expected = {
        (first, *pair): Fraction(1, 18) for first in (1, 2, 3) for pair in pairs
    }
    assert p_value(outcomes, expected) > 1e-3
