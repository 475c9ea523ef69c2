"""What layers ask for, differentiable: sums, gathers, softmax and maximum over edges.

Shapes: N nodes, E edges, H heads, D width; `...` any number of trailing axes.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np

from llmgnn_jax.graph.aggregate import native
from llmgnn_jax.graph.aggregate.backends import (
    Backend,
    edge_dots,
    row_maxima,
    row_sums,
    weighted_row_sums,
)
from llmgnn_jax.graph.plan import EdgePlan


def aggregate(
    graph: jraph.GraphsTuple,
    plan: EdgePlan,
    *,
    weights: jax.Array | None = None,
    backend: Backend = "csr",
) -> jax.Array:
    """Sums each node's incoming neighbours, weighted.

    Args:
        graph: `nodes` (N, D).
        plan: The graph's plan.
        weights: (E,) edge weights, may be traced; default those of the plan, which are
            constants: what `graph.edges` holds is not looked at.
        backend: Which kernel.

    Returns:
        (N, D) in the dtype of the nodes, accumulated in float32. Differentiable in the
        nodes and in `weights`.
    """
    return weighted_sum(graph.nodes, weights, plan, backend=backend)


def weighted_sum(
    nodes: jax.Array, weights: jax.Array | None, plan: EdgePlan, *, backend: Backend
) -> jax.Array:
    """out[v] = sum over edges e = (u, v) of weights[e] nodes[u].

    Args:
        nodes: (N, D), or (N, H, D) where each head has weights of its own.
        weights: (E,), or (E, H); may be traced. None: the plan's constants.
        plan: The edges.
        backend: Which kernel.

    Returns:
        As `nodes`, accumulated in float32. Differentiable once with `native`, any
        number of times with the others.

    Raises:
        ValueError: If the shapes do not belong together, or there are no weights.
    """
    _check_nodes(nodes, plan.outgoing.num_nodes, ndim=2)
    if weights is None:
        if plan.incoming.weights is None:
            raise ValueError("weights: expected (E,), got none, and the plan has none")
        return _constant_sum(nodes, plan, backend)
    heads = nodes.shape[1:-1]
    if weights.shape[1:] != heads:
        raise ValueError(
            f"weights {weights.shape} do not belong to nodes {nodes.shape}: expected "
            "(E,) with (N, D) or (E, H) with (N, H, D)"
        )
    _check_edges("weights", weights, plan)
    return _weighted_sum(nodes, weights, plan, backend)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _constant_sum(nodes: jax.Array, plan: EdgePlan, backend: Backend) -> jax.Array:
    return weighted_row_sums(plan.incoming, nodes, None, backend)


def _constant_sum_forward(
    nodes: jax.Array, plan: EdgePlan, backend: Backend
) -> tuple[jax.Array, EdgePlan]:
    return _constant_sum(nodes, plan, backend), plan


def _constant_sum_backward(
    backend: Backend, plan: EdgePlan, gradient: jax.Array
) -> tuple:
    nodes_gradient = weighted_row_sums(plan.outgoing, gradient, None, backend)
    return nodes_gradient, no_gradient(plan)


_constant_sum.defvjp(_constant_sum_forward, _constant_sum_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _weighted_sum(
    nodes: jax.Array, weights: jax.Array, plan: EdgePlan, backend: Backend
) -> jax.Array:
    return weighted_row_sums(plan.incoming, nodes, weights, backend)


def _weighted_sum_forward(
    nodes: jax.Array, weights: jax.Array, plan: EdgePlan, backend: Backend
) -> tuple[jax.Array, tuple]:
    out = _weighted_sum(nodes, weights, plan, backend)
    return out, (nodes, weights, plan)


def _weighted_sum_backward(
    backend: Backend, residuals: tuple, gradient: jax.Array
) -> tuple:
    nodes, weights, plan = residuals
    nodes_gradient = weighted_row_sums(plan.outgoing, gradient, weights, backend)
    weights_gradient = edge_dots(plan.incoming, gradient, nodes, backend)
    return (
        nodes_gradient,
        weights_gradient.astype(weights.dtype),
        no_gradient(plan),
    )


_weighted_sum.defvjp(_weighted_sum_forward, _weighted_sum_backward)


def _gather(nodes: jax.Array, numbers: jax.Array, backend: Backend) -> jax.Array:
    """(N, ...) -> (E, ...), nodes[numbers]."""
    if backend == "native" and nodes.size and numbers.size:
        return native.gather_rows(nodes, numbers)
    return nodes[numbers]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _gather_senders(nodes: jax.Array, plan: EdgePlan, backend: Backend) -> jax.Array:
    return _gather(nodes, plan.incoming.others, backend)


_gather_senders.defvjp(
    lambda nodes, plan, backend: (_gather_senders(nodes, plan, backend), plan),
    lambda backend, plan, gradient: (
        row_sums(plan.outgoing, gradient, backend),
        no_gradient(plan),
    ),
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _gather_receivers(nodes: jax.Array, plan: EdgePlan, backend: Backend) -> jax.Array:
    return _gather(nodes, plan.incoming.own, backend)


_gather_receivers.defvjp(
    lambda nodes, plan, backend: (_gather_receivers(nodes, plan, backend), plan),
    lambda backend, plan, gradient: (
        row_sums(plan.incoming, gradient, backend),
        no_gradient(plan),
    ),
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _sum_edges(edges: jax.Array, plan: EdgePlan, backend: Backend) -> jax.Array:
    return row_sums(plan.incoming, edges, backend)


_sum_edges.defvjp(
    lambda edges, plan, backend: (_sum_edges(edges, plan, backend), plan),
    lambda backend, plan, gradient: (
        _gather(gradient, plan.incoming.own, backend),
        no_gradient(plan),
    ),
)


def gather_senders(nodes: jax.Array, plan: EdgePlan, *, backend: Backend) -> jax.Array:
    """(N, ...) -> (E, ...), what each edge's sender holds; its gradient: row sums."""
    _check_nodes(nodes, plan.outgoing.num_nodes)
    return _gather_senders(nodes, plan, backend)


