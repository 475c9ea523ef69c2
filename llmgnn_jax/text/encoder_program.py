"""The program that computes the vectors of a batch, compiled once for each shape.

Shapes: B rows, L tokens, S texts of packed rows, D width of a text's vector.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import jax
import numpy as np
from flax import nnx

from llmgnn_jax.text.encoders.model import Params
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.interface import EncodedBatch
from llmgnn_jax.text.length_buckets import TokenBatch
from llmgnn_jax.text.packing import PackedBatch
from llmgnn_jax.text.readout import Readout, read_packed, read_rows

logger = logging.getLogger(__name__)


class EncoderProgram:
    """Batches of tokens to vectors of unit length.

    Args:
        graphdef: The encoder's static half.
        readout: How a text's vector is read off its tokens'.
    """

    def __init__(self, graphdef: nnx.GraphDef[Any], readout: Readout) -> None:
        self._compiled: dict[tuple[int, ...], Callable[..., jax.Array]] = {}

        def vectors_BD(
            params: Params, ids_BL: jax.Array, mask_BL: jax.Array
        ) -> jax.Array:
            rows = TokenRows(ids_BL=ids_BL, mask_BL=mask_BL)
            return read_rows(graphdef, readout, params, rows)

        def vectors_SD(
            params: Params, rows: TokenRows, starts_S: jax.Array, counts_S: jax.Array
        ) -> jax.Array:
            return read_packed(graphdef, readout, params, rows, starts_S, counts_S)

        self._of_rows, self._of_packed = jax.jit(vectors_BD), jax.jit(vectors_SD)

    @property
    def num_compilations(self) -> int:
        """Shapes of batch that were compiled so far."""
        return len(self._compiled)

    def run(
        self, params: Params, batches: Iterable[TokenBatch | PackedBatch]
    ) -> Iterator[EncodedBatch]:
        """Encodes batches of one kind, in their order.

        Raises:
            FloatingPointError: If the parameters give vectors that are not finite.
        """
        # One batch ahead: the device computes while the host does what it does with
        # the last one.
        ahead: tuple[TokenBatch | PackedBatch, jax.Array] | None = None
        for batch in batches:
            started = batch, self._dispatch(params, batch)
            if ahead is not None:
                yield _finished(*ahead)
            ahead = started
        if ahead is not None:
            yield _finished(*ahead)

    def _dispatch(self, params: Params, batch: TokenBatch | PackedBatch) -> jax.Array:
        if isinstance(batch, PackedBatch):
            program = self._of_packed
            inputs: tuple = (batch.rows(), batch.starts, batch.counts)
        else:
            program, inputs = self._of_rows, (batch.ids, batch.mask)
        shape = cast(tuple[int, int], batch.ids.shape)
        if shape not in self._compiled:
            started = time.perf_counter()
            self._compiled[shape] = program.lower(params, *inputs).compile()
            seconds = time.perf_counter() - started
            logger.debug("compiled the encoder for %d x %d in %.2f s", *shape, seconds)
        return self._compiled[shape](params, *inputs)


def _finished(batch: TokenBatch | PackedBatch, vectors: jax.Array) -> EncodedBatch:
    rows = batch.texts if isinstance(batch, PackedBatch) else batch.rows
    filled = rows >= 0
    values = np.asarray(vectors)[filled]
    if not np.isfinite(values).all():
        raise FloatingPointError("the text encoder gave vectors that are not finite")
    return EncodedBatch(
        rows=rows[filled],
        vectors=values,
        tokens=int(batch.mask.sum()),
        places=batch.mask.size,
    )
