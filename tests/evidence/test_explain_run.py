"""A finished run is explained: from Python, on the command line, in its report."""

import base64
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from llmgnn_jax.config import Config, replace
from llmgnn_jax.errors import UserError
from llmgnn_jax.serving.recommender import NewItem, Recommender
from llmgnn_jax.training.run import fit

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture(scope="module")
def recommender(finished_run: Path, cache_folder: Path) -> Recommender:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
        return Recommender.load(finished_run)


def test_what_is_recommended_is_explained(recommender: Recommender) -> None:
    for user in ("u0", "u7"):
        for one in recommender.recommend(user=user, k=2):
            evidence = recommender.explain(user=user, item=one.id, most_edges=5)
            assert evidence.score == pytest.approx(one.score, rel=1e-4, abs=1e-5)
            assert (evidence.user.id, evidence.item.id) == (user, one.id)
            assert evidence.item.name == one.title
            assert len(evidence.edges) == 5
            assert abs(evidence.residual) <= 0.01 * abs(evidence.score)
            assert evidence.text is not None
            others = {
                end.id
                for edge in evidence.edges
                for end in (edge.head, edge.tail)
                if end.kind == "user"
            }
            assert others <= {user, ""}


def test_others_are_named_if_they_are_asked_for(recommender: Recommender) -> None:
    item = recommender.recommend(user="u0", k=1)[0].id
    shown = recommender.explain(user="u0", item=item, most_edges=60, show_ids=True)
    hidden = recommender.explain(user="u0", item=item, most_edges=60)
    assert shown.score == hidden.score
    ends = [
        (one.head.id, other.head.id)
        for one, other in zip(shown.edges, hidden.edges, strict=True)
    ]
    assert {after for _, after in ends} <= {"u0", ""}
    assert len({before for before, _ in ends}) > 2
    assert "" not in {before for before, _ in ends}


def test_what_cannot_be_asked_is_refused(recommender: Recommender) -> None:
    with pytest.raises(UserError, match="user 'nobody': expected a user of the train"):
        recommender.explain(user="nobody", item="i1")
    with pytest.raises(UserError, match="item 'no such thing'"):
        recommender.explain(user="u1", item="no such thing")
    with pytest.raises(UserError, match="most_edges: expected a number from 1 to 1000"):
        recommender.explain(user="u1", item="i1", most_edges=0)


