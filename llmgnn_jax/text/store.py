"""Vectors of texts on disk, so that no text is encoded twice.

    store = VectorStore.open(folder, identity=encoder.identity, dim=encoder.dim)
    vectors, report = store.encode(texts, encoder)

One file for each encoder, `<folder>/<identity>.vectors`: a `RecordFile` whose keys are
the sha256 of the texts. The identity covers whatever decides a vector beside the text
(weights, tokenizer, pooling, longest text, type), stands in the file's name and goes
into each checksum: a vector of another encoder is never returned.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from llmgnn_jax.assets import cache_root
from llmgnn_jax.errors import UserError
from llmgnn_jax.text.interface import Encoder
from llmgnn_jax.text.records import RecordFile

# Texts given to the encoder at once: their tokens take some 100 MB, and what is lost at
# the end of each batch shape stays small.
_TEXTS_AT_ONCE = 2**17


@dataclass(frozen=True, kw_only=True)
class EncodeReport:
    """What `VectorStore.encode` did.

    Attributes:
        encoded: Distinct texts that were encoded.
        reused: Distinct texts whose vectors were in the store.
        tokens: Tokens that were encoded, without padding.
        places: Tokens that were computed, with padding.
        seconds: Wall time, compilation included.
    """

    encoded: int
    reused: int
    tokens: int
    places: int
    seconds: float


class StoredVectors(NamedTuple):
    """Vectors of texts, and how they were come by.

    Attributes:
        vectors: (N, dim) float32, in the order of the texts.
        report: What was encoded and what was reused.
    """

    vectors: np.ndarray
    report: EncodeReport


def default_folder() -> Path:
    """Where vectors are kept unless told otherwise: in the cache of the assets."""
    return cache_root() / "text_vectors"


class VectorStore:
    """The stored vectors of one encoder. Use `open`.

    Attributes:
        path: The file.
        identity: Of the encoder.
        dim: Width of the vectors.
    """

    def __init__(self, path: Path, *, identity: str, dim: int) -> None:
        self.path = path
        self.identity = identity
        self.dim = dim
        self._file = RecordFile(path, owner=identity, dim=dim)

    @classmethod
    def open(cls, folder: Path, *, identity: str, dim: int) -> "VectorStore":
        """Opens the store of an encoder, empty at first.

        Args:
            folder: Of all stores; made when the first vector is written.
            identity: Of the encoder, as `Encoder.identity` gives it.
            dim: Width of its vectors.

        Raises:
            UserError: If the file is there and cannot be read.
        """
        return cls(folder / f"{identity}.vectors", identity=identity, dim=dim)

    def __len__(self) -> int:
        """How many distinct texts have a record."""
        return len(self._file)

    def encode(
        self,
        texts: Sequence[str],
        encoder: Encoder,
        progress: Callable[[int, int], None] | None = None,
        out: np.ndarray | None = None,
    ) -> StoredVectors:
        """Vectors of texts, encoding only what is not stored.

        Each batch is stored when it is finished: a killed run goes on where it was.

        Args:
            texts: N texts; equal ones are encoded once.
            encoder: Of the store's identity.
            progress: Called with how many of the texts to encode are done, and how many
                there are, after each batch.
            out: (N, dim) float32 that the vectors are written into, such as a
                memory-mapped file; a new array if None.

        Raises:
            UserError: If a text is no str, or the store cannot be written.
            ValueError: If the encoder is another one than the store's, or `out` is of
                another shape or type.
        """
        keys = _keys(texts)
        shape = len(texts), self.dim
        if out is None:
            out = np.zeros(shape, np.float32)
        elif out.shape != shape or out.dtype != np.float32:
            raise ValueError(
                f"out: expected float32 {shape}, got {out.dtype} {out.shape}"
            )
        first = _first_rows(keys)
        report = self._each(
            texts, keys, list(first.values()), encoder, out.__setitem__, progress
        )
        for row, key in enumerate(keys):
            if first[key] != row:
                out[row] = out[first[key]]
        return StoredVectors(out, report)

    def add(
        self,
        texts: Sequence[str],
        encoder: Encoder,
        progress: Callable[[int, int], None] | None = None,
    ) -> EncodeReport:
        """Encodes what is not stored, like `encode`, and keeps no vector in memory."""
        keys = _keys(texts)
        rows = list(_first_rows(keys).values())
        return self._each(texts, keys, rows, encoder, lambda *_: None, progress)

    def _each(
        self,
        texts: Sequence[str],
        keys: Sequence[bytes],
        rows: Sequence[int],
        encoder: Encoder,
        take: Callable[[int, np.ndarray], None],
        progress: Callable[[int, int], None] | None,
    ) -> EncodeReport:
        """Calls `take` with each of the rows and its vector, stored or encoded now."""
        if (encoder.identity, encoder.dim) != (self.identity, self.dim):
            raise ValueError(
                f"encoder: expected identity {self.identity} and dim {self.dim}, "
                f"got {encoder.identity} and {encoder.dim}"
            )
        started = time.perf_counter()

        def stored(row: int) -> bool:
            vector = self._file.read(keys[row])
            if vector is not None:
                take(row, vector)
            return vector is not None

        self._file.refresh()
        missing = [row for row in rows if not stored(row)]
        # Like lengths together: fewer half-filled batches at the end of each portion.
        missing.sort(key=lambda row: -len(texts[row]))
        encoded, tokens, places, done = 0, 0, 0, 0
        for start in range(0, len(missing), _TEXTS_AT_ONCE):
            portion = missing[start : start + _TEXTS_AT_ONCE]
            if start:
                # Another process may have come to them meanwhile.
                self._file.refresh()
                left = [row for row in portion if not stored(row)]
                done += len(portion) - len(left)
                portion = left
            due = done + len(portion)
            for batch in encoder.encode_batches([texts[row] for row in portion]):
                fresh = [portion[place] for place in batch.rows]
                vectors = np.asarray(batch.vectors, np.float32)
                self._file.append([keys[row] for row in fresh], vectors)
                for row, vector in zip(fresh, vectors, strict=True):
                    take(row, vector)
                tokens += batch.tokens
                places += batch.places
                encoded += len(fresh)
                done += len(fresh)
                if progress is not None:
                    progress(done, len(missing))
            assert done == due, "the encoder gives each text once"
        return EncodeReport(
            encoded=encoded,
            reused=len(rows) - encoded,
            tokens=tokens,
            places=places,
            seconds=time.perf_counter() - started,
        )


def _keys(texts: Sequence[str]) -> list[bytes]:
    if isinstance(texts, str):
        raise UserError.field("texts", expected="a list of texts", got="one str")
    return [_key(text, row) for row, text in enumerate(texts)]


def _key(text: object, row: int) -> bytes:
    if not isinstance(text, str):
        raise UserError.field(f"text {row}", expected="a str", got=type(text).__name__)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _first_rows(keys: Sequence[bytes]) -> dict[bytes, int]:
    """Each distinct key and the first row that has it."""
    first: dict[bytes, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    return first
