"""Vectors of texts on disk, so that no text is encoded twice.

    store = VectorStore.open(folder, identity=encoder.identity, dim=encoder.dim)
    vectors, report = store.encode(texts, encoder)

One file for each encoder, `<folder>/<identity>.vectors`: records of one size, one after
another, nothing else.

    sha256 of the text     32 bytes
    vector                 4 * dim bytes, float32, little-endian
    checksum               8 bytes, BLAKE2b of identity, sha256 and vector

Records are appended, never changed. What a crash leaves of the last one is no whole
record: readers do not see it, and the next writer cuts it off. A record whose checksum
is wrong is as good as absent: its text is encoded again and appended, and later records
win. Several processes may write: each append holds a lock on the file, and leaves out
what another process has appended meanwhile.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

from llmgnn_jax.assets import cache_root
from llmgnn_jax.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: one writer at a time is then up to the user.
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_KEY_BYTES = 32
_CHECK_BYTES = 8


class Batch(Protocol):
    """Some of the texts, finished."""

    @property
    def rows(self) -> np.ndarray:
        """(n,) int64 positions in the texts given."""
        ...

    @property
    def vectors(self) -> np.ndarray:
        """(n, dim) float32."""
        ...

    @property
    def tokens(self) -> int:
        """How many tokens were encoded."""
        ...


class Encoder(Protocol):
    """What the store needs of an encoder: `TextEncoder` is one."""

    @property
    def identity(self) -> str:
        """Equal ones give equal vectors."""
        ...

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        ...

    def encode_batches(self, texts: Sequence[str]) -> Iterator[Batch]:
        """Encodes each text once, in any order."""
        ...


@dataclass(frozen=True, kw_only=True)
class EncodeReport:
    """What `VectorStore.encode` did.

    Attributes:
        encoded: Distinct texts that were encoded.
        reused: Distinct texts whose vectors were in the store.
        tokens: Tokens that were encoded, without padding.
        seconds: Wall time, compilation included.
    """

    encoded: int
    reused: int
    tokens: int
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
        self._seed = hashlib.blake2b(
            f"{identity} {dim}".encode(), digest_size=_CHECK_BYTES
        )
        self._record = np.dtype(
            [
                ("key", np.uint8, _KEY_BYTES),
                ("vector", "<f4", dim),
                ("check", np.uint8, _CHECK_BYTES),
            ]
        )
        self._places: dict[bytes, int] = {}
        self._records = np.empty(0, self._record)
        self._refresh()

    @classmethod
    def open(cls, folder: Path, *, identity: str, dim: int) -> "VectorStore":
        """Opens the store of an encoder, empty at first.

        Reads the keys of all records; vectors are read, and checked, when asked for.

        Args:
            folder: Of all stores; made when the first vector is written.
            identity: Of the encoder, as `TextEncoder.identity` gives it.
            dim: Width of its vectors.

        Raises:
            UserError: If the file is there and cannot be read.
        """
        return cls(folder / f"{identity}.vectors", identity=identity, dim=dim)

    def __len__(self) -> int:
        """How many distinct texts have a record."""
        return len(self._places)

    def encode(
        self,
        texts: Sequence[str],
        encoder: Encoder,
        progress: Callable[[int, int], None] | None = None,
    ) -> StoredVectors:
        """Vectors of texts, encoding only what is not stored.

        Each batch is stored when it is finished: a killed run goes on where it was.

        Args:
            texts: N texts; equal ones are encoded once.
            encoder: Of the store's identity.
            progress: Called with how many of the texts to encode are done, and how many
                there are, after each batch.

        Raises:
            UserError: If a text is no str, or the store cannot be written.
            ValueError: If the encoder is another one than the store's.
        """
        if (encoder.identity, encoder.dim) != (self.identity, self.dim):
            raise ValueError(
                f"encoder: expected identity {self.identity} and dim {self.dim}, "
                f"got {encoder.identity} and {encoder.dim}"
            )
        if isinstance(texts, str):
            raise UserError.field("texts", expected="a list of texts", got="one str")
        started = time.perf_counter()
        self._refresh()
        keys = [_key(text, row) for row, text in enumerate(texts)]
        distinct = {key: row for row, key in enumerate(keys)}
        known = {key: self._read(key) for key in distinct}
        missing = [key for key, vector in known.items() if vector is None]
        tokens, done = 0, 0
        for batch in encoder.encode_batches([texts[distinct[key]] for key in missing]):
            fresh = {
                missing[row]: np.asarray(vector, "<f4")
                for row, vector in zip(batch.rows, batch.vectors, strict=True)
            }
            self._append(fresh)
            known.update(fresh)
            tokens += batch.tokens
            done += len(fresh)
            if progress is not None:
                progress(done, len(missing))
        assert done == len(missing), "the encoder gives each text once"
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, key in enumerate(keys):
            vectors[row] = known[key]
        return StoredVectors(
            vectors,
            EncodeReport(
                encoded=len(missing),
                reused=len(distinct) - len(missing),
                tokens=tokens,
                seconds=time.perf_counter() - started,
            ),
        )

    def _check(self, key: bytes, vector: np.ndarray) -> bytes:
        check = self._seed.copy()
        check.update(key)
        check.update(vector.tobytes())
        return check.digest()

    def _read(self, key: bytes) -> np.ndarray | None:
        """The vector of a key, if its record is whole."""
        place = self._places.get(key)
        if place is None:
            return None
        record = self._records[place]
        if self._check(key, record["vector"]) == record["check"].tobytes():
            return np.asarray(record["vector"])
        logger.warning("%s: record %d is damaged, encoded again", self.path, place)
        return None

    def _refresh(self) -> None:
        """Maps the file as it is now, and indexes the records that are new."""
        try:
            count = self.path.stat().st_size // self._record.itemsize
            if count < len(self._records):  # The file was replaced.
                self._places = {}
                self._records = np.empty(0, self._record)
            known = len(self._records)
            if count == known:
                return
            self._records = np.memmap(self.path, self._record, mode="r", shape=(count,))
        except FileNotFoundError:
            self._places = {}
            self._records = np.empty(0, self._record)
            return
        except OSError as error:
            raise _unusable(self.path, error) from error
        keys = self._records["key"][known:].tobytes()
        for number in range(count - known):
            key = keys[number * _KEY_BYTES : (number + 1) * _KEY_BYTES]
            self._places[key] = known + number

    def _append(self, fresh: dict[bytes, np.ndarray]) -> None:
        """Writes records, less those that another process has written meanwhile."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX)
                end = os.fstat(file.fileno()).st_size
                whole = end - end % self._record.itemsize
                if whole != end:
                    # Nobody is writing: the lock is held. A crash has left this.
                    logger.warning("%s: an unfinished record is cut off", self.path)
                    file.truncate(whole)
                self._refresh()
                absent = [key for key in fresh if self._read(key) is None]
                records = np.empty(len(absent), self._record)
                for record, key in zip(records, absent, strict=True):
                    record["key"] = np.frombuffer(key, np.uint8)
                    record["vector"] = fresh[key]
                    record["check"] = np.frombuffer(
                        self._check(key, fresh[key]), np.uint8
                    )
                _write(file, records.tobytes(), whole)
        except OSError as error:
            raise _unusable(self.path, error) from error


def _write(file: BinaryIO, data: bytes, end: int) -> None:
    """Writes all of it, or (disk full) nothing."""
    view = memoryview(data)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError:
        file.truncate(end)
        raise


def _key(text: object, row: int) -> bytes:
    if not isinstance(text, str):
        raise UserError.field(f"text {row}", expected="a str", got=type(text).__name__)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _unusable(path: Path, error: OSError) -> UserError:
    return UserError.field(
        str(path),
        expected="a file that can be read and written",
        got=error.strerror or str(error),
        fix="free space there or set LLMGNN_CACHE to another folder",
    )