def test_items_that_came_later_are_explained(
    finished_run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recommender = Recommender.load(finished_run)
    before = recommender.explain(user="u3", item="i4")
    new = NewItem(id="new", text="space robots", title="New One", users=("u1", "u2"))
    recommender.add_items([new])
    assert recommender.item_ids[-1] == "new"
    after = recommender.explain(user="u3", item="i4")
    assert after.score == pytest.approx(before.score, rel=1e-5)
    evidence = recommender.explain(user="u3", item="New One", most_edges=300)
    assert evidence.item.name == "New One"
    assert abs(evidence.residual) <= 0.01 * abs(evidence.score)
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
    explainer = recommender.explainer
    at_item, _ = explainer.edges.of(explainer.edges.item_node(40))
    # Those who had it are its edges, and nobody else's.
    assert len(at_item) == 2
    numbers = [recommender.user_ids.index(user) for user in ("u1", "u2")]
    nodes = [explainer.edges.user_node(number) for number in numbers]
    assert explainer.edges.users_of(explainer.edges.item_node(40)).tolist() == nodes


def test_the_command(
    finished_run: Path,
    llmgnn: Callable[..., tuple[int, str, str]],
    refused: Callable[..., str],
    workplace: Path,
) -> None:
    asked = ("explain", finished_run, "--user", "u5", "--item", "i7")
    code, out, err = llmgnn(*asked, "--most-edges", 4)
    assert (code, err) == (0, "")
    assert out.startswith("[1] ")
    assert "[4]" in out
    assert "[5]" not in out
    assert re.search(r"has the score -?[\d.]+ for user u5", out)
    code, out, _ = llmgnn(*asked, "--json", "--language", "zh", "--out", "why.html")
    document = json.loads(out)
    assert document["model"] == "fused"
    assert document["query"] == {"user": "u5", "item": "i7"}
    assert "得分" in document["sentence"]
    assert document["evidence"]["item"]["id"] == "i7"
    assert "得分" in Path("why.html").read_text("utf-8")
    code, out, _ = llmgnn(*asked, "--out", "WHY.SVG", "--model", "graph")
    assert "picture  WHY.SVG" in out
    root = ElementTree.fromstring(Path("WHY.SVG").read_text("utf-8"))
    assert root.tag.endswith("svg")
    assert refused(*asked, "--out", "why.txt") == (
        "--out: expected a file that ends in .svg, .png or .html, got why.txt"
    )
    assert "in a folder that is there" in refused(*asked, "--out", "no/why.svg")
    assert "user 'u999'" in refused(
        "explain", finished_run, "--user", "u999", "--item", "i7"
    )
    assert sorted(path.name for path in workplace.iterdir()) == ["WHY.SVG", "why.html"]


def test_the_report_explains_an_example(finished_run: Path) -> None:
    results = json.loads((finished_run / "results.json").read_text("utf-8"))
    first, *others = results["examples"]
    assert [one["explanation"] for one in others] == [None] * len(others)
    explanation = first["explanation"]
    top = first["recommendations"]["fused"][0]
    assert (
        f"{top['title']} has the score {top['score']:.2f} for this user"
        in (explanation["sentences"])
    )
    page = (finished_run / "report.html").read_text("utf-8")
    (encoded,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert base64.b64decode(encoded).decode("utf-8") == explanation["drawing"]
    for told in explanation.values():
        assert not re.search(r"\bu\d+\b", told)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"graph.fanouts": (3, 2), "train.negatives": "uniform"},
        {"graph.layer": "gcn", "graph.filter": "item_item"},
        {"graph.temperature": 0.2, "graph.filter": "spectral"},
        {"graph.relations": ("genre",), "graph.relation_weight": 0.5},
        {"text.mode": "lora", "train.negatives": "in_batch"},
    ],
    ids=str,
)
def test_runs_of_other_kinds_are_explained(
    tiny_config: Config, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Those that draw neighbours in training hear all of them where they rank."""
    config = replace(
        tiny_config,
        **{
            "models": ("fused",),
            "train.steps": 8,
            "train.steps_per_call": 4,
            "train.checkpoint_every": 8,
            "train.validate_every": 8,
            "evaluation.baselines": False,
            **changes,
        },
    )
    fit(config, out=tmp_path / "run", command="llmgnn train tiny")
    recommender = Recommender.load(tmp_path / "run")
    for user in ("u2", "u30"):
        one = recommender.recommend(user=user, k=1)[0]
        evidence = recommender.explain(user=user, item=one.id)
        assert evidence.score == pytest.approx(one.score, rel=1e-3, abs=1e-4)
        assert abs(evidence.residual) <= 0.01 * abs(evidence.score)
        slots = (
            recommender.user_ids.index(user),
            recommender.item_ids.index(one.id),
        )
        cited = [edge.index for edge in evidence.edges]
        without = recommender.explainer.score_without(*slots, cited)
        assert np.isfinite(without)
        assert without < evidence.score


@pytest.mark.slow
def test_a_predicted_rating_is_explained(tiny_config: Config, tmp_path: Path) -> None:
    config = replace(
        tiny_config,
        **{
            "task": "rating",
            "models": ("graph",),
            "train.steps": 40,
            "train.validate_every": 20,
            "train.checkpoint_every": 40,
            "evaluation.metric": "rmse",
            "evaluation.baselines": False,
        },
    )
    fit(config, out=tmp_path / "run", command="llmgnn train tiny")
    recommender = Recommender.load(tmp_path / "run")
    evidence = recommender.explain(user="u2", item="i9", most_edges=40)
    predicted = recommender.predict(user="u2", item="i9")
    assert evidence.score == pytest.approx(predicted.rating, abs=1e-3)
    assert abs(evidence.residual) <= 0.01 * abs(evidence.score)
    signs = {np.sign(edge.attribution) for edge in evidence.edges}
    # What speaks against is cited too.
    assert signs == {1.0, -1.0}
