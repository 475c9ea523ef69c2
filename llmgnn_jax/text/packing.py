"""Several texts in one row of tokens, so that hardly any place is padding.

Shapes: B rows, L tokens of a row, S texts of a batch.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.model import EncoderConfig
from llmgnn_jax.text.encoders.rows import TokenRows

_FEWEST = 64  # places of a batch; below, there is little to save
_TOKENS_OF_A_SHORT_TEXT = 4  # a row has room for so many that all are as short


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedBatch:
    """Rows that texts lie in one after another.

    Attributes:
        ids: (B, L) int32, filled up at the right.
        mask: (B, L) bool, False at padding.
        segments: (B, L) int32, the number of a token's text in its row; that of padding
            is one more than the last.
        positions: (B, L) int32, a token's place in its text.
        starts: (S,) int32, where each text begins among the B L places; 0 for none.
        counts: (S,) int32, its tokens; 0 for none.
        texts: (S,) int64, its place in the input; -1 for none, which are the last ones.
    """

    ids: np.ndarray
    mask: np.ndarray
    segments: np.ndarray
    positions: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    texts: np.ndarray

    def rows(self) -> TokenRows:
        """What an encoder reads."""
        return TokenRows(
            ids_BL=jnp.asarray(self.ids),
            mask_BL=jnp.asarray(self.mask),
            segments_BL=jnp.asarray(self.segments),
            positions_BL=jnp.asarray(self.positions),
        )


def pack(
    token_lists: Sequence[Sequence[int]],
    *,
    row_length: int,
    num_rows: int,
    num_texts: int,
    pad_id: int = 0,
) -> list[PackedBatch]:
    """Packs texts, longest first, each into the first row that has room.

    Args:
        token_lists: Token ids of each text, none of more than `row_length`.
        row_length: L.
        num_rows: B.
        num_texts: S, most texts of a batch.
        pad_id: Fills rows up.
    """
    counts = np.array([len(ids) for ids in token_lists], np.int64)
    if len(counts) and counts.max() > row_length:
        raise ValueError(f"a text of {counts.max()} tokens, above {row_length}")
    batches = []
    for members in _bins(counts, row_length, num_rows, num_texts):
        shape = (num_rows, row_length)
        batch = PackedBatch(
            ids=np.full(shape, pad_id, np.int32),
            mask=np.zeros(shape, bool),
            segments=np.zeros(shape, np.int32),
            positions=np.zeros(shape, np.int32),
            starts=np.zeros(num_texts, np.int32),
            counts=np.zeros(num_texts, np.int32),
            texts=np.full(num_texts, -1, np.int64),
        )
        slot = 0
        for row, texts in enumerate(members):
            start = 0
            for segment, text in enumerate(texts):
                end = start + counts[text]
                batch.ids[row, start:end] = token_lists[text]
                batch.segments[row, start:end] = segment
                batch.positions[row, start:end] = np.arange(counts[text])
                batch.starts[slot] = row * row_length + start
                batch.counts[slot] = counts[text]
                batch.texts[slot] = text
                start, slot = end, slot + 1
            batch.mask[row, :start] = True
            batch.segments[row, start:] = len(texts)
        batches.append(batch)
    return batches


def packs_well(config: EncoderConfig) -> bool:
    """Whether texts are best encoded several to a row.

    Our kernel for attention computes each text alone; elsewhere a row of several costs
    the square of its length.
    """
    without_bias = isinstance(config, DecoderConfig) or (
        isinstance(config, BertConfig) and not config.relative_attention_num_buckets
    )
    return without_bias and kernels.usable()


def packed_batches(
    ids: Sequence[Sequence[int]], *, most: int, pad_id: int
) -> list[PackedBatch]:
    """Batches of one row of `most` tokens; the last one as short as it may be."""
    # As many slots in each batch: vectors are brought to unit length in programs of one
    # shape, and so to the same last bit.
    texts = max(1, most // _TOKENS_OF_A_SHORT_TEXT)
    batches = pack(ids, row_length=most, num_rows=1, num_texts=texts, pad_id=pad_id)
    if not batches:
        return []
    last, length = batches[-1], most
    while length // 2 >= max(int(last.mask.sum()), _FEWEST):
        length //= 2
    # What is used stands at the left.
    short = dataclasses.replace(
        last,
        ids=last.ids[:, :length],
        mask=last.mask[:, :length],
        segments=last.segments[:, :length],
        positions=last.positions[:, :length],
    )
    return [*batches[:-1], short]


def _bins(
    counts: np.ndarray, row_length: int, num_rows: int, num_texts: int
) -> list[list[list[int]]]:
    """Batches of rows of texts: the longest that still fits comes next."""
    # Texts by length, so that the longest one of at most so many tokens is found at
    # once; `waiting[n]` are those of n tokens.
    waiting: dict[int, list[int]] = {}
    for text in np.argsort(counts, kind="stable")[::-1].tolist():
        waiting.setdefault(int(counts[text]), []).append(text)
    lengths = sorted(waiting)  # of texts that are left, ascending
    batches: list[list[list[int]]] = []
    while lengths:
        batch: list[list[int]] = [[] for _ in range(num_rows)]
        left = num_texts
        for row in batch:
            room = row_length
            while lengths and left:
                place = int(np.searchsorted(lengths, room, side="right")) - 1
                if place < 0:
                    break
                length = lengths[place]
                row.append(waiting[length].pop())
                if not waiting[length]:
                    del lengths[place]
                room -= length
                left -= 1
        batches.append(batch)
    return batches
