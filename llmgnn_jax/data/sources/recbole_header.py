"""The first line of a RecBole atomic file: `name:type`, separated by tabs."""

from collections.abc import Sequence
from pathlib import Path

from llmgnn_jax.data.sources.table import read_header
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError, excerpt

_TYPES = ("token", "token_seq", "float", "float_seq")


def header_columns(path: Path, *, required: Sequence[str]) -> dict[str, str]:
    """Column name -> type, in file order.

    Args:
        path: The file.
        required: Columns that it cannot do without.

    Raises:
        UserError: If the file cannot be read, the line is no such header, or it lacks
            a column.
    """
    fields = read_header(path, delimiter="\t")
    columns: dict[str, str] = {}
    for text in fields:
        column, _, kind = text.strip().rpartition(":")
        if not column or kind not in _TYPES or column in columns:
            raise UserError.field(
                f"{path.name}, line 1",
                expected=f"each column once as name:type, type one of {_TYPES}",
                got=excerpt(repr(text)),
                fix="write for example user_id:token",
            )
        columns[column] = kind
    for column in required:
        if column not in columns:
            raise UserError.field(
                f"{path.name}, line 1",
                expected=f"a column {column}:token",
                got=excerpt(", ".join(columns)),
                fix=did_you_mean(column, columns) or f"add {column}:token",
            )
    return columns
