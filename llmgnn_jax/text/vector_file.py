"""A NumPy file of vectors that is whole or absent, and is never whole in memory."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.records import locked

_ZEROS = bytes(2**20)


@contextlib.contextmanager
def vector_file(path: Path) -> Iterator[Callable[[int, int], np.ndarray]]:
    """Makes a .npy file, to be found under its name when all of it is written.

    Until then it is `.NAME.tmp` beside it, which a killed process leaves and the next
    one takes over.

    Args:
        path: The file; one that is there is replaced at the end.

    Yields:
        `allocate(N, D)`: a memory-mapped array of float32 to fill.

    Raises:
        UserError: If it cannot be written, another process is writing it, or the disk
            has no room for it.
    """
    if path.is_dir():
        raise _unwritable(path, "a folder")
    if path.exists() and not path.is_file():
        # Replaced, a device or a pipe would be gone for all.
        raise _unwritable(path, "a device or a pipe")
    temporary = path.with_name(f".{path.name}.tmp")
    vectors: np.ndarray | None = None

    def allocate(rows: int, dim: int) -> np.ndarray:
        nonlocal vectors
        try:
            vectors = _allocated(file, (rows, dim))
        except OSError as error:
            raise _unwritable(path, error.strerror or str(error)) from error
        return vectors

    with contextlib.ExitStack() as stack:
        try:
            # Not truncated before it is known that nobody else has it.
            file = stack.enter_context(temporary.open("a+b", buffering=0))
            stack.enter_context(locked(file, wait=False))
            if not temporary.exists() or not os.path.samestat(
                temporary.stat(), os.fstat(file.fileno())
            ):
                raise BlockingIOError  # It has just been finished and renamed.
            file.truncate(0)
        except BlockingIOError:
            raise _unwritable(path, "one that another process is writing") from None
        except OSError as error:
            raise _unwritable(path, error.strerror or str(error)) from error
        try:
            yield allocate
            if isinstance(vectors, np.memmap):
                vectors.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _allocated(file: BinaryIO, shape: tuple[int, int]) -> np.ndarray:
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    start, size = file.tell(), 4 * shape[0] * shape[1]
    # Written, not left as a hole: a full disk is then an error here, and not the end of
    # the process when a page of the mapped file is touched.
    done = 0
    while done < size:
        done += file.write(_ZEROS[: size - done])
    return np.memmap(file, "<f4", mode="r+", offset=start, shape=shape)


def _unwritable(path: Path, got: str) -> UserError:
    return UserError.field(str(path), expected="a file that can be written", got=got)
