"""The one neighbour-aggregation primitive: out[v] = sum over edges u->v of w x[u].

Shapes: N nodes, E edges, D width.

Two backends, equal to float rounding:

* `csr`: a CSR matrix times the node vectors. The fast path of XLA on a CPU.
* `segment`: gather, scale, sorted segment sum. Fusible, and the right start on a GPU
  and a TPU, where CSR products are lowered to gather and scatter anyway.

Both accumulate in float32 and take their gradient through the transposed CSR, so that
no gradient is scattered in the order of the senders; with `csr` nothing is scattered.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from jax.experimental import sparse

from llmgnn_jax.graph.structure import EdgePlan

Backend = Literal["segment", "csr"]


def resolve_backend(backend: str) -> Backend:
    """The backend behind a configured name; "auto" goes by the default device.

    A run resolves it once and writes the answer into its `config.json`.
    """
    if backend == "auto":
        return "csr" if jax.default_backend() == "cpu" else "segment"
    if backend not in ("segment", "csr"):
        raise ValueError(f"backend: expected segment, csr or auto, got {backend!r}")
    return "csr" if backend == "csr" else "segment"


@functools.partial(jax.custom_vjp, nondiff_argnames=("backend",))
def _aggregate(
    nodes_ND: jax.Array,
    weights_E: jax.Array,
    senders_E: jax.Array,
    receivers_E: jax.Array,
    plan: EdgePlan,
    backend: Backend,
) -> jax.Array:
    return _weighted_sum(
        nodes_ND, weights_E, senders_E, receivers_E, plan.indptr, backend
    )


def _aggregate_forward(
    nodes_ND: jax.Array,
    weights_E: jax.Array,
    senders_E: jax.Array,
    receivers_E: jax.Array,
    plan: EdgePlan,
    backend: Backend,
) -> tuple[jax.Array, tuple]:
    out_ND = _aggregate(nodes_ND, weights_E, senders_E, receivers_E, plan, backend)
    return out_ND, (nodes_ND, weights_E, senders_E, receivers_E, plan)


def _aggregate_backward(
    backend: Backend, residuals: tuple, gradient_ND: jax.Array
) -> tuple:
    nodes_ND, weights_E, senders_E, receivers_E, plan = residuals
    # The transposed sum: over the edges that leave a node, sorted by that node.
    nodes_gradient_ND = _weighted_sum(
        gradient_ND,
        weights_E[plan.by_sender],
        plan.receivers_by_sender,
        senders_E[plan.by_sender],
        plan.sender_indptr,
        backend,
    )
    # Where the weights are constants of the graph, XLA removes this as dead code.
    weights_gradient_E = jnp.sum(
        nodes_ND[senders_E].astype(jnp.float32)
        * gradient_ND[receivers_E].astype(jnp.float32),
        axis=-1,
    )
    no_gradient = functools.partial(jax.tree.map, _float0_like)
    return (
        nodes_gradient_ND.astype(nodes_ND.dtype),
        weights_gradient_E.astype(weights_E.dtype),
        no_gradient(senders_E),
        no_gradient(receivers_E),
        no_gradient(plan),
    )


_aggregate.defvjp(_aggregate_forward, _aggregate_backward)


def _float0_like(indices: jax.Array) -> np.ndarray:
    """The cotangent of an integer array."""
    return np.zeros(indices.shape, jax.dtypes.float0)


def _weighted_sum(
    nodes_ND: jax.Array,
    weights_E: jax.Array,
    senders_E: jax.Array,
    receivers_E: jax.Array,
    indptr: jax.Array,
    backend: Backend,
) -> jax.Array:
    """The sum itself; edges sorted by receiver, `indptr` their CSR row pointers."""
    num_nodes = nodes_ND.shape[0]
    if backend == "csr":
        matrix = sparse.BCSR(
            (weights_E.astype(jnp.float32), senders_E, indptr),
            shape=(num_nodes, num_nodes),
            indices_sorted=True,
        )
        # The CPU kernel knows float32 and float64 only; the sum is float32 either way.
        out_ND = matrix @ nodes_ND.astype(jnp.float32)
    else:
        messages_ED = nodes_ND[senders_E].astype(jnp.float32) * weights_E[:, None]
        out_ND = jax.ops.segment_sum(
            messages_ED, receivers_E, num_nodes, indices_are_sorted=True
        )
    return out_ND.astype(nodes_ND.dtype)


def aggregate(
    graph: jraph.GraphsTuple,
    plan: EdgePlan,
    *,
    weights: jax.Array | None = None,
    backend: Backend = "csr",
) -> jax.Array:
    """Sums each node's incoming neighbours, weighted.

    Args:
        graph: `nodes` (N, D); edges sorted by receiver, as `build` leaves them.
        plan: The graph's plan.
        weights: (E,) edge weights, may be traced; default `graph.edges["weight"]`.
        backend: Which kernel.

    Returns:
        (N, D) in the dtype of the nodes, accumulated in float32. Differentiable in the
        nodes and the weights.
    """
    if weights is None:
        weights = graph.edges["weight"]
    return _aggregate(
        graph.nodes, weights, graph.senders, graph.receivers, plan, backend
    )
