"""A table of interactions in one file, its columns found by their usual names."""

import logging
from collections.abc import Sequence
from pathlib import Path

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.columns import ROLES, roles_of
from llmgnn_jax.data.sources.interactions import TEXT, read_interactions
from llmgnn_jax.data.sources.table_file import TableFile

logger = logging.getLogger(__name__)


def read_table(
    path: Path | str, *, columns: Sequence[str] = (), name: str | None = None
) -> Dataset:
    """Reads who interacted with what from Parquet, CSV, tab-separated or JSON lines.

    There is a row for each interaction, and nothing is known of items but their ids.

    Args:
        path: A file, by its ending, or a folder of Parquet files with one schema.
        columns: ROLE=COLUMN for what is not called by a usual name; see `columns`.
        name: The dataset's name; that of the file if not given.

    Raises:
        UserError: For a file that is missing or malformed, a column that is missing or
            ambiguous, an id, value or time that is missing or cannot be read.
    """
    table = TableFile(Path(path))
    source = table.path.name
    table.look_for(filter(None, (one.partition("=")[2] for one in columns)))
    roles = roles_of(table.names, columns, source=source)
    left_out = [name for name in table.names if name not in roles.values()]
    logger.info(
        "%s: columns %s%s",
        source,
        " ".join(f"{role}={column}" for role, column in roles.items()),
        f"; not read: {', '.join(left_out)}" if left_out else "",
    )
    texts = [roles.pop(TEXT)] if TEXT in roles else []
    read = read_interactions(table, roles, texts=texts)
    logger.info(
        "%s: %s",
        source,
        ", ".join(f"{role}: {read.kinds.get(role, 'none')}" for role in ROLES),
    )
    size = len(read.item_ids)
    return Dataset(
        name=name or table.name,
        user_ids=tuple(read.user_ids),
        item_ids=tuple(read.item_ids),
        users=read.users,
        items=read.items,
        values=read.values,
        timestamps=read.timestamps,
        item_titles=("",) * size,
        item_texts=("",) * size,
        interaction_texts=read.texts,
    )
