"""The benchmark harness on trivial systems, each in its worker process."""

import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness import Case, System, main, report
from benchmarks.harness.measure import CaseResult, measure
from benchmarks.harness.parity import ParityError
from benchmarks.harness.remote import Worker, WorkerFailed
from benchmarks.harness.system import Effort, Unavailable

HERE = Path(__file__).parent
EFFORT = Effort(rounds=3, turn_s=0.0, warm_up_s=0.0, threads=1)

# Each test starts processes.
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _systems_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def system(
    function: str = "double", *, of: str = "peer", variant: str = "a", **options
) -> System:
    return System(
        system=of, variant=variant, setup=f"systems:{function}", options=options
    )


def case(*systems: System, **changes) -> Case:
    defaults = {
        "size": "small",
        "precision": "float32",
        "unit": "ms",
        "inputs": lambda: {"numbers": np.arange(5.0)},
        "systems": systems,
        "tolerance": 1e-5,
        "about": lambda inputs: f"{len(inputs['numbers'])} numbers.",
    }
    return Case(**{**defaults, **changes})


def ours(variant: str = "native", **options) -> System:
    return system(of="llmgnn_jax", variant=variant, **options)


def test_workers_alternate_strictly(tmp_path: Path) -> None:
    log = str(tmp_path / "log.txt")
    measure(
        case(
            ours(log=log, name="ours", wait=0.01),
            system(log=log, name="peer", wait=0.01),
        ),
        EFFORT,
    )
    rows = [line.split() for line in Path(log).read_text().splitlines()]
    spans = [(int(began), int(ended)) for _, began, ended in rows]
    for (_, ended), (began, _) in itertools.pairwise(spans):
        assert ended <= began, "two workers computed at once"
    # First the run that compiles and two of warm-up, each in its own process; then
    # rounds of one timed run, since a turn is as short as one.
    names = [name for name, _, _ in rows]
    assert names == ["ours"] * 3 + ["peer"] * 3 + ["ours", "peer"] * EFFORT.rounds


def test_turns_do_not_overlap() -> None:
    result = measure(case(ours(wait=0.01), system(wait=0.01)), EFFORT)
    turns = sorted(turn for m in result.measured for turn in m.turns)
    assert len(turns) == 2 * EFFORT.rounds
    for (_, ended), (began, _) in itertools.pairwise(turns):
        assert ended <= began


