"""An append-only file of vectors by key, which several processes may write.

Records of one size, one after another, nothing else:

    key          32 bytes
    vector       4 * dim bytes, float32, little-endian
    checksum     8 bytes, BLAKE2b of the file's owner, key and vector

Records are appended, never changed. What a crash leaves of the last one is no whole
record: readers do not see it, and the next writer cuts it off. A record whose checksum
is wrong is as good as absent, and later records win. An append holds a lock on the file
while it looks at what others have appended meanwhile and writes the rest.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from llmgnn_jax.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: one writer at a time is then up to the user.
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

KEY_BYTES = 32
_CHECK_BYTES = 8


class RecordFile:
    """The records of one owner, memory-mapped.

    Reads the keys of all records once; vectors are read, and checked, when asked for.

    Args:
        path: The file; made, with its folder, when the first record is written.
        owner: Goes into each checksum: another owner's records are not read.
        dim: Width of the vectors.

    Raises:
        UserError: If the file is there and cannot be read.
    """

    def __init__(self, path: Path, *, owner: str, dim: int) -> None:
        self.path = path
        self._seed = hashlib.blake2b(
            f"{owner} {dim}".encode(), digest_size=_CHECK_BYTES
        )
        self._record = np.dtype(
            [
                ("key", np.uint8, KEY_BYTES),
                ("vector", "<f4", dim),
                ("check", np.uint8, _CHECK_BYTES),
            ]
        )
        self._places: dict[bytes, int] = {}
        self._records: np.ndarray = np.empty(0, self._record)
        # Device and inode of the file that these are of.
        self._which: tuple[int, int] | None = None
        self.refresh()

    def __len__(self) -> int:
        """How many distinct keys have a record."""
        return len(self._places)

    def refresh(self) -> None:
        """Maps the file as it is now, and indexes the records that are new.

        Raises:
            UserError: If the file is there and cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                self._map(file)
        except FileNotFoundError:
            self._forget()
        except OSError as error:
            raise _unusable(self.path, error) from error

    def read(self, key: bytes) -> np.ndarray | None:
        """(dim,) float32: the vector of a key, if its record is whole; a view."""
        place = self._places.get(key)
        if place is None:
            return None
        record = self._records[place]
        if self._check(key, record["vector"]) == record["check"].tobytes():
            return np.asarray(record["vector"])
        logger.warning("%s: record %d is damaged, encoded again", self.path, place)
        del self._places[key]
        return None

    def append(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
        """Writes records, less those that another process has written meanwhile.

        Args:
            keys: n distinct keys.
            vectors: (n, dim) float32.

        Raises:
            UserError: If they cannot be written. Those that were are whole.
        """
        records = np.empty(len(keys), self._record)
        records["vector"] = vectors
        for record, key in zip(records, keys, strict=True):
            record["key"] = np.frombuffer(key, np.uint8)
            check = self._check(key, record["vector"])
            record["check"] = np.frombuffer(check, np.uint8)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file, locked(file):
                end = os.fstat(file.fileno()).st_size
                if torn := end % self._record.itemsize:
                    # Nobody is writing: the lock is held. A crash has left this.
                    logger.warning("%s: an unfinished record is cut off", self.path)
                    file.truncate(end - torn)
                self.refresh()
                absent = [row for row, key in enumerate(keys) if self.read(key) is None]
                _write(file, records[absent])
        except OSError as error:
            raise _unusable(self.path, error) from error

    def _check(self, key: bytes, vector: np.ndarray) -> bytes:
        check = self._seed.copy()
        check.update(key)
        check.update(vector.tobytes())
        return check.digest()

    def _map(self, file: BinaryIO) -> None:
        status = os.fstat(file.fileno())
        count = status.st_size // self._record.itemsize
        which = status.st_dev, status.st_ino
        if which != self._which or count < len(self._records):
            self._forget()
        self._which = which
        known = len(self._records)
        if count == known:
            return
        # Whole records are never cut off, so that what is mapped stays.
        self._records = np.memmap(file, self._record, mode="r", shape=(count,))
        keys = self._records["key"][known:].tobytes()
        for number in range(count - known):
            key = keys[number * KEY_BYTES : (number + 1) * KEY_BYTES]
            self._places[key] = known + number

    def _forget(self) -> None:
        self._places = {}
        self._records = np.empty(0, self._record)
        self._which = None


@contextlib.contextmanager
def locked(file: BinaryIO, *, wait: bool = True) -> Iterator[None]:
    """Holds a file that other processes hold before they write; not on Windows.

    Args:
        file: Open for writing.
        wait: Until nobody else holds it.

    Raises:
        BlockingIOError: If somebody does, without `wait`.
    """
    if fcntl is None:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    try:
        yield
    finally:
        # Not left to closing: who has mapped the file holds it open, and so does a
        # child that was forked meanwhile.
        fcntl.flock(file, fcntl.LOCK_UN)


def _write(file: BinaryIO, records: np.ndarray) -> None:
    """Writes all of them or, where that fails, some whole ones."""
    start = os.fstat(file.fileno()).st_size
    view = memoryview(records.tobytes())
    size, written = len(view), 0
    try:
        while written < size:
            written += file.write(view[written:])
    except OSError:
        file.truncate(start + written - written % records.itemsize)
        raise


def _unusable(path: Path, error: OSError) -> UserError:
    return UserError.field(
        str(path),
        expected="a file that can be read and written",
        got=error.strerror or str(error),
        fix="free space there or set LLMGNN_CACHE to another folder",
    )
