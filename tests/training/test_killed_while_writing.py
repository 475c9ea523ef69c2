"""A process that is killed while a checkpoint is written in the background."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from llmgnn_jax.config import replace

pytestmark = pytest.mark.slow

# A killed process may leave half a program in the cache, which others pass over.
HALF_WRITTEN = ("-W", "ignore:Error reading persistent compilation cache entry")

# All of step 60 is on the disk but its last act, which never comes.
NEVER_COMPLETE = """
import os, sys, time
rename = os.rename
def slowly(source, target, **rest):
    if str(source).endswith("/60.orbax-checkpoint-tmp"):
        time.sleep(1000)
    rename(source, target, **rest)
os.rename = slowly
from llmgnn_jax import cli
cli.run_and_exit()
"""


@pytest.fixture
def words(tiny_config, as_typed):
    config = replace(
        tiny_config,
        **{
            "models": ("graph",),
            "train.steps": 120,
            "train.steps_per_call": 5,
            "train.validate_every": 40,
            "train.checkpoint_every": 30,
            "train.keep_checkpoints": 1,
            "evaluation.baselines": False,
        },
    )
    return ["train", "synthetic", *as_typed(config)]


@pytest.fixture
def start(workplace, cache_folder):
    """(program, arguments) -> a running process in an empty folder."""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "LLMGNN_CACHE": str(cache_folder),
        "LLMGNN_OFFLINE": "1",
    }

    def run(*arguments):
        return subprocess.Popen(
            [sys.executable, "-W", "error", *HALF_WRITTEN, *arguments],
            cwd=workplace,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    return run


def records(run):
    text = (run / "metrics.jsonl").read_text("utf-8")
    return [
        (one["step"], one.get("loss"), one.get("valid"))
        for one in map(json.loads, text.splitlines())
        if one["model"] == "graph"
    ]


def logged(run):
    """The last step whose line is whole."""
    path = run / "metrics.jsonl"
    lines = path.read_text("utf-8").split("\n")[:-1] if path.exists() else []
    return max((json.loads(line).get("step", 0) for line in lines), default=0)


def test_the_one_before_is_gone_on_from(start, words, workplace):
    module = ("-m", "llmgnn_jax.cli")
    whole = start(*module, *words, "--out", "whole")
    _, err = whole.communicate(timeout=240)
    assert whole.returncode == 0, err

    run = workplace / "killed"
    checkpoints = run / "checkpoints" / "graph"
    killed = start("-c", NEVER_COMPLETE, *words, "--out", "killed")
    deadline = time.monotonic() + 200
    # Training goes on beyond the step that is being written.
    while logged(run) < 80:
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    names = {path.name for path in checkpoints.iterdir()}
    assert names == {"30", "60.orbax-checkpoint-tmp"}

    resumed = start(*module, *words, "--out", "killed", "--resume")
    _, err = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, err
    assert "checkpoints/graph: step 60 is not complete and is skipped" in err
    assert "graph: resumed at step 30" in err
    assert "Traceback" not in err
    # What was logged after step 30 is there once.
    assert records(run) == records(workplace / "whole")
    assert [path.name for path in checkpoints.iterdir()] == ["120"]
