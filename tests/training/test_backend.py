"""The aggregation kernel of a run: chosen once, written down, replaced if it must."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.config import (
    Config,
    DataConfig,
    EvaluationConfig,
    GraphConfig,
    TrainConfig,
    replace,
)
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.aggregate import choice
from llmgnn_jax.graph.native import library
from llmgnn_jax.graph.plan import EdgePlan
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.run import evaluate, fit

pytestmark = pytest.mark.usefixtures("workplace")

CONFIG = Config(
    recipe="kernels",
    models=("graph",),
    data=DataConfig(source="synthetic"),
    graph=GraphConfig(num_layers=2, embedding_dim=8, backend="auto"),
    train=TrainConfig(
        negatives="uniform",
        num_negatives=8,
        batch_size=32,
        steps=4,
        steps_per_call=2,
        validate_every=4,
        checkpoint_every=2,
        patience=0,
    ),
    evaluation=EvaluationConfig(ks=(10,), baselines=False),
)


def written(folder: Path) -> str:
    return json.loads((folder / "config.json").read_text("utf-8"))["graph"]["backend"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """`auto` is `bucketed`; the width of each time that it was asked."""
    found: list[int] = []

    def chosen(plan: EdgePlan, *, width: int) -> str:
        incoming = plan.incoming
        assert incoming.weights is not None
        senders, receivers, weights = map(
            np.asarray, (incoming.others, incoming.own, incoming.weights)
        )
        num_nodes = incoming.num_nodes
        assert (np.diff(receivers) >= 0).all()
        assert len(senders) == len(receivers) == len(weights)
        assert max(senders.max(), receivers.max()) == num_nodes - 1
        found.append(width)
        return "bucketed"

    monkeypatch.setattr(choice, "choose_backend", chosen)
    return found


@pytest.mark.slow
def test_auto_is_asked_once_in_the_life_of_a_run(
    asked: list[int], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    first = fit(CONFIG, out=folder)
    assert asked == [8]
    assert written(folder) == "bucketed"
    # Neither judging nor going on chooses anew, and both give the same numbers.
    again = evaluate(folder)
    assert (
        again.results["models"]["graph"]["test"]
        == (first.results["models"]["graph"]["test"])
    )
    fit(replace(CONFIG, **{"train.steps": 6}), out=folder, resume=True)
    assert asked == [8]
    assert written(folder) == "bucketed"


def test_the_graph_has_what_the_kernel_reads(asked: list[int]) -> None:
    prepared = prepare(CONFIG)
    assert prepared.backend == prepared.config.graph.backend == "bucketed"
    assert prepared.graph.plan.incoming.buckets is not None
    plain = prepare(replace(CONFIG, **{"graph.backend": "segment"}))
    assert plain.graph.plan.incoming.buckets is None
    assert asked == [8]


def test_on_a_small_graph_auto_measures_nothing() -> None:
    assert prepare(CONFIG).backend == "csr"


@pytest.mark.slow
def test_native_is_replaced_and_the_same_command_goes_on(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(library, "unavailable_because", lambda: "no compiler")
    config, folder = replace(CONFIG, **{"graph.backend": "native"}), tmp_path / "run"

    def warnings() -> list[str]:
        found = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        caplog.clear()
        return found

    fit(config, out=folder)
    (line,) = warnings()
    assert line.startswith("graph.backend native: no compiler; csr is used instead")
    assert written(folder) == "csr"
    fit(replace(config, **{"train.steps": 6}), out=folder, resume=True)
    assert len(warnings()) == 1
    evaluate(folder)
    assert not warnings()
    # Where it can be had, it is another kernel than the run's.
    monkeypatch.setattr(library, "unavailable_because", lambda: None)
    with pytest.raises(UserError, match=r"--graph.backend: expected csr.*got native"):
        fit(replace(config, **{"train.steps": 8}), out=folder, resume=True)


@pytest.mark.slow
def test_a_run_of_native_is_judged_without_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if reason := library.unavailable_because():
        pytest.skip(f"native kernels: {reason}")
    folder = tmp_path / "run"
    first = fit(replace(CONFIG, **{"graph.backend": "native"}), out=folder)
    assert written(folder) == "native"
    monkeypatch.setattr(library, "unavailable_because", lambda: "no compiler")
    again = evaluate(folder)
    metrics = [run.results["models"]["graph"]["test"] for run in (first, again)]
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-6)
