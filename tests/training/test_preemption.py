"""SIGTERM: noted, saved, and told to the scheduler."""

import json
import os
import signal
import threading

from llmgnn_jax.config import flatten, replace
from llmgnn_jax.training import loop
from llmgnn_jax.training.preemption import EXIT_CODE, told_to_stop


def test_a_signal_is_noted_and_the_old_handler_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with told_to_stop() as told:
        assert not told()
        os.kill(os.getpid(), signal.SIGTERM)
        assert told()
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_hear_nothing_and_change_nothing():
    before = signal.getsignal(signal.SIGTERM)
    heard = []

    def listen():
        with told_to_stop() as told:
            heard.append((told(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert heard == [(False, before)]


def test_a_run_saves_says_and_goes_on(
    tiny_config, workplace, llmgnn, monkeypatch, caplog
):
    config = replace(
        tiny_config,
        **{
            "models": ("graph",),
            "train.steps": 40,
            "train.steps_per_call": 4,
            "train.validate_every": 20,
            "train.checkpoint_every": 100,
            "evaluation.baselines": False,
        },
    )
    words = ["train", "synthetic"]
    for field, value in flatten(config).items():
        several = value if isinstance(value, tuple) else (value,)
        words += [f"--{field.replace('_', '-')}", *map(str, several)]
    words += ["--out", "run"]
    real, calls = loop._check_finite, []

    def then_told(*arguments):
        real(*arguments)
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loop, "_check_finite", then_told)
    code, _, err = llmgnn(*words)
    assert code == EXIT_CODE == 75
    line = err.splitlines()[-1]
    assert line == "graph: told to stop at step 12; --resume goes on from there"
    assert [p.name for p in (workplace / "run/checkpoints/graph").iterdir()] == ["12"]
    assert not (workplace / "run/results.json").exists()
    code, _, err = llmgnn(*words, "--resume")
    assert code == 0, err
    assert "graph: resumed at step 12" in caplog.text
    with open("run/metrics.jsonl", encoding="utf-8") as lines:
        steps = [one["step"] for one in map(json.loads, lines) if "loss" in one]
    assert steps == list(range(4, 41, 4))
