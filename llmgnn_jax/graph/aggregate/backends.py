"""The kernels behind the operations: sums, maxima and dot products over rows of edges.

Shapes: N nodes, E edges, H heads, D width; `...` any number of trailing axes. Rows are
the edges of each node, seen from the end that they are sorted by.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax.experimental import sparse

from llmgnn_jax.graph.aggregate import native
from llmgnn_jax.graph.buckets import Block, Buckets
from llmgnn_jax.graph.plan import Rows

Backend = Literal["segment", "csr", "bucketed", "native"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)


def weighted_row_sums(
    rows: Rows, nodes: jax.Array, weights: jax.Array | None, backend: Backend
) -> jax.Array:
    """out[v] = sum over v's edges of weight times what the other end holds.

    Args:
        rows: The edges.
        nodes: (N, D) or (N, H, D).
        weights: (E,) or (E, H) in the graph's order of edges; None: those of the rows.
        backend: Which kernel.

    Returns:
        As `nodes`, accumulated in float32.
    """
    if not rows.own.shape[0]:
        return jnp.zeros((rows.num_nodes, *nodes.shape[1:]), nodes.dtype)
    if backend == "native":
        out = native.weighted_row_sums(rows, nodes, weights)
    elif backend == "bucketed" and rows.buckets is not None:
        out = _bucketed_sums(rows.buckets, nodes, weights)
    elif backend == "csr" and (weights is None or weights.ndim == 1):
        out = _csr_sums(rows, nodes, weights)
    else:
        ordered = _ordered_weights(rows, weights)
        messages = nodes[rows.others].astype(jnp.float32) * ordered[..., None]
        out = _segment_sums(rows, messages)
    return out.astype(nodes.dtype)


def row_sums(rows: Rows, edges: jax.Array, backend: Backend) -> jax.Array:
    """(E, ...) in the graph's order -> (N, ...), summed over each node's edges."""
    shape = edges.shape[1:]
    if not edges.size:
        return jnp.zeros((rows.num_nodes, *shape), edges.dtype)
    flat = edges.reshape(edges.shape[0], -1)
    if backend == "native":
        out = native.row_sums(rows, flat)
    elif backend == "bucketed" and rows.buckets is not None:

        def block_rows(block: Block) -> jax.Array:
            held = flat[block.edges].astype(jnp.float32)
            return jnp.where(block.mask[:, :, None], held, 0.0).sum(axis=1)

        out = rows.buckets.reduce(block_rows)
    elif backend == "csr":
        positions = rows.edges
        if positions is None:
            positions = jnp.arange(len(flat), dtype=jnp.int32)
        matrix = sparse.BCSR(
            (jnp.ones(len(flat), jnp.float32), positions, rows.indptr),
            shape=(rows.num_nodes, len(flat)),
        )
        out = matrix @ flat.astype(jnp.float32)
    else:
        out = _segment_sums(rows, rows.in_this_order(flat).astype(jnp.float32))
    return out.astype(edges.dtype).reshape(rows.num_nodes, *shape)


def row_maxima(rows: Rows, edges: jax.Array, backend: Backend) -> jax.Array:
    """(E, ...) in the graph's order -> (N, ...); -inf for a node without edges."""
    shape = edges.shape[1:]
    if not edges.size:
        return jnp.full((rows.num_nodes, *shape), -jnp.inf, edges.dtype)
    flat = edges.reshape(edges.shape[0], -1)
    if backend == "native":
        out = native.row_maxima(rows, flat)
    elif backend == "bucketed" and rows.buckets is not None:

        def block_rows(block: Block) -> jax.Array:
            held = jnp.where(block.mask[:, :, None], flat[block.edges], -jnp.inf)
            return held.max(axis=1)

        out = rows.buckets.maximum(block_rows)
    else:
        out = jax.ops.segment_max(
            rows.in_this_order(flat),
            rows.own,
            rows.num_nodes,
            indices_are_sorted=True,
        )
    return out.astype(edges.dtype).reshape(rows.num_nodes, *shape)


def edge_dots(
    rows: Rows, own: jax.Array, others: jax.Array, backend: Backend
) -> jax.Array:
    """out[e] = own[v] . others[u] for the edge e between v, whose row it is in, and u.

    Args:
        rows: The edges, in the graph's order (`incoming`).
        own: (N, D) or (N, H, D).
        others: Likewise.
        backend: Which kernel.

    Returns:
        (E,) or (E, H) float32.
    """
    if not rows.own.shape[0]:
        return jnp.zeros((0, *own.shape[1:-1]), jnp.float32)
    if backend == "native":
        return native.edge_dots(rows, own, others)
    return jnp.sum(
        own[rows.own].astype(jnp.float32) * others[rows.others].astype(jnp.float32),
        axis=-1,
    )


def _ordered_weights(rows: Rows, weights: jax.Array | None) -> jax.Array:
    """(E,) or (E, H) float32 in the order of the rows."""
    if weights is None:
        assert rows.weights is not None
        return rows.weights
    return rows.in_this_order(weights).astype(jnp.float32)


def _csr_sums(rows: Rows, nodes: jax.Array, weights: jax.Array | None) -> jax.Array:
    matrix = sparse.BCSR(
        (_ordered_weights(rows, weights), rows.others, rows.indptr),
        shape=(rows.num_nodes, nodes.shape[0]),
    )
    flat = nodes.reshape(nodes.shape[0], -1)
    # The CPU kernel knows float32 and float64 only; the sum is float32 either way.
    out = matrix @ flat.astype(jnp.float32)
    return out.reshape(rows.num_nodes, *nodes.shape[1:])


def _segment_sums(rows: Rows, messages: jax.Array) -> jax.Array:
    return jax.ops.segment_sum(
        messages, rows.own, rows.num_nodes, indices_are_sorted=True
    )


def _bucketed_sums(
    buckets: Buckets, nodes: jax.Array, weights: jax.Array | None
) -> jax.Array:
    def block_rows(block: Block) -> jax.Array:
        if weights is None:
            assert block.weights is not None
            weights_RK = block.weights
        else:
            weights_RK = weights[block.edges].astype(jnp.float32)
        messages = nodes[block.others].astype(jnp.float32) * weights_RK[..., None]
        mask = block.mask.reshape(*block.others.shape, *[1] * (messages.ndim - 2))
        # Not by a weight of 0: times infinity it would be no number.
        return jnp.where(mask, messages, 0.0).sum(axis=1)

    return buckets.reduce(block_rows)
