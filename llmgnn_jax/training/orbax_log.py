"""What orbax says of its own internals, in calls and in threads, is not for users."""

import contextlib
import io
import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class OrbaxSilence:
    """Drops what orbax logs from `begin` to `end`, whichever thread it comes from.

    Its errors too: they are raised as well, and told in one line where they are caught.
    So are those of tasks that it abandons when another fails, which asyncio logs
    whenever they are collected. Others who log through either are heard as before.
    """

    def begin(self) -> None:
        # Filters of one's own: two folders may be open, and closed in any order.
        logging.getLogger("absl").addFilter(self._written_by_others)
        logging.getLogger("asyncio").addFilter(self._raised_by_others)

    def end(self) -> None:
        logging.getLogger("absl").removeFilter(self._written_by_others)
        logging.getLogger("asyncio").removeFilter(self._raised_by_others)

    def _written_by_others(self, record: logging.LogRecord) -> bool:
        return not _of_orbax(record.pathname)

    def _raised_by_others(self, record: logging.LogRecord) -> bool:
        frames = traceback.walk_tb(record.exc_info[2] if record.exc_info else None)
        return not any(_of_orbax(frame.f_code.co_filename) for frame, _ in frames)


def _of_orbax(path: str) -> bool:
    return "/orbax/" in path.replace("\\", "/")


def without_warnings() -> contextlib.AbstractContextManager[object]:
    """Around calls of orbax: it warns of its own internals."""
    return warnings.catch_warnings(action="ignore")


@contextmanager
def without_tracebacks() -> Iterator[None]:
    """Orbax reads all arrays at once: when one fails, it raises, and the others print.

    Their tasks outlive the event loop and each leaves a traceback on stderr, now or
    when it is collected.
    """
    logger, hook = logging.getLogger("asyncio"), sys.unraisablehook
    disabled = logger.disabled
    with contextlib.redirect_stderr(io.StringIO()):
        logger.disabled, sys.unraisablehook = True, lambda _: None
        try:
            yield
        finally:
            logger.disabled, sys.unraisablehook = disabled, hook
