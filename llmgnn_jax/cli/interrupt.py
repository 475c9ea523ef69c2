"""Ctrl-C that is never lost."""

import contextlib
import gc
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_AGAIN_S = 0.02


@contextlib.contextmanager
def never_lost() -> Iterator[None]:
    """Within, an interrupt that Python would swallow comes again until it is heard.

    A signal that arrives while C++ or Rust works is raised by the first Python that
    runs afterwards. After a large result that is a callback of the garbage collector,
    of which JAX has one; and what a callback raises is printed and ignored.
    """
    ours = (
        threading.current_thread() is threading.main_thread()
        # Whoever has another handler, or ignores the signal, knows why.
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not ours:
        yield
        return
    signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupted(signum: int, frame: FrameType | None) -> None:
    if not _in_callback(frame):
        raise KeyboardInterrupt
    again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signum))
    again.daemon = True
    again.start()


def _in_callback(frame: FrameType | None) -> bool:
    """Whether the garbage collector has called what runs."""
    codes = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None:
        if frame.f_code in codes:
            return True
        frame = frame.f_back
    return False
