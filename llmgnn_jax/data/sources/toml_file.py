"""TOML documents."""

import tomllib
from pathlib import Path
from typing import Any

from llmgnn_jax.data.sources.files import decode, open_file
from llmgnn_jax.errors import UserError, excerpt


def read_toml(path: Path) -> dict[str, Any]:
    """What a file says.

    Raises:
        UserError: If it is missing, may not be read, or is no TOML.
    """
    try:
        with open_file(path) as file:
            text = decode(file.read(), path, first_line=1)
        return tomllib.loads(text)
    except OSError as error:
        raise UserError.field(
            path.name, expected="a TOML file", got=error.strerror or error
        ) from error
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError.field(path.name, expected="TOML", got=excerpt(error)) from error
