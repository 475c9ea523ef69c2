"""Token ids to a few batches of fixed shape: texts of like length together.

Shapes: B rows, L tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Row lengths that a batch may have. A text's row length follows from its own number of
# tokens alone, and a batch's rows from its row length: so the program that computes a
# text's vector, and with it the last bit of the vector, is the same whatever else is
# encoded with it. Fewer lengths mean less to compile, more of them less padding.
_LENGTHS = (
    *range(8, 25, 4),
    *range(32, 65, 8),
    *range(80, 129, 16),
    *range(160, 257, 32),
    *range(320, 513, 64),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenBatch:
    """Rows of tokens of one fixed shape.

    Attributes:
        ids: (B, L) int32, filled up at the right.
        mask: (B, L) bool, False at padding.
        rows: (B,) int64 position of each row's text in the input; -1 for a row of
            padding alone, which are the last ones.
    """

    ids: np.ndarray
    mask: np.ndarray
    rows: np.ndarray


def length_buckets(
    token_lists: Sequence[Sequence[int]],
    *,
    batch_tokens: int,
    max_length: int,
    pad_id: int = 0,
) -> list[TokenBatch]:
    """Lays texts of like length together, in few shapes.

    The shape in which a text stands depends on its own length, `batch_tokens` and
    `max_length` alone. There are at most 18 shapes up to 256 tokens. Padding is a tenth
    of each batch on average, and half a batch of each shape (see `padding_waste`).

    Args:
        token_lists: Token ids of each text.
        batch_tokens: B * L at most, where that allows for one row.
        max_length: Longest text in tokens, and longest row.
        pad_id: Fills rows up.

    Returns:
        Batches, the longest rows first: what does not fit in memory fails at once.
    """
    counts = np.array([len(ids) for ids in token_lists], np.int64)
    longest = max(map(len, token_lists), default=0)
    if longest > max_length:
        raise ValueError(f"a text of {longest} tokens, above {max_length}")
    lengths = np.minimum(row_lengths(counts), max_length)
    batches = []
    for length in sorted(set(lengths.tolist()), reverse=True):
        members = np.flatnonzero(lengths == length)
        batch = rows_of(length, batch_tokens=batch_tokens)
        for start in range(0, len(members), batch):
            chosen = members[start : start + batch]
            rows = np.full(batch, -1, np.int64)
            rows[: len(chosen)] = chosen
            ids = np.full((batch, length), pad_id, np.int32)
            for place, row in enumerate(chosen):
                ids[place, : counts[row]] = token_lists[row]
            used = np.where(rows >= 0, counts[rows], 0)
            mask = np.arange(length)[None, :] < used[:, None]
            batches.append(TokenBatch(ids=ids, mask=mask, rows=rows))
    return batches


def row_lengths(counts: np.ndarray) -> np.ndarray:
    """The row length for each number of tokens; multiples of 64 above 512."""
    known = np.array(_LENGTHS)
    above = -(-counts // 64) * 64
    places = np.searchsorted(known, counts)
    return np.where(
        places < len(known), known[np.minimum(places, len(known) - 1)], above
    )


def rows_of(length: int, *, batch_tokens: int) -> int:
    """Rows of a batch: a multiple of 8 where there are 8, for the vector units."""
    rows = max(1, batch_tokens // length)
    return rows - rows % 8 if rows >= 8 else rows


def padding_waste(batches: Sequence[TokenBatch]) -> float:
    """The share of places that hold padding, from 0 to 1; 0 for no batches."""
    places = sum(batch.mask.size for batch in batches)
    return 1 - sum(int(batch.mask.sum()) for batch in batches) / places if places else 0
