"""The guard of ratios: what fell, what cannot be compared, and how it ends."""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import check, suite


def document(
    ratios: dict[str, float],
    *,
    cpu: str = "Xeon",
    size: str = "gowalla",
    torch: str = "2.0",
    missing: Sequence[dict[str, str]] = (),
) -> dict[str, Any]:
    """Ours takes 10 ms; each peer what its ratio says."""

    def row(system: str, variant: str, median: float) -> dict[str, Any]:
        return {
            "system": system,
            "variant": variant,
            "precision": "float32",
            "size": size,
            "unit": "ms",
            "median": median,
        }

    return {
        "name": "lightgcn_step",
        "device": "cpu, 2 cores",
        "versions": {"torch": torch},
        "environment": {"cpu": cpu},
        "missing": list(missing),
        "rows": [
            row("llmgnn_jax", "native", 10.0),
            *(row("pytorch", name, 10.0 * ratio) for name, ratio in ratios.items()),
        ],
    }


def test_a_fall_beyond_the_tolerance_is_named() -> None:
    compared = check.compare(
        document({"CSR": 2.1, "bags": 2.0}), document({"CSR": 1.4, "bags": 1.6})
    )
    assert check.failures(compared, 0.25) == [
        "lightgcn_step, gowalla, float32: ours against pytorch CSR fell from 2.10 to "
        "1.40"
    ]
    assert len(check.failures(compared, 0.1)) == 2
    assert check.failures(compared, 0.5) == []
    assert "| gowalla, float32 | pytorch CSR | 2.10 | 1.40 | fell |" in check.table(
        compared, 0.25
    )


def test_ratios_are_compared_and_not_times() -> None:
    slower = document({"CSR": 2.1})
    for row in slower["rows"]:
        row["median"] *= 3
    compared = check.compare(document({"CSR": 2.1}), slower)
    assert check.failures(compared, 1e-9) == []
    assert len(compared.ratios) == 1


def test_missing_peers_are_named_and_not_failed() -> None:
    reason = {
        "system": "pytorch CSR",
        "size": "gowalla",
        "precision": "float32",
        "reason": "no kernel",
    }
    compared = check.compare(
        document({"CSR": 2.0, "COO": 3.0, "bags": 2.0}),
        document({"bags": 2.0}, missing=[reason]),
    )
    assert check.failures(compared, 0.25) == []
    told = check.table(compared, 0.25)
    assert "missing here: pytorch CSR (gowalla, float32): no kernel" in told
    assert "missing here: pytorch COO (gowalla, float32): not run" in told


def test_a_guard_that_compared_nothing_has_not_passed() -> None:
    for other in (document({"CSR": 2.0}, size="cora"), document({"bags": 2.0})):
        compared = check.compare(document({"CSR": 2.0}), other)
        (line,) = check.failures(compared, 0.25)
        assert "nothing was compared" in line


def test_another_device_and_other_versions_are_said() -> None:
    compared = check.compare(
        document({"CSR": 2.0}), document({"CSR": 2.0}, cpu="EPYC", torch="2.1")
    )
    told = check.table(compared, 0.25)
    assert "ratios of another device are compared: Xeon, 2 cores; here EPYC" in told
    assert "versions differ: torch 2.0 -> 2.1" in told
    assert check.compare(document({"CSR": 2.0}), document({"CSR": 2.0})).remarks == ()


def test_the_document_of_this_device_is_taken_where_it_can_be() -> None:
    committed = [
        document({"CSR": 2.0}),
        document({"CSR": 1.0}, cpu="EPYC"),
        document({"CSR": 3.0}, cpu="EPYC", size="cora"),
    ]
    fresh = document({"CSR": 1.0}, cpu="EPYC")
    assert check.failures(check.nearest(committed, fresh), 0.25) == []
    # None of this device has the size: another device's is held against it.
    compared = check.nearest([committed[2], committed[0]], fresh)
    assert len(check.failures(compared, 0.25)) == 1
    assert "another device" in compared.remarks[0]


