"""Interactions from the columns of a table file, whatever the kind of the file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmgnn_jax.data.sources.collected import (
    Collected,
    Ids,
    Numbers,
    Words,
    text_of,
)
from llmgnn_jax.data.sources.collected_times import Times
from llmgnn_jax.data.sources.table_file import TableFile
from llmgnn_jax.data.sources.wording import sentences
from llmgnn_jax.errors import UserError

TEXT = "text"


@dataclass(frozen=True, kw_only=True, eq=False)
class Interactions:
    """The rows of a table, E of them, users and items numbered as they are met.

    Attributes:
        user_ids: U external ids.
        item_ids: I external ids.
        users: (E,) int32.
        items: (E,) int32.
        values: (E,) float64; 1 without a column.
        timestamps: (E,) int64 seconds; 0 without a column.
        texts: E texts; None without a column.
        kinds: Role -> what its column holds, in words.
    """

    user_ids: list[str]
    item_ids: list[str]
    users: np.ndarray
    items: np.ndarray
    values: np.ndarray
    timestamps: np.ndarray
    texts: tuple[str, ...] | None
    kinds: Mapping[str, str]


def read_interactions(
    table: TableFile, roles: Mapping[str, str], *, texts: Sequence[str] = ()
) -> Interactions:
    """Reads a table of interactions.

    Args:
        table: The file.
        roles: "user", "item", and "value" and "time" if there are any -> column.
        texts: The columns of what the user says of the item, one sentence each.

    Raises:
        UserError: For a malformed file, no rows, a missing id, value or time, or one
            that cannot be read.
    """
    makers: dict[str, type[Collected[Any]]] = {
        "user": Ids,
        "item": Ids,
        "value": Numbers,
        "time": Times,
    }
    asked: dict[str, Collected[Any]] = {
        role: makers[role](table.path, column) for role, column in roles.items()
    }
    asked |= {
        f"{TEXT} {column}": Words(table.path, column, text_of) for column in texts
    }
    read = collect(table, asked)
    user_ids, users = read["user"]
    item_ids, items = read["item"]
    size = len(users)
    kinds = {role: asked[role].kind for role in roles}
    said: tuple[str, ...] | None = None
    if texts:
        kinds[TEXT] = "text"
        parts = [read[f"{TEXT} {column}"] for column in texts]
        said = tuple(parts[0]) if len(parts) == 1 else tuple(map(sentences, *parts))
    return Interactions(
        user_ids=user_ids,
        item_ids=item_ids,
        users=users,
        items=items,
        values=read["value"] if "value" in read else np.ones(size),
        timestamps=read["time"] if "time" in read else np.zeros(size, np.int64),
        texts=said,
        kinds=kinds,
    )


def collect(table: TableFile, asked: Mapping[str, Collected[Any]]) -> dict[str, Any]:
    """Reads a table once; what each collector of a column comes to, by its key.

    Raises:
        UserError: For a malformed file, no rows, or what a column refuses.
    """
    columns = list(dict.fromkeys(one.name for one in asked.values()))
    rows = 0
    for batch in table.batches(columns):
        rows += len(batch[columns[0]])
        for one in asked.values():
            one.add(batch[one.name])
    if not rows:
        raise UserError.field(table.path.name, expected="at least one row", got="none")
    return {key: one.finish() for key, one in asked.items()}
