"""Files of bytes, plain or compressed by gzip."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from llmgnn_jax.data.sources.files import open_file, unreadable
from llmgnn_jax.errors import UserError

GZIP = ".gz"
_GZIP_BEGINS = b"\x1f\x8b"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked if its name ends in .gz.

    Raises:
        UserError: If it is missing, may not be read, is not whole, or no file; or if it
            is compressed and its name does not say so.
    """
    try:
        with open_file(path) as file:
            if path.suffix == GZIP:
                yield cast(BinaryIO, gzip.GzipFile(fileobj=file))
            else:
                if file.peek(len(_GZIP_BEGINS)).startswith(_GZIP_BEGINS):
                    raise UserError.field(
                        path.name,
                        expected="a file that is not compressed",
                        got="one compressed by gzip",
                        fix=f"name it {path.name}{GZIP}",
                    )
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError.field(
            path.name, expected="a whole file compressed by gzip", got=error
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
