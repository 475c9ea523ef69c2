"""Content hashes that depend on what is said, not on the order it is said in."""

import hashlib
import json
from collections.abc import Sequence
from typing import Self

import numpy as np


def string_ranks(names: Sequence[str]) -> np.ndarray:
    """(N,) int32: the position of each name among the sorted distinct names."""
    rank = {name: position for position, name in enumerate(sorted(set(names)))}
    return np.fromiter((rank[name] for name in names), np.int32, len(names))


class ContentHasher:
    """Sha256 over an unambiguous, platform-independent encoding of what it is fed."""

    def __init__(self, label: str) -> None:
        self._sha256 = hashlib.sha256()
        self.strings([label])

    def strings(self, value: Sequence[object] | None) -> Self:
        """Feeds a (nested) list of strings, or None."""
        encoded = json.dumps(value, separators=(",", ":")).encode("ascii")
        self._sha256.update(b"s%d:" % len(encoded) + encoded)
        return self

    def numbers(self, array: np.ndarray) -> Self:
        """Feeds dtype, shape and little-endian bytes; all NaN alike, both zeros too."""
        if array.dtype.kind == "f":
            array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
            array = array + np.zeros((), array.dtype)  # -0.0 becomes 0.0
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        self._sha256.update(f"n{array.dtype.str}{array.shape}:".encode())
        self._sha256.update(array.tobytes())
        return self

    def rows(
        self,
        *,
        ids: tuple[Sequence[str], Sequence[str]],
        users: np.ndarray,
        items: np.ndarray,
        timestamps: np.ndarray,
        values: np.ndarray,
    ) -> Self:
        """Feeds (E,) interactions in the given order, by external id.

        Args:
            ids: The external ids of all users and of all items.
            users: (E,) user indices.
            items: (E,) item indices.
            timestamps: (E,) int64.
            values: (E,) float32.
        """
        for names, indices in zip(ids, (users, items), strict=True):
            # Each id once: a million rows cost no million JSON strings.
            used = np.flatnonzero(np.bincount(indices, minlength=len(names)))
            used_names = [names[i] for i in used.tolist()]
            self.strings(sorted(used_names))
            ranks = np.zeros(len(names), np.int32)
            ranks[used] = string_ranks(used_names)
            self.numbers(ranks[indices])
        return self.numbers(timestamps).numbers(values)

    def hexdigest(self) -> str:
        """The digest of all that was fed so far."""
        return self._sha256.hexdigest()
