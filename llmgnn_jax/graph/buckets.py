"""Edges as dense blocks by degree: gathers and reductions of static shapes, no scatter.

Shapes: N nodes, E edges, R rows of a block, K edges of each of its rows.

A node with d edges takes a row of the block with the smallest K >= d; from 2 on K grows
by at most a half from block to block, so that a third of the slots is padding at most.
The edges of a node with more than `MOST` are cut into rows of that length, whose
results are reduced in turn, by buckets of their own: a hub costs no wide block.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

# Widths of blocks: powers of two and the numbers half-way between them.
WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
MOST = WIDTHS[-1]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["others", "edges", "counts", "weights"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class Block:
    """Rows of one width.

    Attributes:
        others: (R, K) int32, the other ends; 0 in a slot that is padding.
        edges: (R, K) int32, positions in the graph's list of edges; 0 likewise.
        counts: (R,) int32, how many slots of a row are edges: the first ones.
        weights: (R, K) float32, constants of the graph, 0 in padding; or None.
    """

    others: jax.Array
    edges: jax.Array
    counts: jax.Array
    weights: jax.Array | None

    @property
    def mask(self) -> jax.Array:
        """(R, K) bool, False in padding."""
        slots_K = jnp.arange(self.others.shape[1], dtype=jnp.int32)
        return slots_K[None, :] < self.counts[:, None]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["blocks", "row_of", "hubs"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class Buckets:
    """All edges of a graph, seen from one of their ends.

    Attributes:
        blocks: By ascending width.
        row_of: (N,) int32, each node's row in [one row that stands for no edges; the
            rows of the blocks; the rows of the hubs].
        hubs: Which rows of the blocks make up each node with more than `MOST` edges;
            None without such nodes.
    """

    blocks: tuple[Block, ...]
    row_of: jax.Array
    hubs: "Buckets | None"

    def reduce(self, block_rows: Callable[[Block], jax.Array]) -> jax.Array:
        """Sums over each node's edges.

        Args:
            block_rows: Block -> (R, ...), the sums of its rows, padding left out.

        Returns:
            (N, ...) in the dtype of the parts; 0 for a node without edges.
        """
        return self._combine(block_rows, lambda held, mask: jnp.where(mask, held, 0), 0)

    def maximum(self, block_rows: Callable[[Block], jax.Array]) -> jax.Array:
        """As `reduce`, of maxima; -inf for a node without edges."""
        low = -jnp.inf
        return self._combine(
            block_rows, lambda held, mask: jnp.where(mask, held, low), low
        )

    def _combine(
        self,
        block_rows: Callable[[Block], jax.Array],
        masked: Callable[[jax.Array, jax.Array], jax.Array],
        empty: float,
    ) -> jax.Array:
        parts = jnp.concatenate([block_rows(block) for block in self.blocks])
        rows = [jnp.full((1, *parts.shape[1:]), empty, parts.dtype), parts]
        if self.hubs is not None:

            def hub_rows(block: Block) -> jax.Array:
                mask = block.mask.reshape(*block.others.shape, *[1] * (parts.ndim - 1))
                held = masked(parts[block.others], mask)
                return held.max(axis=1) if empty else held.sum(axis=1)

            rows.append(self.hubs._combine(hub_rows, masked, empty))
        return jnp.concatenate(rows)[self.row_of]


def bucket_rows(
    indptr: np.ndarray,
    others: np.ndarray,
    edges: np.ndarray | None,
    weights: np.ndarray | None = None,
) -> Buckets:
    """Lays out edges that are sorted by one of their ends.

    Args:
        indptr: (N + 1,) the edges of node v are indptr[v]:indptr[v + 1].
        others: (E,) the other ends.
        edges: (E,) positions in the graph's list of edges; None for this order.
        weights: (E,) constant weights in this order, or None.
    """
    indptr = np.asarray(indptr, np.int64)
    others = np.asarray(others, np.int32)
    if edges is None:
        edges = np.arange(len(others), dtype=np.int32)
    degrees = np.diff(indptr)
    # A part is a row of a block: most nodes have one, a hub has several.
    parts_of = -(-degrees // MOST)
    owners = np.repeat(np.arange(len(degrees)), parts_of)
    nth = np.arange(len(owners)) - np.repeat(np.cumsum(parts_of) - parts_of, parts_of)
    starts = indptr[owners] + nth * MOST
    lengths = np.minimum(degrees[owners] - nth * MOST, MOST)
    widths = np.asarray(WIDTHS)[np.searchsorted(WIDTHS, lengths)]
    order = np.argsort(widths, kind="stable")
    blocks = []
    # One block at least: an empty graph has shapes too.
    for width in np.unique(widths).tolist() or [1]:
        chosen = order[widths[order] == width]
        inside = np.arange(width)[None, :] < lengths[chosen, None]
        places = (starts[chosen, None] + np.arange(width)[None, :])[inside]

        def laid_out(
            values: np.ndarray, inside: np.ndarray = inside, at: np.ndarray = places
        ) -> jax.Array:
            slots = np.zeros(inside.shape, values.dtype)
            slots[inside] = values[at]
            return jnp.asarray(slots)

        blocks.append(
            Block(
                others=laid_out(others),
                edges=laid_out(edges),
                counts=jnp.asarray(lengths[chosen].astype(np.int32)),
                weights=None if weights is None else laid_out(weights),
            )
        )
    row_of_part = np.empty(len(owners), np.int64)
    row_of_part[order] = np.arange(len(owners))
    row_of = np.zeros(len(degrees), np.int64)
    single = parts_of[owners] == 1
    row_of[owners[single]] = 1 + row_of_part[single]
    hubs = np.flatnonzero(parts_of > 1)
    inner = None
    if len(hubs):
        row_of[hubs] = 1 + len(owners) + np.arange(len(hubs))
        inner = bucket_rows(
            np.concatenate([[0], np.cumsum(parts_of[hubs])]),
            row_of_part[~single],
            None,
        )
    return Buckets(
        blocks=tuple(blocks),
        row_of=jnp.asarray(row_of.astype(np.int32)),
        hubs=inner,
    )
