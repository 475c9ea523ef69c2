"""`metrics.jsonl` and what people see of a run's progress."""

import io
import json
import math
import sys
from pathlib import Path

import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.training import reporting
from llmgnn_jax.training.reporting import (
    MetricsLog,
    peak_memory_mb,
    progress,
    require_tensorboard,
)


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_each_record_is_a_line(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write(model="fused", step=2, loss=0.5)
    log.write(model="fused", step=2, valid={"ndcg@10": 0.25})
    assert records(tmp_path / "metrics.jsonl") == [
        {"model": "fused", "step": 2, "loss": 0.5},
        {"model": "fused", "step": 2, "valid": {"ndcg@10": 0.25}},
    ]


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricsLog(path).write(
        step=1, loss=math.nan, valid={"ndcg@10": math.inf, "recall@10": 0.5}
    )
    assert records(path) == [
        {"step": 1, "loss": None, "valid": {"ndcg@10": None, "recall@10": 0.5}}
    ]
    assert "NaN" not in path.read_text()
    assert "Infinity" not in path.read_text()


def test_cut_back_drops_what_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for model, steps in (("graph", (20, 40, 60)), ("fused", (20, 40, 60))):
        for step in steps:
            log.write(model=model, step=step, loss=1.0)
            log.write(model=model, step=step, valid={"ndcg@10": 0.1})
    whole = path.read_text().splitlines(keepends=True)
    # A killed process leaves half a line behind.
    with path.open("a") as file:
        file.write('{"model": "fused", "step": 80, "lo')
    log.cut_back(model="fused", step=40)
    assert path.read_text() == "".join(whole[:10])
    log.write(model="fused", step=60, loss=0.5)
    assert records(path)[-1] == {"model": "fused", "step": 60, "loss": 0.5}
    log.cut_back(model="fused", step=0)
    assert path.read_text() == "".join(whole[:6])
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_cut_back_of_a_validation_that_ended_the_run(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for step in (40, 50):
        log.write(model="fused", step=step, loss=1.0)
        log.write(model="fused", step=step, valid={"ndcg@10": 0.1})
    whole = path.read_text().splitlines(keepends=True)
    log.cut_back(model="fused", step=50)
    assert path.read_text() == "".join(whole)
    log.cut_back(model="fused", step=50, validated=False)
    assert path.read_text() == "".join(whole[:3])


def test_curves_for_tensorboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path / "events")

        def add_scalar(self, name: str, value: float, step: int) -> None:
            drawn.append((name, value, step))

    monkeypatch.setattr(reporting, "require_tensorboard", lambda: Writer)
    log = MetricsLog(tmp_path / "metrics.jsonl", events=tmp_path / "events")
    log.write(model="fused", step=2, loss=0.5)
    log.write(model="fused", step=2, valid={"ndcg@10": 0.25})
    assert drawn == [("fused/loss", 0.5, 2), ("fused/valid/ndcg@10", 0.25, 2)]
    assert len(records(tmp_path / "metrics.jsonl")) == 2


def test_tensorboard_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"^--tensorboard: .*tensorboard]'$"):
        require_tensorboard()


def test_cut_back_of_nothing(tmp_path: Path) -> None:
    MetricsLog(tmp_path / "metrics.jsonl").cut_back(model="fused", step=0)
    assert not list(tmp_path.iterdir())


def test_plain_lines_off_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(reporting.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    note = 3 * "loss 0.1234, best valid ndcg@10 0.3456 at 40 [of 100]; " + "the end"
    with progress("fused", total=100, stream=stream) as update:
        update(10, "too early")
        now[0] += 11
        update(20, note)
        update(30, "too early again")
        now[0] += 11
        update(40, "later")
        update(100, "the end")
    # One line each, as it is: not wrapped, not coloured, no markup read into it.
    assert stream.getvalue() == (
        f"fused: 20/100 {note}\nfused: 40/100 later\nfused: 100/100 the end\n"
    )


def test_nothing_to_do_says_nothing() -> None:
    stream = io.StringIO()
    with progress("texts", total=5, stream=stream):
        pass
    assert stream.getvalue() == ""


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    with progress("fused", total=100, stream=stream) as update:
        update(100, "loss 0.5 [of it]")
    assert "100/100" in stream.getvalue()
    assert "loss 0.5 [of it]" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()


def test_memory_is_that_of_this_process() -> None:
    before = peak_memory_mb()
    assert 10 < before < 100_000
    block = bytearray(64 * 2**20)
    block[:: 2**12] = b"x" * len(block[:: 2**12])
    assert peak_memory_mb() >= before