def test_two_files_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    was, now = tmp_path / "was.json", tmp_path / "now.json"
    was.write_text(json.dumps(document({"CSR": 2.1})))
    now.write_text(json.dumps(document({"CSR": 1.4})))
    words = ["--against", str(was), "--from", str(now)]
    check.main([*words, "--tolerance", "0.4"])
    assert capsys.readouterr().err == ""
    with pytest.raises(SystemExit) as ended:
        check.main(words)
    assert ended.value.code == 1
    assert "fell from 2.10 to 1.40" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--against", "a.json"], "expected both or neither"),
        (["--against", "a.json", "--from", "b.json"], "No such file"),
        (["--against", "a.json", "--from", "b.json", "gat"], "NAME: expected none"),
        (["nonsense"], "NAME: expected one of propagation"),
        (["--tolerance", "25"], "--tolerance: expected 0 or more and below 1"),
    ],
)
def test_mistakes_are_told_in_a_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        check.main(words)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("now", [2.0, 1.4, None])
def test_benchmarks_are_run_again(
    now: float | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(suite, "RESULTS", tmp_path)
    monkeypatch.setattr(check, "FRESH", tmp_path / "fresh")
    (tmp_path / "fresh").mkdir()
    (tmp_path / "lightgcn_step.json").write_text(json.dumps(document({"CSR": 2.1})))
    # What an earlier run has left, which was fine.
    left = tmp_path / "fresh" / "lightgcn_step.json"
    left.write_text(json.dumps(document({"CSR": 2.1})))

    def run(benchmark: suite.Benchmark, path: Path, *, full: bool) -> bool:
        assert not full
        assert benchmark.name == "lightgcn_step"
        if now is not None:
            path.write_text(json.dumps(document({"CSR": now})))
        return now is not None

    monkeypatch.setattr(suite, "run", run)
    if now == 2.0:
        check.main([])
        assert "note: ranking: no document is committed yet" in capsys.readouterr().out
        return
    with pytest.raises(SystemExit) as ended:
        check.main(["lightgcn_step"])
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert ("fell from 2.10 to 1.40" if now else "the benchmark failed") in told


def test_short_runs_write_nothing_that_is_committed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written: dict[bool, list[str]] = {True: [], False: []}

    def run(benchmark: suite.Benchmark, path: Path, *, full: bool) -> bool:
        written[full].append(str(path))
        return benchmark.name != "ranking"

    monkeypatch.setattr(suite, "run", run)
    for words in ([], ["--full"]):
        with pytest.raises(SystemExit) as ended:
            suite.main(words)
        assert ended.value.code == 1
        assert "failed: ranking" in capsys.readouterr().err
    assert len(written[True]) == len(suite.BENCHMARKS) > len(written[False])
    assert not [path for path in written[False] if "results" in path]
    assert all(path.startswith("benchmarks/results/") for path in written[True])


def test_short_runs_have_rows_that_are_committed() -> None:
    """Else the guard would have nothing to hold them to."""
    committed = check._committed(suite.RESULTS)
    for benchmark in suite.named([], full=False):
        if benchmark.name not in committed:
            continue
        options = list(benchmark.short or ())
        texts = [options[i + 1] for i, one in enumerate(options) if one == "--only"]
        size = options[options.index("--size") + 1] if "--size" in options else ""
        keywords = {}
        if "--texts" in options:
            keywords["texts"] = int(options[options.index("--texts") + 1])
        module = importlib.import_module(f"benchmarks.{benchmark.name}")
        known = {
            (row["size"], row["precision"], f"{row['system']} {row['variant']}")
            for document in committed[benchmark.name]
            for row in document["rows"]
        }
        cases = [case for case in module.cases(False, **keywords) if size in case.size]
        for case in cases:
            names = [
                system.name
                for system in case.systems
                if any(text in system.name for text in texts)
            ]
            held = [one for one in names if (case.size, case.precision, one) in known]
            assert held, (benchmark.name, case.size, case.precision)