def gather_receivers(
    nodes: jax.Array, plan: EdgePlan, *, backend: Backend
) -> jax.Array:
    """(N, ...) -> (E, ...), what each edge's receiver holds; likewise."""
    _check_nodes(nodes, plan.incoming.num_nodes)
    return _gather_receivers(nodes, plan, backend)


def sum_edges(edges: jax.Array, plan: EdgePlan, *, backend: Backend) -> jax.Array:
    """(E, ...) -> (N, ...), the sum over each node's incoming edges.

    In the dtype of the edges, accumulated in float32. Padding edges are summed too,
    into the padding node.
    """
    _check_edges("edges", edges, plan)
    return _sum_edges(edges, plan, backend)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _edge_softmax(logits: jax.Array, plan: EdgePlan, backend: Backend) -> jax.Array:
    rows = plan.incoming
    logits = logits.astype(jnp.float32)
    if not logits.size:
        return logits
    if backend == "native":
        flat = logits.reshape(len(logits), -1)
        return native.softmax_forward(rows, flat).reshape(logits.shape)
    highest = row_maxima(rows, logits, backend)
    powers = jnp.exp(logits - highest[rows.own])
    return powers / row_sums(rows, powers, backend)[rows.own]


def _edge_softmax_forward(
    logits: jax.Array, plan: EdgePlan, backend: Backend
) -> tuple[jax.Array, tuple]:
    shares = _edge_softmax(logits, plan, backend)
    return shares, (shares, jnp.zeros((), logits.dtype), plan)


def _edge_softmax_backward(
    backend: Backend, residuals: tuple, gradient: jax.Array
) -> tuple:
    shares, like, plan = residuals
    gradient = gradient.astype(jnp.float32)
    if backend == "native" and shares.size:
        flat = (len(shares), -1)
        back = native.softmax_backward(
            plan.incoming, shares.reshape(flat), gradient.reshape(flat)
        )
        return back.reshape(shares.shape).astype(like.dtype), no_gradient(plan)
    flow = shares * gradient
    into = row_sums(plan.incoming, flow, backend)[plan.incoming.own]
    return (flow - shares * into).astype(like.dtype), no_gradient(plan)


_edge_softmax.defvjp(_edge_softmax_forward, _edge_softmax_backward)


def edge_softmax(logits: jax.Array, plan: EdgePlan, *, backend: Backend) -> jax.Array:
    """Softmax over the incoming edges of each node.

    Args:
        logits: (E,), or (E, H) with each head on its own; finite.
        plan: The edges.
        backend: Which kernel.

    Returns:
        As `logits`, float32; they sum to 1 over each node's edges.
    """
    _check_edges("logits", logits, plan)
    return _edge_softmax(logits, plan, backend)


def maximum(nodes: jax.Array, plan: EdgePlan, *, backend: Backend) -> jax.Array:
    """(N, D) -> (N, D), the maximum over each node's senders; 0 where it has none.

    The gradient of a maximum that several senders reach is spread evenly over them.
    """
    _check_nodes(nodes, plan.outgoing.num_nodes)
    return _maximum(nodes, plan, backend)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _maximum(nodes: jax.Array, plan: EdgePlan, backend: Backend) -> jax.Array:
    highest = row_maxima(plan.incoming, nodes[plan.incoming.others], backend)
    # Nothing else is hidden: a model that diverged is to be seen.
    return jnp.where(highest == -jnp.inf, 0, highest).astype(nodes.dtype)


def _maximum_forward(
    nodes: jax.Array, plan: EdgePlan, backend: Backend
) -> tuple[jax.Array, tuple]:
    highest = _maximum(nodes, plan, backend)
    return highest, (nodes, highest, plan)


def _maximum_backward(backend: Backend, residuals: tuple, gradient: jax.Array) -> tuple:
    nodes, highest, plan = residuals
    incoming, outgoing = plan.incoming, plan.outgoing
    reached = nodes[incoming.others] == highest[incoming.own]
    ties = row_sums(incoming, reached.astype(jnp.float32), backend)
    shared = gradient.astype(jnp.float32) / jnp.maximum(ties, 1.0)
    flow = jnp.where(reached, shared[incoming.own], 0.0)
    return row_sums(outgoing, flow, backend).astype(nodes.dtype), no_gradient(plan)


_maximum.defvjp(_maximum_forward, _maximum_backward)


def _check_nodes(nodes: jax.Array, count: int, *, ndim: int = 1) -> None:
    """Of the shape alone: a kernel that trusts it reads what is there."""
    if nodes.ndim < ndim or nodes.shape[0] != count:
        shape = "(N, ...)" if ndim == 1 else "(N, D) or (N, H, D)"
        raise ValueError(f"nodes: expected {shape} with N = {count}, got {nodes.shape}")


def _check_edges(name: str, values: jax.Array, plan: EdgePlan) -> None:
    count = plan.incoming.own.shape[0]
    if not values.ndim or values.shape[0] != count:
        raise ValueError(f"{name}: expected E = {count} rows, got {values.shape}")


def no_gradient(constants: Any) -> Any:
    """The cotangent of integers, which have none, and of a plan's constant weights."""

    def zero(leaf: jax.Array) -> jax.Array | np.ndarray:
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.zeros_like(leaf)
        return np.zeros(leaf.shape, jax.dtypes.float0)

    return jax.tree.map(zero, constants)
