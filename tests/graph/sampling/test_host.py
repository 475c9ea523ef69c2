"""The host sampler: the device's blocks, in order, by a thread that always ends."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.sampling import (
    HostSampler,
    SampleRequest,
    SampleTable,
    gather_features,
    sample_tree,
)

FANOUTS = ((2, 1, 1), (1, 1, 1))
FEATURES = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)


def requests(count: int, first: int = 0) -> Iterator[SampleRequest]:
    for step in range(first, first + count):
        rng = np.random.default_rng(step)
        seeds = rng.integers(0, 40, 6)
        yield SampleRequest(
            key=jax.random.fold_in(jax.random.key(1), step),
            seeds=seeds,
            excluded_pairs=np.stack([seeds, rng.integers(0, 40, 6)], 1),
            rows=np.arange(6) + 10,
        )


@pytest.fixture
def sampler(multigraph: Any) -> HostSampler:
    return HostSampler(
        table=multigraph.table, features=FEATURES, fanouts=FANOUTS, weighted=True
    )


def working() -> int:
    return sum(thread.name == "host-sampler" for thread in threading.enumerate())


def test_blocks_are_the_devices_own(sampler: HostSampler, tmp_path: Path) -> None:
    table = sampler.table.to_device()
    sampler.table.save(tmp_path)
    np.save(tmp_path / "features.npy", FEATURES)
    mapped = HostSampler(
        table=SampleTable.open(tmp_path),
        features=np.load(tmp_path / "features.npy", mmap_mode="r"),
        fanouts=FANOUTS,
        weighted=True,
    )

    @jax.jit
    def on_device(request: Any, table: SampleTable, features: jax.Array) -> Any:
        tree = sample_tree(
            request["key"],
            table,
            request["seeds"],
            fanouts=FANOUTS,
            weighted=True,
            excluded_pairs_B2=request["excluded_pairs"],
            rows_B=request["rows"],
        )
        return tree, gather_features(features, tree)

    with mapped.blocks(requests(5)) as blocks:
        made = list(blocks)
    assert len(made) == 5
    for request, block in zip(requests(5), made, strict=True):
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(block))
        expected = on_device(vars(request), table, jnp.asarray(FEATURES))
        assert jax.tree.structure(tuple(block)) == jax.tree.structure(expected)
        for left, right in zip(
            jax.tree.leaves(block), jax.tree.leaves(expected), strict=True
        ):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)


def test_blocks_come_in_order_and_not_too_far_ahead(sampler: HostSampler) -> None:
    asked: list[int] = []

    def counted() -> Iterator[SampleRequest]:
        for number, request in enumerate(requests(12)):
            asked.append(number)
            yield request

    with sampler.blocks(counted(), ahead=2) as blocks:
        for taken, (block, request) in enumerate(
            zip(blocks, requests(12), strict=True), 1
        ):
            np.testing.assert_array_equal(block.tree.seeds, request.seeds)
            # Two wait, one is in the making.
            assert len(asked) <= taken + 3
    assert asked == list(range(12))
    assert working() == 0
    assert list(blocks) == []


def test_an_error_is_raised_in_its_place(sampler: HostSampler) -> None:
    def failing() -> Iterator[SampleRequest]:
        yield from requests(2)
        raise OSError("the disk is gone")

    with sampler.blocks(failing()) as blocks:
        next(blocks)
        next(blocks)
        with pytest.raises(OSError, match="the disk is gone"):
            next(blocks)
        assert list(blocks) == []
    assert working() == 0

    wrong = SampleRequest(key=jax.random.key(0), seeds=np.asarray([1000]))
    with sampler.blocks([wrong]) as blocks, pytest.raises(UserError, match="seeds"):
        next(blocks)
    assert working() == 0


def test_leaving_early_stops_the_thread(sampler: HostSampler) -> None:
    def endless() -> Iterator[SampleRequest]:
        while True:
            yield from requests(1)

    with sampler.blocks(endless()) as blocks:
        next(blocks)
        assert working() == 1
    assert working() == 0
    blocks.close()

    def interrupted() -> None:
        with sampler.blocks(endless()):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert working() == 0


def test_a_device_is_no_host(multigraph: Any) -> None:
    with pytest.raises(UserError, match="table: expected NumPy arrays"):
        HostSampler(
            table=multigraph.table.to_device(), features=FEATURES, fanouts=FANOUTS
        )
    with pytest.raises(UserError, match="features: expected NumPy arrays"):
        HostSampler(
            table=multigraph.table,
            features=jnp.asarray(FEATURES),  # type: ignore[arg-type]
            fanouts=FANOUTS,
        )
    sampler = HostSampler(table=multigraph.table, features=FEATURES, fanouts=FANOUTS)
    with pytest.raises(UserError, match="ahead: expected a number >= 1"):
        sampler.blocks([], ahead=0)
