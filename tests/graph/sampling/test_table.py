"""The table: order, whole-numbered weights, files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.sampling import SampleTable, sample_table
from llmgnn_jax.graph.sampling.table import TOTAL


def test_rows_hold_each_edge_once(multigraph: Any) -> None:
    table = multigraph.table
    assert table.num_nodes == 40
    assert sorted(table.edge_ids.tolist()) == list(range(700))
    for node in range(40):
        for relation in range(3):
            row = node * 3 + relation
            part = slice(table.indptr[row], table.indptr[row + 1])
            edges = table.edge_ids[part].tolist()
            assert sorted(edges) == multigraph.into(node, relation)
            neighbours = table.neighbours[part].tolist()
            assert neighbours == multigraph.senders[edges].tolist()
            assert neighbours == sorted(neighbours)
    longest = int(np.diff(table.indptr).max())
    assert 2**table.search_steps > longest >= 2 ** (table.search_steps - 1)


def test_the_edges_that_leave() -> None:
    there = sample_table(np.asarray([0, 0]), np.asarray([1, 2]), 3, ends="receivers")
    assert there.indptr.tolist() == [0, 2, 2, 2]
    assert there.neighbours.tolist() == [1, 2]


def test_weights_become_whole_numbers() -> None:
    weights = np.asarray([1.0, 2.0, 0.0, 1e-30, 5.0, 1e300, 1e300])
    receivers = np.asarray([0, 0, 0, 0, 1, 2, 2])
    table = sample_table(np.arange(7), receivers, 7, weights=weights)
    assert table.cumulative is not None
    assert table.cumulative.dtype == np.uint32
    units = np.diff(table.cumulative[:4].astype(np.int64), prepend=0).tolist()
    assert units == [round(TOTAL / 3), round(2 * TOTAL / 3), 0, 1]
    assert table.cumulative[4:].tolist() == [TOTAL, TOTAL // 2, TOTAL]


def test_rows_of_many_small_weights_stay_in_range() -> None:
    # All but one weight are below what a whole number resolves.
    weights = np.full(50_000, 1e-15)
    weights[0] = 1.0
    zeros = np.zeros(50_000, np.int64)
    table = sample_table(zeros, zeros, 1, weights=weights)
    assert table.cumulative is not None
    assert int(table.cumulative[-1]) == TOTAL + 49_999


def test_files(multigraph: Any, tmp_path: Path) -> None:
    multigraph.table.save(tmp_path / "table")
    opened = SampleTable.open(tmp_path / "table")
    assert isinstance(opened.neighbours, np.memmap)
    assert opened.num_relations == 3
    assert opened.search_steps == multigraph.table.search_steps
    for name in ("indptr", "neighbours", "edge_ids", "cumulative"):
        np.testing.assert_array_equal(
            getattr(opened, name), getattr(multigraph.table, name)
        )
    unweighted = sample_table(np.asarray([0]), np.asarray([0]), 1)
    unweighted.save(tmp_path / "other")
    assert SampleTable.open(tmp_path / "other").cumulative is None
    with pytest.raises(UserError, match=r"a folder that SampleTable\.save wrote"):
        SampleTable.open(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"senders": [0, 5]}, r"senders: expected numbers in \[0, 3\), got 0 to 5"),
        ({"receivers": [-1, 0]}, "receivers: expected numbers"),
        ({"receivers": [0]}, r"receivers: expected shape \(2,\), got \(1,\)"),
        ({"relations": [0, 2]}, r"relations: expected numbers in \[0, 2\)"),
        ({"weights": [1.0]}, r"weights: expected shape \(2,\)"),
        ({"weights": [1.0, np.nan]}, "weights: expected finite numbers >= 0, got nan"),
        ({"weights": [1.0, -2.0]}, r"weights: expected finite numbers >= 0, got -2\.0"),
    ],
)
def test_what_is_no_graph(change: dict[str, list[float]], message: str) -> None:
    given = {"senders": [0, 1], "receivers": [1, 2]}
    arrays = {name: np.asarray(part) for name, part in {**given, **change}.items()}
    with pytest.raises(UserError, match=message):
        sample_table(**arrays, num_nodes=3, num_relations=2)  # type: ignore[arg-type]
