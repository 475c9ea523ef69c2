"""Ends of `with` blocks that write something."""

import logging
from collections.abc import Callable

from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)


def close_after(close: Callable[[], None], error: BaseException | None) -> None:
    """Closes what a block held, beside what ended the block.

    Args:
        close: What there is to do.
        error: What the block raised, or None.

    Raises:
        UserError: Of `close`; only logged where the block raised: that is told, and
            this must not take its place.
    """
    try:
        close()
    except UserError as unwritten:
        if error is None:
            raise
        logger.warning("%s", unwritten)
