"""Reviews in a file of JSON lines, and what a shop says of the items, in another.

A shop's file lists far more items than were reviewed; of several lines on one item the
first is read.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax.data.sources.json_lines import read_json_lines
from llmgnn_jax.data.sources.record import Record
from llmgnn_jax.data.sources.wording import sentences

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reviews:
    """Who wrote what of which item, in the order of the file.

    Attributes:
        path: The file.
        user_index: External id -> index of whoever wrote one.
        item_index: External id -> index of what they are of.
        users: E user indices.
        items: E item indices.
        values: E stars.
        timestamps: E seconds since 1970.
        texts: E texts.
    """

    path: Path
    user_index: dict[str, int] = field(default_factory=dict)
    item_index: dict[str, int] = field(default_factory=dict)
    users: list[int] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def interactions(self) -> dict[str, Any]:
        """The fields of a `Dataset` that these are."""
        return {
            "user_ids": tuple(self.user_index),
            "item_ids": tuple(self.item_index),
            "users": np.array(self.users, np.int64),
            "items": np.array(self.items, np.int64),
            "values": np.array(self.values),
            "timestamps": np.array(self.timestamps, np.int64),
            "interaction_texts": tuple(self.texts),
        }

    def described(self, meta: Path, *, item: str) -> Iterator[tuple[int, Record]]:
        """Yields (item, what the shop says of it), each item that has a line once.

        At the end the log counts items without a review, lines on items of earlier
        lines, and, in a warning, items without a line.

        Args:
            meta: The shop's file.
            item: The field of what a line is on.

        Raises:
            UserError: As `read_json_lines` and `Record`.
        """
        described: set[int] = set()
        others: set[str] = set()
        again = 0
        for line, fields in read_json_lines(meta):
            about = Record(meta, line, fields)
            index = self.item_index.get(external_id := about.id(item))
            if index is None:
                others.add(external_id)
            elif index in described:
                again += 1
            else:
                described.add(index)
                yield index, about
        if others:
            logger.info("%s: %d items without a review left out", meta, len(others))
        if again:
            logger.info("%s: %d lines on items of earlier lines left out", meta, again)
        if missing := len(self.item_index) - len(described):
            logger.warning(
                "%s lacks %d items of %s: they are kept, without title, text or "
                "features",
                meta,
                missing,
                self.path.name,
            )


def read_reviews(
    path: Path,
    *,
    user: str,
    item: str,
    value: str,
    seconds: Callable[[Record], int],
    texts: tuple[str, str],
) -> Reviews:
    """Reads all of them.

    Args:
        path: The file.
        user: The field of who wrote it.
        item: The field of what it is of.
        value: The field of the stars.
        seconds: When it was written.
        texts: The fields of its heading and of its text.

    Raises:
        UserError: As `read_json_lines` and `Record`.
    """
    found = Reviews(path=path)
    users, items = found.user_index, found.item_index
    for line, fields in read_json_lines(path):
        review = Record(path, line, fields)
        found.users.append(users.setdefault(review.id(user), len(users)))
        found.items.append(items.setdefault(review.id(item), len(items)))
        found.values.append(review.number(value))
        found.timestamps.append(seconds(review))
        found.texts.append(sentences(*map(review.prose, texts)))
    return found
