"""Which backend a run uses: nothing here depends on how fast one is."""

import logging
from collections.abc import Callable
from typing import get_args, get_type_hints

import numpy as np
import pytest

from llmgnn_jax.config import GraphConfig
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.aggregate import (
    BACKENDS,
    Backend,
    checked_backend,
    choice,
    choose_backend,
    usable_backend,
)
from llmgnn_jax.graph.native import library
from llmgnn_jax.graph.plan import EdgePlan, plan_edges

RING = np.arange(60)


@pytest.fixture
def without_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "unavailable_because", lambda: "there is no compiler")


@pytest.fixture
def with_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "unavailable_because", lambda: None)


def chosen() -> Backend:
    plan = plan_edges(np.roll(RING, 1), RING, 60, weights=np.ones(60))
    return choose_backend(plan, width=4)


def test_names() -> None:
    assert [checked_backend(name) for name in BACKENDS] == list(BACKENDS)
    with pytest.raises(UserError, match=r"auto or one of segment, csr, .*got 'dense'"):
        checked_backend("dense")
    configured = get_args(get_type_hints(GraphConfig)["backend"])
    assert configured == ("auto", *BACKENDS)


def test_a_small_graph_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*_: object, **__: object) -> float:
        raise AssertionError("there is nothing to measure")

    monkeypatch.setattr(choice, "measure_backend", measured)
    assert chosen() == choice.default_backend() == "csr"  # tests run on the CPU


@pytest.mark.parametrize("fastest", BACKENDS)
def test_the_fastest_is_chosen(
    fastest: Backend,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(choice, "candidates", lambda: BACKENDS)
    seen: list[tuple[Backend, float]] = []

    def measured(plan: EdgePlan, *, width: int, backend: Backend, best: float) -> float:
        assert plan.incoming.num_nodes == 60
        assert plan.incoming.buckets is not None
        assert width == 4
        seen.append((backend, best))
        return 0.25 if backend == fastest else 0.5

    monkeypatch.setattr(choice, "_TOO_SMALL", 60)
    monkeypatch.setattr(choice, "measure_backend", measured)
    with caplog.at_level(logging.INFO):
        assert chosen() == fastest
    assert [name for name, _ in seen] == list(BACKENDS)
    times = [0.25 if name == fastest else 0.5 for name, _ in seen]
    assert [best for _, best in seen] == [
        min(times[:number], default=np.inf) for number in range(4)
    ]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"graph.backend auto: {fastest} ({BACKENDS[0]} ")
    assert f"{fastest} 250.0 ms" in line


def test_native_is_measured_beside_csr_alone(with_native: None) -> None:
    assert choice.candidates() == ("native", "csr")


def test_without_native_it_is_no_candidate(without_native: None) -> None:
    assert choice.candidates() == ("csr", "bucketed", "segment")


def test_native_is_replaced_with_one_warning(
    without_native: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert usable_backend("native") == "csr"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "native: there is no compiler; csr is used instead" in record.getMessage()
    caplog.clear()
    for backend in ("segment", "csr", "bucketed"):
        assert usable_backend(checked_backend(backend)) == backend
    assert not caplog.records


def test_native_stays_where_it_can_be_had(with_native: None) -> None:
    assert usable_backend("native") == "native"


@pytest.mark.parametrize("times", [(9.0, 1), (0.5, 5)])
def test_what_is_hopeless_is_timed_once(
    times: tuple[float, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, expected = times
    clock = iter(np.arange(0, 1000, seconds).tolist())
    monkeypatch.setattr(choice.time, "perf_counter", lambda: next(clock))
    runs = []
    real: Callable[..., object] = choice._forward_and_backward

    def counted(*arguments: object) -> object:
        runs.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(choice, "_forward_and_backward", counted)
    plan = plan_edges(np.roll(RING, 1), RING, 60, weights=np.ones(60))
    found = choice.measure_backend(plan, width=2, backend="segment", best=1.0)
    assert found == pytest.approx(seconds)
    assert len(runs) == 1 + expected  # the first one compiles
