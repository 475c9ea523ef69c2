"""Paths as users name them."""

import errno
from pathlib import Path

from llmgnn_jax.errors import UserError, excerpt

_SHOWN = 40


def named_path(name: str | Path) -> Path:
    """The path that a name stands for, which may be asked about; `~` is a home.

    Raises:
        UserError: If it may not be: a name that is too long, a folder that may not be
            searched, nobody's home, a NUL.
    """
    try:
        path = Path(name).expanduser()
        path.exists()
    except RuntimeError as error:
        raise UserError.field(
            excerpt(name), expected="a path", got=f"no user's home ({error})"
        ) from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise UserError.field(
                excerpt(name), expected="a path", got=error.strerror or error
            ) from error
        raise UserError.field(
            f"{str(name)[:_SHOWN]}...",
            expected="a path",
            got=f"a name of {len(str(name))} characters, which is too long",
        ) from error
    if "\0" in str(path):
        raise UserError.field(
            excerpt(name), expected="a path", got="one with a NUL in it"
        )
    return path
