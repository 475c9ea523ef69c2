"""Trivial systems for the harness: each runs in a worker process of its own."""

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import Task, Unavailable


def double(
    inputs,
    *,
    factor: float = 2.0,
    log: str = "",
    name: str = "",
    wait: float = 0.0,
    cold_s: float | None = None,
):
    """Twice the numbers; writes down when it computes."""

    def run() -> None:
        began = time.monotonic_ns()
        time.sleep(wait)
        if log:
            with Path(log).open("a") as file:
                file.write(f"{name} {began} {time.monotonic_ns()}\n")

    return Task(
        run=run,
        outputs=lambda: {
            "out": factor * np.asarray(inputs["numbers"]),
            "gradient": np.full(3, 1e-6 * factor),
        },
        units=4,
        compile_s=1.5,
        cold_s=cold_s,
        notes={"cores": len_of_affinity()},
    )


def afresh(inputs):
    """Each run starts afresh, and says so in the notes."""
    notes = {"runs": 0}

    def run() -> None:
        notes["runs"] += 1

    return Task(
        run=run,
        outputs=lambda: {"out": np.ones(5)},
        warms_up=False,
        notes=notes,
    )


def wrong_shape(inputs):
    """One number too few."""
    return Task(run=lambda: None, outputs=lambda: {"out": np.ones(4)})


def absent(inputs):
    """Says that it cannot run here."""
    raise Unavailable("it is not there")


def broken(inputs):
    """Fails with a message."""
    raise RuntimeError("the reason why")


def noisy(inputs):
    """Prints where the answers go."""
    print("a library's banner", flush=True)
    return double(inputs)


def slow_to_set_up(inputs):
    """Is not ready for a minute."""
    time.sleep(60)
    return double(inputs)


def ends(inputs):
    """Dies, with a warning that is none of it."""
    print("a library's warning", file=sys.stderr, flush=True)
    raise SystemExit(3)


def no_kernel(inputs):
    """Is set up, and fails when it is first called."""

    def outputs() -> dict:
        raise NotImplementedError("no kernel for this device")

    return Task(run=lambda: None, outputs=outputs)


def len_of_affinity() -> int:
    """How many cores this process may use."""
    import os

    return len(os.sched_getaffinity(0))
