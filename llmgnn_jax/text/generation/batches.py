"""Prompts of any lengths to batches of few shapes.

Shapes: B rows, L tokens, P soft tokens, D width of those, S tokens of a prefix.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from llmgnn_jax.text.generation.model import Prompt
from llmgnn_jax.text.generation.prefixes import PrefixReader
from llmgnn_jax.text.length_buckets import row_lengths

# A step reads all weights once for as many rows as there are, and so many cost little
# more than one; what a step keeps of each token is what bounds them.
_ROWS = 16
_PLACES = 8192


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptBatch:
    """Prompts of one fixed shape.

    Attributes:
        prompt: What is read.
        rows: (B,) int64 number of each row's prompt; -1 for rows of padding, which are
            the last ones.
    """

    prompt: Prompt
    rows: np.ndarray


def prompt_batches(
    ids: Sequence[Sequence[int]],
    *,
    new: int,
    prefix: Any = None,
    pad_id: int = 0,
    reader: PrefixReader | None = None,
) -> Iterator[PromptBatch]:
    """Lays prompts out, those of like length together.

    A batch's rows are a power of two, and its length is one of few: there are few
    shapes to compile.

    Args:
        ids: Tokens of each prompt, one at least.
        new: How many tokens may follow each.
        prefix: (N, P, D) soft tokens before each, or None.
        pad_id: Fills rows up.
        reader: Reads what prompts have in common once; not beside soft tokens, which
            are each row's own and stand before it. None: each is read whole.
    """
    counts = np.array([len(one) for one in ids], np.int64)
    lengths = row_lengths(counts)
    soft = 0 if prefix is None else prefix.shape[1]
    order = np.argsort(-counts, kind="stable")
    start = 0
    while start < len(order):
        length = int(lengths[order[start]])
        most = max(1, min(_ROWS, _PLACES // (length + new + soft)))
        chosen = order[start : start + 2 ** (most.bit_length() - 1)]
        start += len(chosen)
        batch = 2 ** (len(chosen) - 1).bit_length()
        rows = np.full(batch, -1, np.int64)
        rows[: len(chosen)] = chosen
        after = None
        if reader is not None:
            after = reader.before([ids[row] for row in chosen], rows=batch)
        cut = 0 if after is None else after.num_tokens
        if cut:
            length = int(row_lengths(counts[chosen[:1]] - cut)[0])
        tokens = np.full((batch, length), pad_id, np.int32)
        for place, row in enumerate(chosen):
            tokens[place, : counts[row] - cut] = ids[row][cut:]
        lengths_B = np.where(rows >= 0, counts[rows] - cut, 1)
        yield PromptBatch(
            prompt=Prompt(
                ids_BL=jnp.asarray(tokens),
                lengths_B=jnp.asarray(lengths_B, jnp.int32),
                prefix_BPD=None
                if prefix is None
                else jnp.asarray(prefix, jnp.float32)[rows],
                after=after,
            ),
            rows=rows,
        )
