"""Fusions by losses: what is run, what is kept, and how it is told."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import fusion_by_loss
from benchmarks.fusion_by_loss import (
    ADDED,
    FILTER,
    LOSSES,
    OF_DEFAULT,
    averaged,
    cases,
    configured,
)
from llmgnn_jax.config import Config, unused_fields
from llmgnn_jax.models.fusion import FUSIONS


def test_every_fusion_under_every_loss_once() -> None:
    names = [(fusion, loss) for fusion, loss, added, _ in cases() if not added]
    default = Config(recipe="test").fusion.kind
    assert sorted(names) == sorted(
        [(kind, loss) for kind in FUSIONS for loss in LOSSES]
        + [(default, loss) for loss in OF_DEFAULT]
    )
    with_filter = [kind for kind, _, added, _ in cases() if added == FILTER]
    assert sorted(with_filter) == sorted(FUSIONS)
    added = [added for _, _, added, _ in cases() if added not in ("", FILTER)]
    assert added == list(ADDED)
    marks = set()
    for _, _, _, changes in cases():
        config = configured(changes, seed=2, steps=None)
        assert (config.models, config.seed) == (("fused",), 2)
        assert (config.graph.filter == "none") == ("graph.filter" in changes)
        # What a row is called by is what its model reads.
        assert not set(changes) & set(unused_fields(config))
        marks.add(fusion_by_loss.identity(config))
    assert len(marks) == len(cases())


def row(fusion: str, seed: int, value: float, added: str = "") -> dict[str, Any]:
    return {
        "fusion": fusion,
        "loss": fusion_by_loss.DEFAULT_LOSS,
        "added": added,
        "seed": seed,
        "valid": {"ndcg@10": value, "recall@10": 2 * value},
        "seconds": 10.0 * value,
    }


def test_means_and_tables() -> None:
    rows = [
        *(row("concat", 0, 0.2), row("concat", 1, 0.4)),
        *(row("sum", 0, 0.1), row("concat", 0, 0.25, "spectral start")),
    ]
    first, second, third = averaged(rows)
    assert first["valid"]["ndcg@10"] == pytest.approx(0.3)
    assert first["seconds"] == pytest.approx(3.0)
    assert first["per_seed"]["1"]["recall@10"] == 0.8
    assert (second["fusion"], third["added"]) == ("sum", "spectral start")
    lines = fusion_by_loss.markdown([first, second, third]).splitlines()
    assert lines[0] == "| loss | concat | sum |"
    assert lines[2] == f"| {fusion_by_loss.DEFAULT_LOSS} | 0.3000 | 0.1000 |"
    assert lines[-2] == "| nothing added | 0.2000 | 0.4000 | 0.3000 | 0.6000 | 3 |"
    assert lines[-1] == "| spectral start | 0.2500 |  | 0.2500 | 0.5000 | 2 |"
    filtered = averaged([row("concat", 0, 0.5, FILTER)])
    lines = fusion_by_loss.markdown([first, second, third, *filtered]).splitlines()
    name = f"{fusion_by_loss.DEFAULT_LOSS}, and {FILTER}"
    assert lines[3] == f"| {name} | 0.5000 |  |"
    drawn = ElementTree.fromstring(fusion_by_loss.picture([first, second, *filtered]))
    dots = [one for one in drawn.iter() if one.tag.endswith("circle")]
    assert len({one.get("fill") for one in dots}) == 2
    # Equal differences are equal distances: 0.1, 0.3, 0.5.
    low, middle, high = sorted((float(one.get("cy", "")) for one in dots), reverse=True)
    assert low - middle == pytest.approx(middle - high, abs=0.2)
    assert any(one.text == name for one in drawn.iter())


def test_rows_that_are_there_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = []

    def measured(config: Config) -> dict[str, Any]:
        ran.append((config.fusion.kind, config.train.loss, config.seed))
        if len(ran) == 3:
            raise KeyboardInterrupt
        return {"valid": {"ndcg@10": 0.1, "recall@10": 0.2}, "seconds": 1.0}

    monkeypatch.setattr(fusion_by_loss, "measured", measured)
    file = tmp_path / "deeper" / "rows.json"
    command = ["--seeds", "0", "--only", "bpr", "--json", str(file)]
    with pytest.raises(KeyboardInterrupt):
        fusion_by_loss.main(command)
    assert len(json.loads(file.read_text("utf-8"))["rows"]) == 2
    fusion_by_loss.main(command)
    # The one that was broken off is run again, and no other.
    assert [kind for kind, _, _ in ran] == [
        "concat",
        "sum",
        "gate",
        "gate",
        "attention",
        "concat",
    ]
    document = json.loads(file.read_text("utf-8"))
    assert len(document["rows"]) == len(document["means"]) == 5
    # Part of it leaves the others' rows and means where they are.
    fusion_by_loss.main(["--seeds", "1", "--only", "drawn", "--json", str(file)])
    document = json.loads(file.read_text("utf-8"))
    assert len(document["means"]) == 7
    seeds = [[*mean["per_seed"]] for mean in document["means"]]
    assert seeds == [["0"]] * 4 + [["1"]] * 2 + [["0"]]
    with pytest.raises(SystemExit):
        fusion_by_loss.main([*command, "--steps", "5"])
    assert json.loads(file.read_text("utf-8")) == document
    # Of what no case is of any more nothing stays.
    monkeypatch.setattr(fusion_by_loss, "cases", lambda: cases()[:1])
    fusion_by_loss.main(command)
    assert len(json.loads(file.read_text("utf-8"))["rows"]) == 1
    assert "| bpr, uniform | 0.1000 |" in capsys.readouterr().out
