"""Amazon reviews of 2023 without texts, in parts: NAME.train.csv, .valid and .test.

The files "pure ids" of https://amazon-reviews-2023.github.io, split by time or by each
user's last interactions; compressed by gzip or not. Columns user_id, parent_asin,
rating and timestamp, in milliseconds; `history`, where there is one, is not read.

The rule "published" tests on the published test part. The published valid part is part
of what it trains on, and validates on a share of: it holds no other valid part.
"""

from pathlib import Path

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.columns import check_columns
from llmgnn_jax.data.sources.interactions import Interactions, read_interactions
from llmgnn_jax.data.sources.table_file import TableFile
from llmgnn_jax.errors import UserError

PARTS = ("train", "valid", "test")

_ENDINGS = (".csv", ".csv.gz")
_ROLES = {
    "user": "user_id",
    "item": "parent_asin",
    "value": "rating",
    "time": "timestamp",
}


def is_amazon_splits(folder: Path) -> bool:
    """Whether a folder holds a train part, by its name."""
    return bool(_files(folder, PARTS[0]))


def read_amazon_splits(folder: Path | str, *, name: str | None = None) -> Dataset:
    """Reads the three parts; `published_test` says which rows are of the last.

    Args:
        folder: Holds a file of each part.
        name: The dataset's name; NAME if not given.

    Raises:
        UserError: For a part that is missing, there twice or malformed, and as
            `read_interactions`.
    """
    folder = Path(folder)
    read: dict[str, Interactions] = {}
    for part in PARTS:
        found = _files(folder, part)
        if len(found) != 1:
            raise UserError.field(
                str(folder),
                expected=f"one file NAME.{part}.csv or NAME.{part}.csv.gz",
                got=", ".join(path.name for path in found) or "none",
            )
        table = TableFile(found[0])
        check_columns(table, found[0].name, _ROLES.items())
        read[part] = read_interactions(table, _ROLES)
    parts = list(read.values())
    user_index: dict[str, int] = {}
    item_index: dict[str, int] = {}
    users = [_numbered(user_index, one.user_ids, one.users) for one in parts]
    items = [_numbered(item_index, one.item_ids, one.items) for one in parts]
    return Dataset(
        name=name or _files(folder, PARTS[0])[0].name.partition(f".{PARTS[0]}.")[0],
        user_ids=tuple(user_index),
        item_ids=tuple(item_index),
        users=np.concatenate(users),
        items=np.concatenate(items),
        values=np.concatenate([one.values for one in parts]),
        timestamps=np.concatenate([one.timestamps for one in parts]),
        item_titles=("",) * len(item_index),
        item_texts=("",) * len(item_index),
        published_test=np.repeat(
            [part == PARTS[2] for part in read], [len(one.users) for one in parts]
        ),
    )


def _numbered(index: dict[str, int], ids: list[str], codes: np.ndarray) -> np.ndarray:
    """(n,) numbers in an index of all parts, new ids added to it."""
    numbers = [index.setdefault(one, len(index)) for one in ids]
    return np.array(numbers, np.int64)[codes]


def _files(folder: Path, part: str) -> list[Path]:
    return [path for end in _ENDINGS for path in sorted(folder.glob(f"*.{part}{end}"))]
