"""The command for a GPU on trivial systems: documents, budget, failures."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from benchmarks import accelerator, accelerator_parts, machine
from benchmarks.accelerator_parts import Part
from benchmarks.bert_weights import Shape
from benchmarks.harness import Case, System, Work
from benchmarks.harness.allocator import KEEPS_MEMORY
from benchmarks.harness.system import OURS
from benchmarks.random_encoder import ragged_texts, write_encoder

HERE = Path(__file__).parent
CPU = machine.Device(kind="cpu", name="a processor")
GPU = machine.Device(kind="gpu", name="a GPU")


def system(function: str, of: str = "peer", **options) -> System:
    return System(
        system=of, variant=function, setup=f"systems:{function}", options=options
    )


def case(*peers: System, size: str = "small", unit: str = "ms") -> Case:
    return Case(
        size=size,
        precision="float32",
        unit=unit,
        inputs=lambda: {"numbers": np.arange(5.0)},
        systems=(system("double", OURS), *peers),
        tolerance=1e-5,
        work=lambda inputs: Work(flops=1e9, bytes=1e6),
    )


def ceilings() -> Part:
    sizes = {"product": "TFLOP/s", "copy, 1 MiB": "GB/s", "random rows, 1 MiB": "GB/s"}
    return Part(
        name="ceilings",
        seconds=1,
        cases=[case(size=size, unit=unit) for size, unit in sizes.items()],
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setattr(machine, "found", lambda: CPU)

    def command(parts: Sequence[Part], *words: str) -> dict[str, dict]:
        path = tmp_path / "out" / "gpu.json"
        turns = ("--rounds", "2", "--turn", "0", "--threads", "1")
        try:
            accelerator.main(
                ["--json", str(path), *turns, *words], lambda device, folder: parts
            )
        finally:
            found = {
                one.stem: json.loads(one.read_text()) for one in path.parent.glob("*")
            }
            command.documents = found
        return found

    return command


@pytest.mark.slow
def test_each_part_has_a_document_and_rows_their_share(run) -> None:
    propagation = Part(name="propagation", seconds=9, cases=[case(system("double"))])
    found = run([ceilings(), propagation])
    assert set(found) == {"gpu", "gpu-ceilings", "gpu-propagation"}
    ours, peer = found["gpu-propagation"]["rows"]
    assert (ours["system"], peer["system"]) == (OURS, "peer")
    # A run has 4 units of a thousand million operations each.
    notes = ours["notes"]
    assert notes["tflop_per_s"] == pytest.approx(1 / ours["median"])
    assert notes["mfu"] > 0
    assert len(found["gpu-propagation"]["ratios"]) == 1
    assert [one["file"] for one in found["gpu"]["parts"]] == [
        "gpu-ceilings.json",
        "gpu-propagation.json",
    ]
    assert found["gpu"]["device"] == "a processor"


@pytest.mark.slow
def test_a_peer_that_takes_too_long_takes_no_time_from_the_others(run) -> None:
    slow = system("slow_to_set_up")
    part = Part(name="gat", seconds=1, cases=[case(slow, system("double"))])
    found = run([part], "--budget", "25")["gpu-gat"]
    assert {row["variant"] for row in found["rows"]} == {"double"}
    (missing,) = found["missing"]
    assert missing["system"] == "peer slow_to_set_up"
    assert missing["reason"] == "its time was over in `setup`"


@pytest.mark.slow
def test_what_does_not_fit_is_skipped_and_no_failure(run) -> None:
    part = Part(name="gat", seconds=1000, cases=[case()])
    found = run([part], "--budget", "6")
    assert set(found) == {"gpu"}
    (outcome,) = found["gpu"]["parts"]
    assert outcome["failed"] == []
    assert outcome["skipped"][0].startswith("small, float32: ")


@pytest.mark.slow
def test_a_failure_is_told_at_the_end_and_stops_nothing(run) -> None:
    parts = [
        Part(name="gat", seconds=1, cases=[case(system("double", factor=3.0))]),
        Part(name="ranking", seconds=1, cases=[case(system("double"))]),
    ]
    with pytest.raises(SystemExit) as ended:
        run(parts)
    assert ended.value.code == 1
    found = run.documents
    assert [row["system"] for row in found["gpu-gat"]["rows"]] == [OURS]
    assert len(found["gpu-ranking"]["rows"]) == 2
    (failed,) = found["gpu"]["parts"][0]["failed"]
    assert "small, float32: peer double" in failed
    assert found["gpu"]["parts"][1]["failed"] == []


@pytest.mark.parametrize("device", [CPU, GPU])
def test_rows_are_those_of_the_device(device: machine.Device, tmp_path: Path) -> None:
    parts = accelerator_parts.parts_for(device, tmp_path)
    assert sum(part.seconds for part in parts) == 450
    systems = [one for part in parts for case in part.cases for one in case.systems]
    assert all(one.environment != KEEPS_MEMORY for one in systems)
    backends = {one.options["backend"] for one in systems if "backend" in one.options}
    on_gpu = device.kind == "gpu"
    assert ("native" in backends) != on_gpu
    graphs = [one for one in systems if one.options.get("cuda_graph")]
    assert bool(graphs) == on_gpu
    names = {case.precision for case in parts[0].cases}
    assert ("tf32" in names) == on_gpu


def test_an_encoder_with_random_weights_cuts_texts_as_said(tmp_path: Path) -> None:
    shape = Shape(
        vocab_size=50,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    folder = write_encoder(tmp_path / "encoder", shape)
    texts, counts = ragged_texts(20, shape, longest=16)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    found = [one.ids for one in tokenizer.encode_batch(texts)]
    assert [len(ids) for ids in found] == counts.tolist()
    assert len(set(counts.tolist())) > 3
    assert all(1 not in ids for ids in found)  # [UNK]


def test_the_device_is_asked_of_the_libraries() -> None:
    found = machine.found()
    assert found.kind in ("cpu", "gpu")
    assert found.name
