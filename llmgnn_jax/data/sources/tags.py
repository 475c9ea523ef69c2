"""What users tagged items with, as texts of the interactions of these users and items.

A tag says what its user thinks of the item, as a review does. So it belongs to the
interaction and is held out with it; it is no text of the catalogue.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.wording import clean

logger = logging.getLogger(__name__)


class Tags:
    """Tags of (user, item) pairs, collected until the interactions are known."""

    def __init__(self) -> None:
        self._of_pair: dict[tuple[str, str], list[tuple[Any, str]]] = {}
        self._size = 0

    def add(
        self,
        users: Iterable[str],
        items: Iterable[str],
        times: Iterable[Any],
        tags: Iterable[str],
    ) -> None:
        """Adds n tags by external ids; `times` is what they are ordered by."""
        for user, item, time, tag in zip(users, items, times, tags, strict=True):
            if cleaned := clean(tag):
                self._of_pair.setdefault((user, item), []).append((time, cleaned))
                self._size += 1

    def texts(self, dataset: Dataset, *, path: Path) -> tuple[str, ...]:
        """E texts: each pair's different tags, oldest first, with ", " between them.

        Where a pair interacted several times, the latest interaction has them. Tags of
        pairs that never interacted are dropped, and counted in a warning.

        Args:
            dataset: The interactions, E of them.
            path: The file of the tags, for the warning.
        """
        user_of = {id_: index for index, id_ in enumerate(dataset.user_ids)}
        item_of = {id_: index for index, id_ in enumerate(dataset.item_ids)}
        size = dataset.num_items
        codes = dataset.users.astype(np.int64) * size + dataset.items
        tags_of: dict[int, list[tuple[Any, str]]] = {}
        for (user, item), tags in self._of_pair.items():
            if user in user_of and item in item_of:
                tags_of[user_of[user] * size + item_of[item]] = tags
        # Oldest first, by content and not by the order of lines: the last one stays.
        order = np.lexsort((dataset.values, dataset.timestamps))
        order = order[np.isin(codes[order], np.fromiter(tags_of, np.int64))]
        row_of = dict(zip(codes[order].tolist(), order.tolist(), strict=True))
        texts = [""] * dataset.num_interactions
        dropped = self._size
        for code, row in row_of.items():
            texts[row] = ", ".join(
                dict.fromkeys(tag for _, tag in sorted(tags_of[code]))
            )
            dropped -= len(tags_of[code])
        if dropped:
            logger.warning(
                "%s: %d of %d tags dropped: their users have no interaction with what "
                "they tagged",
                path,
                dropped,
                self._size,
            )
        return tuple(texts)
