"""The backend `native`: rows of edges through the C++ kernels.

Shapes: N nodes, E edges, H heads, D width, W = H D, R chosen nodes, K slots of a sum.
"""

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.native import library
from llmgnn_jax.graph.plan import Rows
from llmgnn_jax.native.calls import call_kernel

_NO_INDICES = (0,)


def weighted_row_sums(
    rows: Rows, nodes: jax.Array, weights: jax.Array | None
) -> jax.Array:
    """See `backends.weighted_row_sums`."""
    if weights is None:
        # Constants lie in the order of the rows: nothing is looked up.
        weights, edges = rows.weights, None
    else:
        edges = rows.edges
    assert weights is not None
    heads = 1 if weights.ndim == 1 else weights.shape[1]
    out = _sums(
        rows,
        nodes.reshape(nodes.shape[0], -1),
        others=rows.others,
        edges=edges,
        weights=weights.reshape(-1, heads),
        num_rows=rows.num_nodes,
    )
    return out.reshape(rows.num_nodes, *nodes.shape[1:])


def row_sums(rows: Rows, edges: jax.Array) -> jax.Array:
    """(E, W) in the graph's order -> (N, W), the sums of each node's edges."""
    return _sums(
        rows,
        edges,
        others=None,
        edges=rows.edges,
        weights=None,
        num_rows=rows.num_nodes,
    )


def chosen_row_sums(rows: Rows, nodes: jax.Array, chosen: jax.Array) -> jax.Array:
    """(R, D): the constant-weighted sums of some nodes alone."""
    assert rows.weights is not None
    return _sums(
        rows,
        nodes,
        others=rows.others,
        edges=None,
        weights=rows.weights[:, None],
        num_rows=chosen.shape[0],
        chosen=chosen,
    )


def row_sums_plus(
    rows: Rows,
    values: jax.Array,
    *,
    start: jax.Array,
    slots: jax.Array,
    compact: bool = False,
) -> jax.Array:
    """(N, D): constant-weighted sums, each begun with what its node has in `start`.

    Args:
        rows: The edges.
        values: (N, D) float32 of each node; (R, D) of some nodes, as `compact_rows`
            gives them, if `compact`.
        start: (R, D) float32 rows of some nodes.
        slots: (N,) int32, a node's row in `start` (and in `values`), -1 for none.
        compact: Whether `values` are compact too.
    """
    assert rows.weights is not None
    return _sums(
        rows,
        values,
        others=rows.others,
        edges=None,
        weights=rows.weights[:, None],
        num_rows=rows.num_nodes,
        start=start,
        slots=slots,
        sparse=compact,
    )


def compact_rows(
    nodes: jax.Array, values: jax.Array, num_nodes: int
) -> tuple[jax.Array, jax.Array]:
    """Adds up rows of the same node.

    Args:
        nodes: (R,) int32, may repeat.
        values: (R, D) float32.
        num_nodes: N.

    Returns:
        (N,) int32, the row of each node, -1 for one that has none; (R, D) the rows.
    """
    library.require()
    slots, sums = call_kernel(
        "llmgnn_compact_rows",
        (
            jax.ShapeDtypeStruct((num_nodes,), jnp.int32),
            jax.ShapeDtypeStruct(values.shape, jnp.float32),
        ),
        nodes,
        values,
    )
    return slots, sums


def row_maxima(rows: Rows, edges: jax.Array) -> jax.Array:
    """(E, W) in the graph's order -> (N, W) float32, -inf without edges."""
    library.require()
    return call_kernel(
        "llmgnn_row_maxima",
        jax.ShapeDtypeStruct((rows.num_nodes, edges.shape[1]), jnp.float32),
        rows.indptr,
        _indices(rows.edges),
        edges.astype(jnp.float32),
    )


def gather_rows(nodes: jax.Array, numbers: jax.Array) -> jax.Array:
    """(N, ...) of any type -> (E, ...), nodes[numbers]; (E,) int32 in [0, N)."""
    library.require()
    return call_kernel(
        "llmgnn_gather_rows",
        jax.ShapeDtypeStruct((*numbers.shape, *nodes.shape[1:]), nodes.dtype),
        nodes.reshape(nodes.shape[0], -1),
        numbers,
    )


