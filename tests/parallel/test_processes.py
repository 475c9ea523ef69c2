"""Two processes with two devices each: one run, and one that loses a process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.parallel.exchange import EXCHANGES

pytestmark = pytest.mark.slow

STEPS = 20


@pytest.fixture
def command(tiny_encoder, workplace):
    """(folder, steps, options) -> a command line of a tiny run."""
    del workplace

    def make(folder, steps, *options):
        return [
            *(sys.executable, "-m", "llmgnn_jax.cli", "train", "ml-100k"),
            *("--data.source", "synthetic", "--models", "fused"),
            *("--text.encoder", str(tiny_encoder), "--graph.backend", "segment"),
            *("--train.batch-size", "64", "--train.steps", str(steps)),
            *("--train.steps-per-call", "1", "--train.validate-every", "10"),
            *("--train.checkpoint-every", "10", "--train.negatives", "in_batch"),
            *("--train.patience", "0", "--parallel.groups", "8"),
            *("--evaluation.baselines", "False", "--out", str(folder)),
            *options,
        ]

    return make


CACHE = "JAX_COMPILATION_CACHE_DIR"


def environment(devices):
    # Each compiles for itself: of two processes of a run one would write what was
    # compiled and the other wait for it in the first exchange.
    kept = {name: os.environ[name] for name in os.environ if name != CACHE}
    return {
        **kept,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} "
        "--xla_cpu_enable_concurrency_optimized_scheduler=false",
        "NPROC": "256",
        "JAX_PLATFORMS": "cpu",
    }


class Pair:
    """The same command twice, with two devices each."""

    def __init__(self, command, logs):
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            port = probe.getsockname()[1]
        self.logs = [logs.with_name(f"{logs.name}-{number}") for number in range(2)]
        self.processes = []
        for number, log in enumerate(self.logs):
            told = ("--coordinator", f"localhost:{port}", "--processes", "2")
            with log.open("w") as file:
                self.processes.append(
                    subprocess.Popen(
                        [*command, *told, "--process", str(number)],
                        env=environment(2),
                        stdout=file,
                        stderr=subprocess.STDOUT,
                    )
                )

    def codes(self, timeout=240):
        return [process.wait(timeout) for process in self.processes]

    def words(self):
        return "\n".join(log.read_text()[-3000:] for log in self.logs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


def losses(folder):
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {one["step"]: one["loss"] for one in records if "loss" in one}


def run_alone(command):
    done = subprocess.run(
        command, env=environment(1), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr


def saved(folder):
    checkpoints = Path(folder) / "checkpoints" / "fused"
    return {one.name for one in checkpoints.glob("*") if one.name.isdigit()}


def test_losses_are_those_of_one_device(command, tmp_path):
    run_alone(command(tmp_path / "alone", STEPS))
    with Pair(command(tmp_path / "pair", STEPS), tmp_path / "log") as pair:
        assert pair.codes() == [0, 0], pair.words()
    expected, got = losses(tmp_path / "alone"), losses(tmp_path / "pair")
    assert list(got) == list(expected) == list(range(1, STEPS + 1))
    np.testing.assert_allclose(list(got.values()), list(expected.values()), rtol=1e-4)
    one, two = (
        json.loads((tmp_path / name / "results.json").read_text())["models"]["fused"]
        for name in ("alone", "pair")
    )
    assert two["test"]["ndcg@10"] == pytest.approx(one["test"]["ndcg@10"], abs=0.02)


def test_the_fastest_exchange_is_measured_by_both(command, tmp_path):
    """Even where the graph is so small that their clocks may well disagree."""
    folder = tmp_path / "run"
    _, _, *arguments = command(folder, 4)[1:]
    measured = (
        "import sys; from llmgnn_jax.cli import main; "
        "from llmgnn_jax.parallel import choice; choice._TOO_SMALL = 0; "
        "sys.exit(main())"
    )
    with Pair([sys.executable, "-c", measured, *arguments], tmp_path / "log") as pair:
        assert pair.codes() == [0, 0], pair.words()
    lines = [log.read_text().splitlines() for log in pair.logs]
    chosen = json.loads((folder / "config.json").read_text())["parallel"]["exchange"]
    assert chosen in EXCHANGES
    for told in lines:
        (line,) = [one for one in told if "parallel.exchange auto: " in one]
        assert f"parallel.exchange auto: {chosen} (" in line
    assert len(losses(folder)) == 4


@pytest.mark.timeout(600)
def test_a_killed_process_costs_the_steps_since_the_last_checkpoint(command, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with Pair(command(whole, 40), tmp_path / "first") as pair:
        assert pair.codes() == [0, 0], pair.words()
    with Pair(command(broken, 400), tmp_path / "second") as pair:
        deadline = time.monotonic() + 200
        while not saved(broken) & {"20", "30"}:
            assert time.monotonic() < deadline, pair.words()
            time.sleep(0.05)
        pair.processes[1].send_signal(signal.SIGKILL)
        # The other one cannot go on alone, and does not wait for ever.
        assert pair.processes[0].wait(200) != 0
    kept = max(map(int, saved(broken)))
    assert kept >= 20
    resumed = command(broken, max(40, kept + 10), "--resume")
    with Pair(resumed, tmp_path / "third") as pair:
        assert pair.codes() == [0, 0], pair.words()
        assert "resumed at step" in pair.words()
    expected, got = losses(whole), losses(broken)
    for step in range(1, 41):
        assert got[step] == pytest.approx(expected[step], rel=1e-5), step


def test_sigterm_of_one_ends_both_with_a_checkpoint(command, tmp_path):
    folder = tmp_path / "run"
    with Pair(command(folder, 400), tmp_path / "log") as pair:
        deadline = time.monotonic() + 200
        while not (folder / "metrics.jsonl").exists() or len(losses(folder)) < 3:
            assert time.monotonic() < deadline, pair.words()
            time.sleep(0.05)
        pair.processes[1].send_signal(signal.SIGTERM)
        assert pair.codes() == [75, 75], pair.words()
    assert str(max(losses(folder))) in saved(folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--processes", "2"), "expected all of them, or --distributed alone"),
        (
            ("--coordinator", "localhost:1", "--processes", "2", "--process", "2"),
            "--process: expected a number from 0 to 1",
        ),
    ],
)
def test_what_is_not_said_in_full(command, tmp_path, options, words):
    done = subprocess.run(
        [*command(tmp_path / "run", 1), *options],
        env=environment(1),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
