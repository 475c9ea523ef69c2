"""The graphs that benchmarks run on, and the plot."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from benchmarks import graphs
from benchmarks.harness import Unavailable
from benchmarks.plot import Line, chart


def test_edges_are_sorted_and_normalised() -> None:
    edges = graphs.normalised(np.array([2, 0, 1, 2]), np.array([1, 2, 2, 0]), 4)
    assert edges.receivers.tolist() == [0, 1, 2, 2]
    assert edges.senders.tolist() == [2, 2, 0, 1]
    # In-degrees 1, 1, 2, 0.
    assert edges.weights == pytest.approx([2**-0.5] * 4)
    assert edges.indptr.tolist() == [0, 1, 2, 4, 4]


def test_interactions_become_edges_in_both_directions() -> None:
    pairs = graphs.Interactions(
        num_users=2,
        num_items=2,
        users=np.array([0, 0, 1], np.int32),
        items=np.array([0, 1, 1], np.int32),
    )
    edges = pairs.edges()
    found = set(zip(edges.senders.tolist(), edges.receivers.tolist(), strict=True))
    assert found == {(0, 2), (2, 0), (0, 3), (3, 0), (1, 3), (3, 1)}


def test_power_law_is_symmetric_seeded_and_skewed() -> None:
    edges = graphs.power_law(1000, 20_000, seed=0)
    assert len(edges.senders) == 20_000
    assert (np.diff(edges.receivers) >= 0).all()
    there = np.sort(edges.senders.astype(np.int64) * 1000 + edges.receivers)
    back = np.sort(edges.receivers.astype(np.int64) * 1000 + edges.senders)
    np.testing.assert_array_equal(there, back)
    again = graphs.power_law(1000, 20_000, seed=0)
    np.testing.assert_array_equal(edges.senders, again.senders)
    degrees = np.sort(np.bincount(edges.receivers, minlength=1000))[::-1]
    # rank ** -0.8 over 1000 ranks: the first has 1 / 15.6 of the mass.
    assert degrees[0] == pytest.approx(20_000 / 15.6, rel=0.1)
    uniform = graphs.power_law(1000, 20_000, seed=0, exponent=0.0)
    assert np.bincount(uniform.receivers).max() < 60
    assert "20,000 directed edges" in graphs.skew(1000, edges.receivers)


def test_gowalla_is_the_published_split() -> None:
    try:
        pairs = graphs.gowalla()
    except Unavailable:
        pytest.skip("shared data out of reach")
    assert (pairs.num_users, pairs.num_items) == (29_858, 40_981)
    assert len(pairs.users) == 810_128
    keys = pairs.users.astype(np.int64) * pairs.num_items + pairs.items
    assert (np.diff(keys) > 0).all()


def test_absent_data_are_unavailable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LLMGNN_CACHE", str(tmp_path))
    monkeypatch.setenv("LLMGNN_OFFLINE", "1")
    for name in ("LLMGNN_MIRROR", "LLMGNN_SHARED"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Unavailable, match="gowalla"):
        graphs.gowalla()


def test_chart_is_well_formed_and_logarithmic() -> None:
    lines = [
        Line(name="a & b", points=[(1e6, 1.0), (1e7, 10.0), (1e8, 100.0)]),
        Line(name="flat", points=[(1e6, 5.0), (1e8, 5.0)], dashed=True),
    ]
    text = chart(lines, title="t", x_label="edges", y_label="ns")
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    curve, flat = root.iter(f"{space}polyline")
    points = [tuple(map(float, p.split(","))) for p in curve.get("points").split()]
    # Equal factors are equal distances.
    steps = np.diff(np.asarray(points), axis=0)
    np.testing.assert_allclose(steps[0], steps[1], atol=0.2)
    assert flat.get("stroke-dasharray")
    words = [text.text for text in root.iter(f"{space}text")]
    assert {"a & b", "flat", "edges", "ns", "10 M", "100 M"} <= set(words)