def gathered_sums(
    table: jax.Array, ids: jax.Array, weights: jax.Array, mask: jax.Array
) -> jax.Array:
    """(N, D) table and (S, K) slots of sums -> (S, D) float32.

    Every id lies in [0, N), those of masked slots too.
    """
    library.require()
    return call_kernel(
        "llmgnn_gathered_sums",
        jax.ShapeDtypeStruct((ids.shape[0], table.shape[1]), jnp.float32),
        _values(table),
        ids,
        weights,
        mask,
    )


def scattered_sums(
    ids: jax.Array,
    owners: jax.Array,
    weights: jax.Array,
    gradient: jax.Array,
    *,
    num_rows: int,
) -> jax.Array:
    """(N, D) float32, of each row the sum over the entries that name it.

    Args:
        ids: (E,) int32 in [0, N), the row of each entry.
        owners: (E,) int32 in [0, S), its row of the gradient.
        weights: (E,) float32, what that is multiplied with; 0 leaves an entry out.
        gradient: (S, D) float32.
        num_rows: N.
    """
    library.require()
    return call_kernel(
        "llmgnn_scattered_sums",
        jax.ShapeDtypeStruct((num_rows, gradient.shape[1]), jnp.float32),
        ids,
        owners,
        weights,
        gradient,
    )


def edge_dots(rows: Rows, own: jax.Array, others: jax.Array) -> jax.Array:
    """See `backends.edge_dots`."""
    library.require()
    heads = own.shape[1] if own.ndim == 3 else 1
    own, others = _values(own), _values(others)
    if own.dtype != others.dtype:
        own, others = own.astype(jnp.float32), others.astype(jnp.float32)
    num_edges = rows.others.shape[0]
    out = call_kernel(
        "llmgnn_edge_dots",
        jax.ShapeDtypeStruct((num_edges, heads), jnp.float32),
        rows.indptr,
        rows.others,
        own.reshape(own.shape[0], -1),
        others.reshape(others.shape[0], -1),
    )
    return out if own.ndim == 3 else out[:, 0]


def softmax_forward(rows: Rows, logits: jax.Array) -> jax.Array:
    """(E, H) float32 -> shares, in the order of the rows, which is the graph's."""
    library.require()
    return call_kernel(
        "llmgnn_softmax_forward",
        jax.ShapeDtypeStruct(logits.shape, jnp.float32),
        rows.indptr,
        logits,
    )


def softmax_backward(rows: Rows, shares: jax.Array, gradient: jax.Array) -> jax.Array:
    """(E, H) shares and their gradient -> the gradient of the logits."""
    library.require()
    return call_kernel(
        "llmgnn_softmax_backward",
        jax.ShapeDtypeStruct(shares.shape, jnp.float32),
        rows.indptr,
        shares,
        gradient,
    )


def _sums(
    rows: Rows,
    values: jax.Array,
    *,
    others: jax.Array | None,
    edges: jax.Array | None,
    weights: jax.Array | None,
    num_rows: int,
    start: jax.Array | None = None,
    slots: jax.Array | None = None,
    chosen: jax.Array | None = None,
    sparse: bool = False,
) -> jax.Array:
    library.require()
    none, values = jnp.zeros((0,), jnp.float32), _values(values)
    return call_kernel(
        "llmgnn_weighted_row_sums",
        jax.ShapeDtypeStruct((num_rows, values.shape[1]), values.dtype),
        rows.indptr,
        _indices(others),
        _indices(edges),
        none if weights is None else weights.astype(jnp.float32),
        values,
        none if start is None else start,
        _indices(slots),
        _indices(chosen),
        heads=1 if weights is None else weights.shape[1],
        num_edges=rows.own.shape[0],
        sparse=sparse,
    )


def _values(nodes: jax.Array) -> jax.Array:
    """Of a type that the kernels read."""
    if nodes.dtype in (jnp.float32, jnp.bfloat16):
        return nodes
    return nodes.astype(jnp.float32)


def _indices(values: jax.Array | None) -> jax.Array:
    return jnp.zeros(_NO_INDICES, jnp.int32) if values is None else values
