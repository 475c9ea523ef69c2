"""SIGTERM: what schedulers send some seconds before they take a machine away."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: run the same command again, with `--resume`."""


class Preempted(Exception):
    """A run was told to stop, and has saved where it was."""


@contextlib.contextmanager
def told_to_stop() -> Iterator[Callable[[], bool]]:
    """Within, SIGTERM is noted, so that a loop can end where nothing is half done.

    Gives a function that says whether it came. In threads other than the main one,
    where Python cannot hear signals, it never does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        del number, frame
        came.set()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
