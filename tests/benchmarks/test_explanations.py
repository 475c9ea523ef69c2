"""The removal of cited edges: what is drawn from, and what all pairs say together."""

import numpy as np
import pytest

from benchmarks import results_page
from benchmarks.explanations import CITED, CONTROLS, markdown, pools, removed, summary
from tests.evidence.worlds import made_world


def test_edges_are_drawn_from_where_they_are_said_to_be() -> None:
    world = made_world(sides="graph", filter="item_item")
    edges = world.explainer.edges
    found = pools(edges, 0, 1)
    assert found[CONTROLS[0]].tolist() == list(range(len(edges)))
    user, item = edges.user_node(0), edges.item_node(1)
    liked = {other for ends in edges.ends.tolist() if user in ends for other in ends}
    two_steps = [
        edge for edge, ends in enumerate(edges.ends.tolist()) if liked & set(ends)
    ]
    assert found[CONTROLS[1]].tolist() == two_steps
    both = [
        edge
        for edge, ends in enumerate(edges.ends.tolist())
        if {user, item} & set(ends)
    ]
    assert found[CONTROLS[2]].tolist() == both
    assert len(both) < len(two_steps) < len(edges)
    row = removed(
        world.explainer, 0, 1, most_edges=3, draws=2, rng=np.random.default_rng(0)
    )
    assert row["cited"] == 3
    assert row["drop"][CITED] > row["drop"][CONTROLS[0]]
    assert row["error"] < 0.01


def _rows(count: int, cited: float, spread: float) -> list[dict]:
    rng = np.random.default_rng(2)
    return [
        {
            "score": 4.0,
            "cited": 12,
            "attributed": 2.5,
            "drop": {
                CITED: cited + spread * rng.normal(),
                **{name: 0.1 * place for place, name in enumerate(CONTROLS)},
            },
            "error": 0.001 * (1 + place % 3),
            "seconds": 0.2,
        }
        for place in range(count)
    ]


def test_pairs_are_put_together() -> None:
    clear = summary(_rows(80, 2.0, 0.1))
    assert clear["pairs"] == 80
    assert clear["largest_error"] == 0.003
    against = clear["against"][CONTROLS[2]]
    assert against["difference"] == pytest.approx(clear["drop"][CITED] - 0.2)
    assert against["ci95"][0] < against["difference"] < against["ci95"][1]
    assert against["larger"] == 1
    assert against["p"] < 0.001
    unclear = summary(_rows(80, 0.2, 1.0))["against"][CONTROLS[2]]
    assert unclear["p"] > 0.05
    assert 0.2 < unclear["larger"] < 0.8


def test_the_page_has_them(tmp_path) -> None:
    document = {
        "models": {"fused": summary(_rows(30, 2.0, 0.1))},
        "draws": 3,
        "command": "python -m benchmarks.explanations",
        "device": "cpu",
        "date": "2026-11-28T16:00:00+00:00",
    }
    told = markdown(document)
    assert "| fused | the cited edges | 2.0" in told
    assert "the largest error of a sum 0.30 % of the score" in told
    section = next(one for one in results_page.SECTIONS if one.file == "explanations")
    assert section.body is not None
    assert "all numbers](results/explanations.json)" in section.body(document, section)
