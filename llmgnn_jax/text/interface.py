"""What an encoder of texts is, whatever it is made of.

Shapes: n texts of a batch, D width, N texts.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from llmgnn_jax.errors import UserError


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedBatch:
    """Some of the texts, finished.

    Attributes:
        rows: (n,) int64 positions of the texts in the input.
        vectors: (n, D) float32 of unit length.
        tokens: How many tokens were encoded, without padding.
        places: How many were computed, with padding.
    """

    rows: np.ndarray
    vectors: np.ndarray
    tokens: int
    places: int


class Encoder(Protocol):
    """A frozen encoder of texts: `load_text_encoder` gives one."""

    @property
    def identity(self) -> str:
        """Hex hash of all that decides a text's vector: equal ones, equal vectors.

        Up to the rounding of other processors and sizes of batches.
        """
        ...

    @property
    def dim(self) -> int:
        """D, the width of the vectors."""
        ...

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """(N, D) float32 of unit length, in the order of the texts."""
        ...

    def encode_batches(self, texts: Sequence[str]) -> Iterator[EncodedBatch]:
        """Encodes each text once, in any order."""
        ...


@contextlib.contextmanager
def refusing_bad_weights() -> Iterator[None]:
    """Tells users of an encoder, which cannot be mended by training, what is wrong.

    Raises:
        UserError: If a text's vector is not of finite numbers.
    """
    try:
        yield
    except FloatingPointError as error:
        raise UserError.field(
            "encoder",
            expected="weights that give finite vectors",
            got=error,
            fix="choose another checkpoint, or float32 where it is read as bfloat16",
        ) from error


def in_order(
    batches: Iterable[EncodedBatch],
    *,
    count: int,
    dim: int,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Puts the vectors of finished batches where their texts stand in the input.

    Args:
        batches: Of all texts, in any order.
        count: N.
        dim: D.
        progress: Called with the number of texts done after each batch.

    Returns:
        (N, D) float32.
    """
    vectors = np.zeros((count, dim), np.float32)
    done = 0
    for batch in batches:
        vectors[batch.rows] = batch.vectors
        done += len(batch.rows)
        if progress is not None:
            progress(done)
    return vectors


def whole_characters(text: object, row: int) -> str:
    """A text as UTF-8 can hold it: half a surrogate pair becomes U+FFFD.

    Args:
        text: What should be a str.
        row: Its number in the input, for the error.

    Raises:
        UserError: If it is no str.
    """
    if not isinstance(text, str):
        raise UserError.field(f"text {row}", expected="a str", got=type(text).__name__)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # UTF-16 joins two halves that belong together (JSON can bring them apart).
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
