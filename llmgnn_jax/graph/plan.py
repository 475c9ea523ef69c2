"""`EdgePlan`: where each node's edges lie, seen from both of their ends.

Shapes: N nodes, E edges.
"""

import functools
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import scipy.sparse

from llmgnn_jax.graph.buckets import Buckets, bucket_rows


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["indptr", "own", "others", "edges", "weights", "buckets"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class Rows:
    """Edges by one of their ends: those of node v are indptr[v]:indptr[v + 1].

    Attributes:
        indptr: (N + 1,) int32.
        own: (E,) int32, ascending: the end that the edges are sorted by.
        others: (E,) int32, the other end.
        edges: (E,) int32, the position of each in the graph's list of edges; None where
            that is the order already.
        weights: (E,) float32 in this order, constants of the graph; or None.
        buckets: The same edges as dense blocks by degree, for the backend `bucketed`;
            else None.
    """

    indptr: jax.Array
    own: jax.Array
    others: jax.Array
    edges: jax.Array | None
    weights: jax.Array | None
    buckets: Buckets | None

    @property
    def num_nodes(self) -> int:
        """N."""
        return self.indptr.shape[0] - 1

    def in_this_order(self, values: jax.Array) -> jax.Array:
        """(E, ...) values in the graph's order of edges, brought into this one."""
        return values if self.edges is None else values[self.edges]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["incoming", "outgoing", "num_edges"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class EdgePlan:
    """The edges by receiver, and by sender: the matrix and its transpose.

    Gradients flow through the other one, so that nothing is scattered in an order that
    it is not sorted by. In an undirected graph both are the same arrays.

    Attributes:
        incoming: By receiver; the graph's own order of edges.
        outgoing: By sender.
        num_edges: () int32; edges from this number on are padding.
    """

    incoming: Rows
    outgoing: Rows
    num_edges: jax.Array


def plan_edges(
    senders: np.ndarray,
    receivers: np.ndarray,
    num_nodes: int,
    *,
    num_senders: int | None = None,
    weights: np.ndarray | None = None,
    num_edges: int | None = None,
    buckets: bool = False,
) -> EdgePlan:
    """Plans a list of edges that is sorted by receiver.

    Args:
        senders: (E,) node numbers.
        receivers: (E,), ascending.
        num_nodes: N.
        num_senders: How many there are of those who send, where they are others than
            those who hear; N if not given.
        weights: (E,) constant weights, or None.
        num_edges: Edges from this number on are padding; E if not given.
        buckets: Whether to lay out what the backend `bucketed` reads.

    Raises:
        ValueError: If the edges are not sorted by receiver, name a node that is not
            there, or are 2**31 or more.
    """
    num_senders = num_nodes if num_senders is None else num_senders
    for name, ends, count in (
        ("senders", senders, num_senders),
        ("receivers", receivers, num_nodes),
    ):
        if len(ends) and not (np.min(ends) >= 0 and np.max(ends) < count):
            raise ValueError(f"{name} must lie in [0, {count})")
    held = len(receivers) if weights is None else len(weights)
    if not len(senders) == len(receivers) == held < 2**31:
        raise ValueError(
            "expected as many senders as receivers and weights, fewer than 2**31, got "
            f"{len(senders)}, {len(receivers)} and {held}"
        )
    senders = np.asarray(senders, np.int32)
    receivers = np.asarray(receivers, np.int32)
    if np.any(np.diff(receivers) < 0):
        raise ValueError("edges must be sorted by receiver: see sorted_graph")
    weights = None if weights is None else np.asarray(weights, np.float32)
    incoming = _rows(receivers, senders, num_nodes, None, weights)
    by_sender = _by_column(np.asarray(incoming.indptr), senders, num_senders)
    others, own = receivers[by_sender], senders[by_sender]
    reordered = None if weights is None else weights[by_sender]
    if (
        num_senders == num_nodes
        and np.array_equal(others, senders)
        and np.array_equal(own, receivers)
        and (weights is None or np.array_equal(weights[by_sender], weights))
    ):
        # The same buffers, not equal ones: half the memory, and warm in the cache.
        outgoing = replace(incoming, edges=jnp.asarray(by_sender))
    else:
        outgoing = _rows(own, others, num_senders, by_sender, reordered)
    plan = EdgePlan(
        incoming=incoming,
        outgoing=outgoing,
        num_edges=jnp.asarray(
            len(senders) if num_edges is None else num_edges, jnp.int32
        ),
    )
    return with_buckets(plan) if buckets else plan


def with_buckets(plan: EdgePlan) -> EdgePlan:
    """The same plan with what the backend `bucketed` reads."""

    def laid_out(rows: Rows) -> Rows:
        host = [rows.indptr, rows.others, rows.edges, rows.weights]
        indptr, others, edges, weights = (
            None if array is None else np.asarray(array) for array in host
        )
        assert indptr is not None
        assert others is not None
        return replace(rows, buckets=bucket_rows(indptr, others, edges, weights))

    return replace(
        plan, incoming=laid_out(plan.incoming), outgoing=laid_out(plan.outgoing)
    )


def _by_column(indptr: np.ndarray, columns: np.ndarray, width: int) -> np.ndarray:
    """(E,) int32 places of edges in order of (column, row): a counting sort."""
    places = np.arange(len(columns), dtype=np.int32)
    matrix = scipy.sparse.csr_array(
        (places, columns, indptr), shape=(len(indptr) - 1, width)
    )
    return matrix.tocsc().data


def _rows(
    own: np.ndarray,
    others: np.ndarray,
    num_nodes: int,
    edges: np.ndarray | None,
    weights: np.ndarray | None,
) -> Rows:
    counts = np.bincount(own, minlength=num_nodes)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return Rows(
        indptr=jnp.asarray(indptr),
        own=jnp.asarray(own),
        others=jnp.asarray(others),
        edges=None if edges is None else jnp.asarray(edges),
        weights=None if weights is None else jnp.asarray(weights),
        buckets=None,
    )


def sorted_graph(
    senders: np.ndarray,
    receivers: np.ndarray,
    num_nodes: int,
    *,
    edges: dict[str, np.ndarray] | None = None,
    buckets: bool = False,
) -> tuple[jraph.GraphsTuple, EdgePlan]:
    """A graph from any list of directed edges, sorted by (receiver, sender).

    Args:
        senders: (E,) node numbers, in any order.
        receivers: (E,).
        num_nodes: N.
        edges: What the edges hold, arrays with E rows: "weight" (E,), "relation" (E,),
            "features" (E, F), ...; sorted along.
        buckets: As for `plan_edges`.

    Returns:
        A graph without node features, and its plan.

    Raises:
        ValueError: If an end is not in [0, num_nodes).
    """
    senders, receivers = np.asarray(senders), np.asarray(receivers)
    order = np.lexsort((senders, receivers))
    senders, receivers = senders[order], receivers[order]
    held = {name: np.asarray(value)[order] for name, value in (edges or {}).items()}
    plan = plan_edges(
        senders, receivers, num_nodes, weights=held.get("weight"), buckets=buckets
    )
    graph = jraph.GraphsTuple(
        nodes=None,
        edges={name: jnp.asarray(value) for name, value in held.items()},
        senders=plan.incoming.others,
        receivers=plan.incoming.own,
        globals=None,
        n_node=jnp.asarray([num_nodes], jnp.int32),
        n_edge=jnp.asarray([len(senders)], jnp.int32),
    )
    return graph, plan
