"""SIGTERM: noted, saved, and told to the scheduler."""

import errno
import json
import os
import signal
import threading

import pytest

from llmgnn_jax.config import replace
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


@pytest.fixture
def words(tiny_config, workplace, as_typed):
    """A command line that is told to stop at step 12 of 40."""
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
    return ["train", "synthetic", *as_typed(config), "--out", "run"]


@pytest.fixture
def told_at_12(monkeypatch):
    real, calls = loop.check_finite, []

    def then_told(*arguments):
        real(*arguments)
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loop, "check_finite", then_told)


def test_a_run_saves_says_and_goes_on(words, told_at_12, workplace, llmgnn, caplog):
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


def test_the_code_is_not_given_before_the_checkpoint_is_there(
    words, told_at_12, workplace, refused, monkeypatch
):
    real = os.rename

    def full(source, target, **rest):
        if "orbax-checkpoint-tmp" in str(source):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target, **rest)

    # The last thing that is done for a checkpoint, when it is all written.
    monkeypatch.setattr(os, "rename", full)
    line = refused(*words)
    assert line.startswith(f"{workplace / 'run/checkpoints/graph/12'}: expected a ")
    assert "No space left on device" in line
