"""Run folders in a bucket: `gs://BUCKET/PATH`, through etils and gcsfs.

Google's buckets alone, since orbax writes arrays to no others. An object is written
whole or not at all, and never appended to.
"""

import contextlib
import importlib.util
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.errors import UserError, in_a_line

_SCHEME = "gs://"


def is_url(path: str | Path) -> bool:
    """Whether a folder is not one of this machine's file systems."""
    return "://" in str(path)


def run_path(name: str | Path) -> Path:
    """A run folder by what a user calls it.

    A URL gives an `etils.epath.Path`, which has the methods of pathlib's that are used
    here. Nothing is asked of the bucket yet.

    Raises:
        UserError: If the URL is of another kind, or gcsfs is not installed.
    """
    if not is_url(name):
        return named_path(name)
    bucket = str(name).removeprefix(_SCHEME).partition("/")[0]
    if not str(name).startswith(_SCHEME) or not bucket:
        raise UserError.field(
            str(name), expected="a folder, or a URL as gs://BUCKET/PATH", got=str(name)
        )
    if importlib.util.find_spec("gcsfs") is None:
        raise UserError.field(
            str(name),
            expected="the package gcsfs, for buckets",
            got="none",
            fix="pip install 'llmgnn-jax[bucket]'",
        )
    # It tells of each try, with tracebacks; what it raises in the end is told here.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    from etils import epath

    path: Path = epath.Path(str(name).rstrip("/"))
    return path


@contextlib.contextmanager
def reaching(path: Path) -> Iterator[None]:
    """Around what reads or writes in a run folder: a bucket's refusals in one line.

    A file system's errors pass.

    Raises:
        UserError: Whatever keeps a bucket from being reached: no network, no
            credentials, no permission, no such bucket.
    """
    try:
        yield
    except (UserError, FileExistsError):
        raise
    except Exception as error:
        # Of gcsfs, google.auth, aiohttp, requests: they have no ancestor in common.
        if not is_url(path):
            raise
        raise UserError.field(
            str(path),
            expected="a bucket that can be reached, read and written",
            got=in_a_line(error),
            fix="see that it exists, and `gcloud auth application-default login`",
        ) from error


def check_reachable(path: Path) -> None:
    """Asks a bucket for what is in a folder, which may be nothing.

    Raises:
        UserError: If it does not answer.
    """
    if is_url(path):
        with reaching(path), contextlib.suppress(FileNotFoundError):
            next(iter(path.iterdir()), None)


def remove_tree(path: Path) -> None:
    """Removes a folder and all that is in it."""
    if is_url(path):
        path.rmtree()  # type: ignore[attr-defined]
    else:
        shutil.rmtree(path)
