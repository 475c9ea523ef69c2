"""Blocks by degree: every edge in one slot, little padding, hubs cut up."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.graph.buckets import MOST, WIDTHS, Block, Buckets, bucket_rows


def laid_out(
    degrees: list[int], *, weighted: bool = False
) -> tuple[Buckets, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    indptr = np.concatenate([[0], np.cumsum(degrees)]).astype(int)
    others = rng.integers(0, len(degrees), indptr[-1]).astype(np.int32)
    edges = rng.permutation(indptr[-1]).astype(np.int32)
    weights = rng.normal(size=indptr[-1]).astype(np.float32) if weighted else None
    return bucket_rows(indptr, others, edges, weights), indptr, others, edges


CASES = {
    "every width": [0, *WIDTHS, *(width + 1 for width in WIDTHS)],
    "none at all": [],
    "no edges": [0, 0, 0],
    "a hub": [0, MOST, MOST + 1, 3, 0],
    "hubs of hubs": [MOST * MOST, 1, MOST * MOST + 1, 3 * MOST],
}


def parts_of(buckets: Buckets) -> list[tuple[Block, int]]:
    """The rows of all blocks, in order."""
    return [
        (block, row) for block in buckets.blocks for row in range(len(block.counts))
    ]


def slots_of(buckets: Buckets, node: int) -> list[tuple[int, int]]:
    """(other, edge) of each slot that makes up a node, by following the rows."""
    parts = parts_of(buckets)
    row = int(buckets.row_of[node])
    if row == 0:
        return []
    if row <= len(parts):
        block, place = parts[row - 1]
        count = int(block.counts[place])
        return list(
            zip(
                np.asarray(block.others)[place, :count].tolist(),
                np.asarray(block.edges)[place, :count].tolist(),
                strict=True,
            )
        )
    assert buckets.hubs is not None
    found = []
    for part, _ in slots_of(buckets.hubs, row - 1 - len(parts)):
        block, place = parts[part]
        count = int(block.counts[place])
        found += zip(
            np.asarray(block.others)[place, :count].tolist(),
            np.asarray(block.edges)[place, :count].tolist(),
            strict=True,
        )
    return found


@pytest.mark.parametrize("name", CASES)
def test_each_edge_has_one_slot(name: str) -> None:
    buckets, indptr, others, edges = laid_out(CASES[name])
    degrees = np.diff(indptr)
    widths = [block.others.shape[1] for block in buckets.blocks]
    assert widths == sorted(set(widths))
    assert set(widths) <= set(WIDTHS)
    for node in np.flatnonzero(degrees <= MOST).tolist():
        inside = slice(indptr[node], indptr[node + 1])
        expected = zip(others[inside].tolist(), edges[inside].tolist(), strict=True)
        assert slots_of(buckets, node) == list(expected)
    assert (buckets.hubs is not None) == bool((degrees > MOST).any())
    total = sum(int(block.counts.sum()) for block in buckets.blocks)
    assert total == len(edges)
    for block in buckets.blocks:
        counts = np.asarray(block.mask).sum(axis=1)
        np.testing.assert_array_equal(counts, block.counts)
        # A row lies in the narrowest block that it fits: a third at most is padding.
        wider = [width for width in (0, *WIDTHS) if width < block.others.shape[1]]
        if len(edges):
            assert (counts > wider[-1]).all()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shape", [(), (3,)])
def test_sums_and_maxima(name: str, shape: tuple[int, ...]) -> None:
    buckets, indptr, _, edges = laid_out(CASES[name])
    values = np.random.default_rng(1).integers(-9, 9, (max(len(edges), 1), *shape))
    held = jnp.asarray(values, jnp.float32)

    def rows(block: Block, filler: float) -> jnp.ndarray:
        mask = block.mask.reshape(*block.others.shape, *[1] * len(shape))
        return jnp.where(mask, held[block.edges], filler)

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def both(buckets: Buckets) -> tuple[jax.Array, jax.Array]:
        sums = buckets.reduce(lambda block: rows(block, 0).sum(axis=1))
        return sums, buckets.maximum(lambda block: rows(block, -jnp.inf).max(axis=1))

    sums, highest = map(np.asarray, both(buckets))
    degrees = np.diff(indptr)
    assert sums.shape == highest.shape == (len(degrees), *shape)
    for node in range(len(degrees)):
        # Small integers: exact in any order.
        mine = values[edges[indptr[node] : indptr[node + 1]]]
        np.testing.assert_array_equal(sums[node], mine.sum(axis=0))
        expected = mine.max(axis=0) if len(mine) else np.full(shape, -np.inf)
        np.testing.assert_array_equal(highest[node], expected)


def test_weights_lie_beside_their_edges() -> None:
    degrees = [3, 0, 5, MOST + 2]
    buckets, indptr, _, edges = laid_out(degrees, weighted=True)
    weights = np.random.default_rng(0)
    weights.integers(0, 4, indptr[-1])
    weights.permutation(indptr[-1])
    of_edge = np.empty(indptr[-1], np.float32)
    of_edge[edges] = weights.normal(size=indptr[-1])
    for block in buckets.blocks:
        assert block.weights is not None
        mask = np.asarray(block.mask)
        expected = np.where(mask, of_edge[np.asarray(block.edges)], 0)
        np.testing.assert_array_equal(block.weights, expected)


def test_a_hub_costs_no_block_of_its_own_width() -> None:
    buckets, *_ = laid_out([100 * MOST, *[1] * 50])
    slots = sum(block.others.size for block in buckets.blocks)
    assert slots == 100 * MOST + 50
    assert buckets.hubs is not None
    assert sum(block.others.size for block in buckets.hubs.blocks) <= 128
