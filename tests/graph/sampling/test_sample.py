"""Trees: what hangs together, who decides the draws, and how often it compiles."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.sampling import SampledTree, sample_table, sample_tree

FANOUTS = ((2, 0, 3), (1, 2, 4))
SEEDS = np.asarray([7, 0, 36, 7, 12, -1, 34])
KEY = jax.random.key(0)

modes = pytest.mark.parametrize(
    ("replace", "weighted"),
    [(False, False), (False, True), (True, False), (True, True)],
)


def jitted(table: Any, **options: Any) -> Callable[..., SampledTree]:
    """`sample_tree` of FANOUTS; operation by operation it compiles for seconds."""

    @jax.jit
    def sample(key: jax.Array, table: Any, seeds: Any, **rest: Any) -> SampledTree:
        return sample_tree(key, table, seeds, fanouts=FANOUTS, **options, **rest)

    return functools.partial(sample, table=table.to_device())


def leaves(tree: SampledTree) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def pairs_of(graph: Any) -> np.ndarray:
    """For each seed a pair with one of its neighbours; none for the first."""
    pairs = np.full((len(SEEDS), 2), -1)
    for row, seed in enumerate(SEEDS.tolist()[1:], 1):
        heard = [e for r in range(3) for e in graph.into(seed, r)]
        if heard:
            pairs[row] = [seed, graph.senders[heard[-1]]][:: 1 - 2 * (row % 2)]
    return pairs


@modes
@pytest.mark.parametrize("excluding", [False, True])
def test_against_a_slow_loop(
    multigraph: Any, replace: bool, weighted: bool, excluding: bool
) -> None:
    pairs = pairs_of(multigraph) if excluding else np.full((len(SEEDS), 2), -1)
    tree = sample_tree(
        KEY,
        multigraph.table,
        SEEDS,
        fanouts=FANOUTS,
        replace=replace,
        weighted=weighted,
        excluded_pairs_B2=pairs,
    )
    assert tree.num_nodes == 7 + 7 * 5 + 35 * 7 == len(tree.node_ids)
    parents, real = SEEDS.tolist(), (SEEDS >= 0).tolist()
    excluded_once = 0
    for hop, fanout in zip(tree.hops, FANOUTS, strict=True):
        nodes, mask, edges = (
            np.asarray(part).tolist() for part in (hop.nodes, hop.mask, hop.edge_ids)
        )
        for place, parent in enumerate(parents):
            pair = pairs[place * len(SEEDS) // len(parents)].tolist()
            other = pair[1 - pair.index(parent)] if parent in pair else -1
            first = 0
            for relation, slots in enumerate(fanout):
                heard = multigraph.into(parent, relation) if real[place] else []
                possible = [
                    e
                    for e in heard
                    if multigraph.senders[e] != other
                    and (multigraph.weights[e] > 0 or not weighted)
                ]
                excluded_once += other in multigraph.senders[heard]
                part = slice(first, first + slots)
                drawn = [
                    (node, edge)
                    for node, edge, there in zip(
                        nodes[place][part],
                        edges[place][part],
                        mask[place][part],
                        strict=True,
                    )
                    if there
                ]
                assert all(edge in possible for _, edge in drawn)
                assert all(multigraph.senders[edge] == node for node, edge in drawn)
                if replace:
                    assert len(drawn) == (slots if possible else 0)
                else:
                    assert len(drawn) == min(slots, len(possible))
                    assert len({edge for _, edge in drawn}) == len(drawn)
                first += slots
        parents = np.asarray(nodes).ravel().tolist()
        real = np.asarray(mask).ravel().tolist()
    assert (excluded_once > 5) == excluding


@pytest.mark.slow
@modes
def test_the_host_draws_what_the_device_draws(
    multigraph: Any, replace: bool, weighted: bool
) -> None:
    seeds = np.random.default_rng(0).integers(-1, 40, 200)
    pairs = np.random.default_rng(1).integers(-1, 40, (200, 2))
    pairs[:100, 0] = seeds[:100]
    rows = np.random.default_rng(2).permutation(1000)[:200]

    mode = {"replace": replace, "weighted": weighted}
    given = {"seeds": seeds, "excluded_pairs_B2": pairs, "rows_B": rows}
    on_device = jitted(multigraph.table, **mode)(KEY, **given)
    given["seeds_B"] = given.pop("seeds")
    on_host = sample_tree(KEY, multigraph.table, fanouts=FANOUTS, **mode, **given)
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(on_host))
    for left, right in zip(leaves(on_host), leaves(on_device), strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    for name in ("node_ids", "node_mask", "edge_ids", "edge_mask", "relations"):
        left, right = getattr(on_host, name), getattr(on_device, name)
        np.testing.assert_array_equal(left, right)
    values = np.random.default_rng(0).normal(size=(700, 2)).astype(np.float32)
    np.testing.assert_array_equal(
        on_host.edge_values(values), on_device.edge_values(jnp.asarray(values))
    )


@modes
def test_a_row_draws_the_same_wherever_it_stands(
    multigraph: Any, replace: bool, weighted: bool
) -> None:
    seeds = np.random.default_rng(0).integers(0, 40, 64)
    compiled = jitted(multigraph.table, replace=replace, weighted=weighted)

    def sample(rows: np.ndarray) -> list[np.ndarray]:
        tree = compiled(KEY, seeds=seeds[rows], rows_B=rows)
        # By seed.
        return [leaf.reshape(len(rows), -1) for leaf in leaves(tree)]

    # Halves of the same shape: nothing is compiled again.
    whole = [
        np.concatenate(halves)
        for halves in zip(sample(np.arange(32)), sample(np.arange(32, 64)), strict=True)
    ]
    rows = np.random.default_rng(1).permutation(64)[:32]
    for left, right in zip(whole, sample(rows), strict=True):
        np.testing.assert_array_equal(left[rows], right)


def test_the_key_decides(multigraph: Any) -> None:
    def sample(seed: int) -> list[int]:
        tree = sample_tree(
            jax.random.key(seed), multigraph.table, SEEDS, fanouts=FANOUTS
        )
        return tree.node_ids.tolist()

    assert sample(1) == sample(1) != sample(2)


@pytest.mark.slow
def test_a_thousand_steps_compile_once(
    multigraph: Any, caplog: pytest.LogCaptureFixture
) -> None:
    table = multigraph.table.to_device()

    @jax.jit
    def step(root: jax.Array, number: jax.Array, table: Any) -> jax.Array:
        key = jax.random.fold_in(root, number)
        seeds = jax.random.randint(key, (4,), 0, 40)
        return sample_tree(key, table, seeds, fanouts=FANOUTS).node_ids

    def compiled() -> int:
        found = [r for r in caplog.records if "Compiling" in r.getMessage()]
        return len(found)

    numbers = [np.int32(number) for number in range(1000)]
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        step(KEY, numbers[0], table).block_until_ready()
        once = compiled()
        assert once >= 1
        separate = [np.asarray(step(KEY, number, table)) for number in numbers]
        assert compiled() == once
    assert step._cache_size() == 1  # type: ignore[attr-defined]

    @jax.jit
    def scanned(root: jax.Array, numbers: jax.Array, table: Any) -> jax.Array:
        return jax.lax.scan(
            lambda _, number: (None, step(root, number, table)), None, numbers
        )[1]

    together = scanned(KEY, jnp.arange(1000), table)
    np.testing.assert_array_equal(together, np.stack(separate))
    assert len({row.tobytes() for row in separate}) == 1000


def test_under_vmap(multigraph: Any) -> None:
    table = multigraph.table.to_device()
    keys = jax.random.split(KEY, 3)

    @jax.jit
    def sample(key: jax.Array) -> jax.Array:
        return sample_tree(key, table, jnp.asarray(SEEDS), fanouts=FANOUTS).node_ids

    together = jax.vmap(sample)(keys)
    for key, row in zip(keys, together, strict=True):
        np.testing.assert_array_equal(sample(key), row)


def test_a_graph_without_edges() -> None:
    none = np.zeros(0, int)
    table = sample_table(
        none, none, 3, weights=np.zeros(0), relations=none, num_relations=3
    )
    seeds = np.asarray([0, 2])
    for weighted in (False, True):
        host = sample_tree(KEY, table, seeds, fanouts=FANOUTS[:1], weighted=weighted)
        device = jitted(table, weighted=weighted)(KEY, seeds=seeds)
        for tree in (host, device):
            assert not np.asarray(tree.edge_mask).any()
            assert np.asarray(tree.node_ids)[:12].tolist() == [0, 2] + [0] * 10


@pytest.mark.parametrize(
    ("fanouts", "message"),
    [
        ((), "fanouts: expected one hop at least"),
        ((3,), "for each hop 3 numbers >= 0, not all 0"),
        (((1, 2, -1),), "for each hop 3 numbers"),
        (((0, 0, 0),), "for each hop 3 numbers"),
        (((1, 2.0, 3),), "fanouts: expected whole numbers"),
        ((1.5,), "fanouts: expected whole numbers"),
    ],
)
def test_fanouts_that_are_none(
    multigraph: Any, fanouts: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        sample_tree(KEY, multigraph.table, SEEDS, fanouts=fanouts)


def test_weights_that_are_not_there() -> None:
    table = sample_table(np.asarray([0]), np.asarray([0]), 1)
    with pytest.raises(UserError, match="give sample_table its weights"):
        sample_tree(KEY, table, np.asarray([0]), fanouts=(1,), weighted=True)


def test_fanouts_of_numpy(multigraph: Any) -> None:
    wanted = sample_tree(KEY, multigraph.table, SEEDS, fanouts=FANOUTS)
    rows = np.asarray(FANOUTS)
    for fanouts in (rows, tuple(rows), [tuple(row) for row in rows]):
        tree = sample_tree(KEY, multigraph.table, SEEDS, fanouts=fanouts)
        assert jax.tree.structure(tree) == jax.tree.structure(wanted)
        np.testing.assert_array_equal(tree.node_ids, wanted.node_ids)
    table = sample_table(np.asarray([1]), np.asarray([0]), 2)
    for fanout in (np.int64(3), np.asarray(3)):
        tree = sample_tree(KEY, table, np.asarray([0]), fanouts=(fanout,))
        assert tree.fanouts == ((3,),)
        assert type(tree.fanouts[0][0]) is int


@pytest.mark.parametrize("seed", [-2, 40, 2**32])
@pytest.mark.parametrize("on_host", [True, False])
def test_seeds_that_are_no_nodes(multigraph: Any, seed: int, on_host: bool) -> None:
    table = multigraph.table if on_host else multigraph.table.to_device()
    given = [np.asarray([0, seed]), [0, seed]]
    if seed < 2**31:
        given.append(jnp.asarray([0, seed]))
    for seeds in given:
        with pytest.raises(
            ValueError, match=rf"seeds: expected numbers in \[-1, 40\), got {seed}"
        ):
            sample_tree(KEY, table, seeds, fanouts=FANOUTS)


def test_known_seeds_are_checked_while_a_program_is_compiled(multigraph: Any) -> None:
    table = multigraph.table.to_device()

    @jax.jit
    def closed(key: jax.Array) -> SampledTree:
        return sample_tree(key, table, jnp.asarray([40]), fanouts=FANOUTS)

    @jax.jit
    def known(key: jax.Array) -> SampledTree:
        return sample_tree(key, table, np.asarray([40]), fanouts=FANOUTS)

    with pytest.raises(ValueError, match="got 40"):
        known(KEY)
    # A traced array may hold anything: its shape is all that is known.
    traced = jitted(multigraph.table)(KEY, seeds=jnp.asarray([40]))
    assert traced.num_nodes == jax.eval_shape(closed, KEY).num_nodes
