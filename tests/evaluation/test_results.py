"""`results.json`: what is written, what is refused."""

import copy
import dataclasses
import datetime
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.contract import check_results
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.results import (
    ModelResult,
    Results,
    read_results,
    refuse_comparison,
    write_atomically,
    write_results,
)


def test_what_is_written_is_read_back(results: Results, tmp_path: Path) -> None:
    path = write_results(tmp_path, results)
    assert path.name == "results.json"
    assert read_results(tmp_path) == results.document()
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_the_document_follows_the_contract(results: Results) -> None:
    document = results.document()
    assert document.keys() >= {
        *("protocol", "models", "comparisons", "environment"),
        *("command", "date", "device", "paths", "examples"),
    }
    assert document["protocol"].keys() == {
        *("task", "dataset", "split_name", "filters", "k", "masking"),
        *("fingerprint", "split_hash", "candidates", "metric"),
    }
    model = document["models"]["fused"]
    assert model.keys() >= {
        *("valid", "test", "seconds", "per_seed", "ci95", "slices", "budget"),
    }
    assert model["test"]["ndcg@10"] == 0.35
    item = document["examples"][0]["recommendations"]["fused"][0]
    assert item == {"rank": 1, "title": "Heat", "score": 2.5, "hit": True}
    assert datetime.datetime.fromisoformat(document["date"]).tzinfo is not None


def test_numpy_and_nan_become_json(results: Results, tmp_path: Path) -> None:
    odd = ModelResult(
        valid={"ndcg@10": math.nan},
        test={"ndcg@10": np.float32(0.5)},  # type: ignore[dict-item]
        seconds=np.float64(np.inf),
        budget={"grid": np.arange(2), "path": Path("x"), "ok": np.bool_(True)},
    )
    changed = dataclasses.replace(results, models={"odd": odd})
    text = write_results(tmp_path, changed).read_text(encoding="utf-8")
    # Strict JSON: no NaN and no Infinity.
    read = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    model = read["models"]["odd"]
    assert model["valid"] == {"ndcg@10": None}
    assert model["test"] == {"ndcg@10": 0.5}
    assert model["seconds"] is None
    assert model["budget"] == {"grid": [0, 1], "path": "x", "ok": True}


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("protocol",), [], "protocol: expected an object, got []"),
        (("protocol", "fingerprint"), "xyz", "protocol.fingerprint: expected a hash"),
        (
            ("protocol", "split_hash"),
            None,
            "split_hash: expected a hash in hex, got no",
        ),
        (("protocol", "k"), [0], "protocol.k: expected a list of positive integers"),
        (("protocol", "filters"), "none", "protocol.filters: expected a list"),
        (("protocol", "masking"), None, "protocol.masking: expected a string"),
        (("models",), {}, "models: expected at least one model"),
        (("models", "ease"), 1, "models.ease: expected an object"),
        (("models", "ease", "test"), None, "models.ease.test: expected an object"),
        (("models", "ease", "test"), {"NDCG": 1.0}, "names like ndcg@10"),
        (("models", "ease", "test"), {"ndcg@10": "x"}, "models.ease.test.ndcg@10"),
        (("models", "ease", "test"), {"ndcg@10": True}, "a number or null, got True"),
        (("models", "ease", "seconds"), "4", "models.ease.seconds"),
        (("models", "ease", "ci95"), [], "models.ease.ci95: expected an object"),
        (("paths", "text"), {"metrics": {}}, "paths.text.description"),
        (("examples",), [{}], r"examples[0].label: expected a string, got nothing"),
        (
            ("examples",),
            [
                {
                    "label": "User A",
                    "history": [],
                    "recommendations": {},
                    "explanation": {"sentences": "why"},
                }
            ],
            "examples[0].explanation: expected null, or strings sentences and drawing",
        ),
        (("comparisons",), [{"a": "fused"}], "comparisons[0]: expected an object with"),
        (("command",), None, "command: expected a string"),
    ],
)
def test_a_broken_field_is_named(
    results: Results, place: tuple[str, ...], value: Any, message: str
) -> None:
    document = copy.deepcopy(results.document())
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(UserError) as caught:
        check_results(document)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 250


def test_nothing_is_written_that_breaks_the_contract(
    results: Results, tmp_path: Path
) -> None:
    write_results(tmp_path, results)
    before = (tmp_path / "results.json").read_bytes()
    with pytest.raises(UserError, match="at least one model"):
        write_results(tmp_path, dataclasses.replace(results, models={}))
    assert (tmp_path / "results.json").read_bytes() == before


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    write_atomically(path, "old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        read_results(tmp_path / "absent")
    with pytest.raises(UserError, match=r"a run folder with results\.json, got none"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_text('{"protocol"')
    with pytest.raises(UserError, match=r"results\.json: expected JSON"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_text("[]")
    with pytest.raises(UserError, match="results: expected an object, got"):
        read_results(tmp_path)


def test_comparison_needs_the_same_protocol(results: Results) -> None:
    def document(**changes: Any) -> dict[str, Any]:
        protocol = dataclasses.replace(results.protocol, **changes)
        return dataclasses.replace(results, protocol=protocol).document()

    same = document()
    refuse_comparison(same, document())
    other_rows = document(split_hash="6" * 64)
    refuse_comparison(same, other_rows, paired=False)
    with pytest.raises(UserError, match=r"protocol\.split_hash: expected the same"):
        refuse_comparison(same, other_rows)
    other = document(fingerprint="e" * 64, filters=["value >= 4"])
    for paired in (True, False):
        with pytest.raises(UserError, match=r"fingerprint.*filters \[\] and \['value"):
            refuse_comparison(same, other, paired=paired)


def test_the_environment_names_versions_and_device() -> None:
    found = environment()
    for name in ("python", "jax", "flax", "optax", "jraph", "numpy"):
        assert str(found[name])[0].isdigit(), name
    assert isinstance(found["cpu_count"], int)
    assert found["device"] == device()
    assert device().startswith("cpu, ")
    json.dumps(found, allow_nan=False)
