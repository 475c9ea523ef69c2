"""Ctrl-C is heard wherever it arrives."""

import gc
import os
import signal
import time
from collections.abc import Iterator

import pytest

from llmgnn_jax.cli.interrupt import never_lost


@pytest.fixture
def as_in_a_terminal() -> Iterator[None]:
    """What runs in the background of a shell ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_self() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_in_a_callback_of_the_garbage_collector(as_in_a_terminal: None) -> None:
    """Where what is raised is ignored."""
    called = []

    def callback(phase: str, info: dict) -> None:
        if not called:
            called.append(phase)
            interrupt_self()
            # One call deeper is in the callback too.
            time.sleep(0)

    def work() -> None:
        with never_lost():
            gc.collect()
            called.append("went on")
            for _ in range(500):
                time.sleep(0.01)

    # What other tests left behind has finalizers that would take the signal.
    gc.collect()
    gc.callbacks.append(callback)
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        gc.callbacks.remove(callback)
    assert called == ["start", "went on"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_anywhere_else_at_once(as_in_a_terminal: None) -> None:
    went_on = []

    def work() -> None:
        with never_lost():
            interrupt_self()
            time.sleep(0.5)
            went_on.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not went_on


@pytest.mark.parametrize("other", [signal.SIG_IGN, lambda *_: None])
def test_another_handler_stays(as_in_a_terminal: None, other: object) -> None:
    signal.signal(signal.SIGINT, other)  # type: ignore[arg-type]
    with never_lost():
        assert signal.getsignal(signal.SIGINT) is other
        interrupt_self()
    assert signal.getsignal(signal.SIGINT) is other