def test_nothing_is_timed_without_parity(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with pytest.raises(ParityError, match=r"peer a against llmgnn_jax native: .*timed"):
        measure(
            case(
                ours(log=str(log), name="ours"),
                system(log=str(log), name="peer", factor=2.001),
            ),
            EFFORT,
        )
    assert not log.exists()


def test_arrays_that_are_missing_or_misshapen_are_no_parity() -> None:
    with pytest.raises(ParityError, match=r"expected the arrays .*'gradient'"):
        measure(case(ours(), system("wrong_shape")), EFFORT)


def test_what_is_absent_is_missing_with_a_reason() -> None:
    result = measure(
        case(
            ours(), system("absent"), System(system="b", variant="", setup="no_such:f")
        ),
        EFFORT,
    )
    assert [m.system.system for m in result.measured] == ["llmgnn_jax"]
    assert result.missing == {
        "peer a": "it is not there",
        "b ": "no_such is not installed",
    }


def test_a_peer_without_its_interpreter_is_missing(tmp_path: Path) -> None:
    there = dataclasses.replace(system(variant="b"), python=sys.executable)
    absent = dataclasses.replace(system(), python=str(tmp_path / "python"))
    result = measure(case(ours(), there, absent), EFFORT)
    assert [m.system.name for m in result.measured] == ["llmgnn_jax native", "peer b"]
    assert "no interpreter at" in result.missing["peer a"]
    versions = report.document("x", [result], effort=EFFORT, command="")["versions"]
    assert versions["peer's python"] == versions["python"]


def test_a_peer_that_cannot_be_set_up_is_missing_with_its_error() -> None:
    peers = [
        system(function, variant=variant)
        for variant, function in {
            "a": "broken",
            "b": "ends",
            "c": "no_kernel",
            "d": "double",
        }.items()
    ]
    result = measure(case(ours(), *peers), EFFORT)
    names = [measured.system.name for measured in result.measured]
    assert names == [ours().name, "peer d"]
    assert all(measured.seconds for measured in result.measured)
    assert result.missing == {
        "peer a": "RuntimeError: the reason why",
        "peer b": "its worker ended with code 3 in `setup`",
        "peer c": "NotImplementedError: no kernel for this device",
    }


def test_where_ours_cannot_be_set_up_the_benchmark_ends() -> None:
    broken = dataclasses.replace(ours(), setup=system("broken").setup)
    with pytest.raises(WorkerFailed, match="the reason why"):
        measure(case(broken, system()), EFFORT)
    broken = dataclasses.replace(ours(), setup=system("no_kernel").setup)
    with pytest.raises(WorkerFailed, match="no kernel for this device"):
        measure(case(broken, system()), EFFORT)


def test_nothing_measured_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    def absent() -> dict:
        raise Unavailable("no data here")

    def cases(quick: bool) -> list[Case]:
        return [dataclasses.replace(case(ours(), system()), inputs=absent)]

    with pytest.raises(SystemExit) as raised:
        main("name", cases, description="", arguments=[])
    assert raised.value.code == 1
    assert capsys.readouterr().err == "error: name: nothing could be measured\n"


def test_what_a_library_prints_is_no_answer(tmp_path: Path) -> None:
    log = tmp_path / "said.txt"
    with Worker(system("noisy"), threads=1, log=log) as worker:
        np.save(tmp_path / "numbers.npy", np.ones(2))
        worker.ask("load", setup="systems:noisy")
        answer = worker.ask("setup", folder=str(tmp_path), options={})
    assert answer["notes"]["cores"] == 1
    assert "banner" in log.read_text()


def test_every_worker_has_as_many_cores() -> None:
    available = len(os.sched_getaffinity(0))
    for threads in {1, available}:
        effort = dataclasses.replace(EFFORT, rounds=1, threads=threads)
        result = measure(case(ours(), system()), effort)
        assert [m.notes["cores"] for m in result.measured] == [threads, threads]


def test_document_has_the_agreed_keys_and_units() -> None:
    result = measure(case(ours(wait=0.02), system(wait=0.04)), EFFORT)
    document = report.document("trivial", [result], effort=EFFORT, command="python")
    json.dumps(document)
    assert {"name", "device", "versions", "parity", "rows", "ratios", "canary"} <= set(
        document
    )
    assert {"max_abs_error", "tolerance"} <= set(document["parity"])
    assert document["sizes"] == {"small": "5 numbers."}
    row = document["rows"][0]
    assert {
        "system", "variant", "precision", "size", "unit",
        "median", "p10", "p90", "peak_mb", "compile_s",
    } <= set(row)  # fmt: skip
    # 20 ms a run of 4 units.
    assert 5 <= row["p10"] <= row["median"] <= row["p90"] < 8
    assert row["compile_s"] == 1.5
    (ratio,) = document["ratios"]
    assert set(ratio) == {"variant", "precision", "size", "peer", "ratio"}
    assert (ratio["variant"], ratio["peer"]) == ("native", "peer a")
    assert 1.5 < ratio["ratio"] < 2.5
    shown = re.search(r"\| peer a \| (\S+) .* (\S+) \|", report.table(document))
    assert shown
    assert float(shown[1]) == pytest.approx(document["rows"][1]["median"], abs=0.01)
    assert float(shown[2]) == pytest.approx(ratio["ratio"], abs=0.01)


def test_another_unit_is_measured_beside_and_not_compared() -> None:
    probe = dataclasses.replace(
        system(of="machine", factor=7.0, wait=0.01), unit="GB/s"
    )
    result = measure(case(ours(), system(), probe), EFFORT)
    assert list(result.parity) == ["peer a"]
    document = report.document("trivial", [result], effort=EFFORT, command="python")
    assert [row["unit"] for row in document["rows"]] == ["ms", "ms", "GB/s"]
    assert [ratio["peer"] for ratio in document["ratios"]] == ["peer a"]
    assert report.table(document).count("| system |") == 2


def test_a_rate_is_units_over_seconds() -> None:
    result = measure(case(ours(wait=0.02), system(wait=0.01), unit="seeds/s"), EFFORT)
    document = report.document("trivial", [result], effort=EFFORT, command="python")
    assert 100 < document["rows"][0]["median"] <= 200
    # The peer is faster: the ratio says so.
    assert document["ratios"][0]["ratio"] < 0.8


def test_a_case_is_checked() -> None:
    with pytest.raises(ValueError, match="unit: expected 'ms'"):
        case(ours(), unit="seconds")
    with pytest.raises(ValueError, match="different names"):
        case(ours(), ours())


def test_command_writes_json_and_prints_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "trivial.json"
    seen: list[CaseResult] = []

    def finish(document: dict, where: Path | None) -> None:
        document["extra"] = str(where)
        seen.append(document)

    main(
        "trivial",
        lambda quick: [case(ours(), system(), system("absent", variant="b"))],
        description="",
        finish=finish,
        more=lambda document: "and more",
        arguments=["--json", str(path), "--quick", "--threads", "1"],
    )
    document = json.loads(path.read_text("utf-8"))
    assert document["command"] == f"python -m benchmarks.trivial --json {path} " + (
        "--quick --threads 1"
    )
    assert document["extra"] == str(path)
    assert document["missing"][0]["reason"] == "it is not there"
    printed = capsys.readouterr().out
    assert "| peer a |" in printed
    assert "No row for peer b (small, float32): it is not there" in printed
    assert printed.endswith("and more\n")


def test_options_of_a_benchmark_reach_its_cases(tmp_path: Path) -> None:
    path, asked = tmp_path / "trivial.json", []

    def cases(quick: bool, *, texts: int | None = None) -> list[Case]:
        asked.append((quick, texts))
        return [case(ours(), system())]

    arguments = ["--json", str(path), "--quick", "--threads", "1", "--rounds", "2"]
    options = {"texts": {"type": int}}
    for more in ([], ["--texts", "7"]):
        main(
            "trivial",
            cases,
            description="",
            options_of_cases=options,
            arguments=[*arguments, *more],
        )
    assert asked == [(True, None), (True, 7)]
    document = json.loads(path.read_text("utf-8"))
    assert document["environment"]["rounds"] == 2
    assert document["command"].endswith("--rounds 2 --texts 7")


def test_some_peers_and_one_size_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    peers = [system(), system(variant="b"), system(variant="c, compiled")]

    def cases(quick: bool) -> list[Case]:
        whole = case(ours(), *peers)
        return [whole, dataclasses.replace(whole, size="another")]

    chosen = ["--only", "b", "--only", "compiled", "--size", "another"]
    main(
        "trivial",
        cases,
        description="",
        arguments=["--json", str(path), "--quick", "--threads", "1", *chosen],
    )
    document = json.loads(path.read_text("utf-8"))
    rows = {(row["system"], row["variant"], row["size"]) for row in document["rows"]}
    assert rows == {
        ("llmgnn_jax", "native", "another"),
        ("peer", "b", "another"),
        ("peer", "c, compiled", "another"),
    }


def test_a_first_run_that_the_set_up_has_made_is_not_made_again(
    tmp_path: Path,
) -> None:
    log = str(tmp_path / "log.txt")
    result = measure(case(ours(log=log, name="ours", cold_s=2.5)), EFFORT)
    (measured,) = result.measured
    assert measured.first_s == 2.5
    # One of warm-up, one a round.
    assert len(Path(log).read_text().splitlines()) == 1 + EFFORT.rounds


def test_what_starts_afresh_is_not_warmed_up_and_its_runs_may_add_to_the_notes() -> (
    None
):
    (measured,) = measure(case(system("afresh", of="llmgnn_jax")), EFFORT).measured
    assert measured.notes == {"runs": 1 + EFFORT.rounds}


def test_command_ends_with_a_message_where_systems_disagree(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(
            "trivial",
            lambda quick: [case(ours(), system(factor=3.0))],
            description="",
            arguments=["--quick", "--threads", "1"],
        )
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert "error: trivial: peer a against llmgnn_jax native" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "name",
    [
        "propagation",
        "lightgcn_step",
        "end_to_end",
        "gat",
        "sampled_fused",
        "sampled_sage",
        "scale",
        "serving",
        "text_encode",
        "text_train",
    ],
)
def test_a_benchmark_itself_imports_neither_torch_nor_jax(name: str) -> None:
    # The parent has threads of neither, and no accelerator's memory.
    code = (
        f"import sys, benchmarks.{name} as b; cases = b.cases(True); "
        "assert len(cases) and all(case.systems for case in cases); "
        "print(sorted({'torch', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
