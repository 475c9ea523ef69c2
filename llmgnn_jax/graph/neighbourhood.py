"""`Neighbourhood`: who sends to whom, and how what they send is put together.

Shapes: N nodes, E edges, H heads, D width. `...` is any number of trailing axes, the
same on both sides.

Layers are written in terms of it alone. `LocalNeighbourhood` is the one of a graph that
lies whole on a device; a sampled tree and a sharded graph have theirs, with the same
methods, so that no layer knows where its edges lie.
"""

import functools
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.aggregate import (
    Backend,
    edge_softmax,
    gather_receivers,
    gather_senders,
    maximum,
    sum_edges,
    weighted_sum,
)
from llmgnn_jax.graph.plan import EdgePlan


class WeightedSums(Protocol):
    """Sums over each node's senders, with the graph's own weights: all that the layers
    of a graph ask for whose weights are constants.
    """

    def own(self, nodes: jax.Array) -> jax.Array:
        """(N, ...) -> (M, ...): the nodes that a layer computes."""
        ...

    def weighted(self, nodes: jax.Array) -> jax.Array:
        """(N, D) -> (N, D), the sum over e = (u, v) of weights[e] nodes[u].

        Accumulated in float32; 0 for a node without edges.
        """
        ...


class Neighbourhood(WeightedSums, Protocol):
    """The incoming edges of each node.

    Edges that are padding take part in nothing: their weight is 0 in a sum, they are no
    part of a mean, a maximum or a softmax.

    A layer is given N nodes and computes M of them: all, or in a sampled tree those
    that hear of others.
    """

    def gather_senders(self, nodes: jax.Array) -> jax.Array:
        """(N, ...) -> (E, ...): to each edge what its sender holds."""
        ...

    def gather_receivers(self, nodes: jax.Array) -> jax.Array:
        """(N, ...) -> (E, ...): to each edge what its receiver holds."""
        ...

    def sum(self, nodes: jax.Array, weights: jax.Array | None = None) -> jax.Array:
        """out[v] = sum over edges e = (u, v) of weights[e] nodes[u].

        Args:
            nodes: (N, D), or (N, H, D) with a weight a head.
            weights: (E,) or (E, H); may be traced. None: 1 on each edge that is no
                padding.

        Returns:
            As `nodes`; 0 for a node without edges. Accumulated in float32.
        """
        ...

    def mean(self, nodes: jax.Array) -> jax.Array:
        """(N, D) -> (N, D): the mean over each node's senders; 0 where it has none."""
        ...

    def max(self, nodes: jax.Array) -> jax.Array:
        """(N, D) -> (N, D): the maximum over its senders; 0 where it has none."""
        ...

    def softmax(self, logits: jax.Array) -> jax.Array:
        """(E,) or (E, H) -> the same: shares that sum to 1 over a node's edges."""
        ...

    def sum_edges(self, edges: jax.Array) -> jax.Array:
        """(E, ...) -> (N, ...): the sum of what a node's incoming edges hold."""
        ...

    def degrees(self) -> jax.Array:
        """(N,) float32, the incoming edges that are no padding."""
        ...


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["plan"], meta_fields=["backend"]
)
@dataclass(frozen=True, kw_only=True)
class LocalNeighbourhood:
    """The neighbourhood of a graph that lies whole on each device.

    Attributes:
        plan: The edges.
        backend: Which kernel.
    """

    plan: EdgePlan
    backend: Backend

    def own(self, nodes: jax.Array) -> jax.Array:
        return nodes

    def gather_senders(self, nodes: jax.Array) -> jax.Array:
        return gather_senders(nodes, self.plan, backend=self.backend)

    def gather_receivers(self, nodes: jax.Array) -> jax.Array:
        return gather_receivers(nodes, self.plan, backend=self.backend)

    def sum(self, nodes: jax.Array, weights: jax.Array | None = None) -> jax.Array:
        if weights is None:
            weights = self._ones(nodes)
        return weighted_sum(nodes, weights, self.plan, backend=self.backend)

    def weighted(self, nodes: jax.Array) -> jax.Array:
        return weighted_sum(nodes, None, self.plan, backend=self.backend)

    def mean(self, nodes: jax.Array) -> jax.Array:
        return self.sum(nodes) / jnp.maximum(self.degrees(), 1.0)[:, None]

    def max(self, nodes: jax.Array) -> jax.Array:
        return maximum(nodes, self.plan, backend=self.backend)

    def softmax(self, logits: jax.Array) -> jax.Array:
        return edge_softmax(logits, self.plan, backend=self.backend)

    def sum_edges(self, edges: jax.Array) -> jax.Array:
        return sum_edges(edges, self.plan, backend=self.backend)

    def degrees(self) -> jax.Array:
        # Padding comes last, and all of it leads into the last node.
        ends = jnp.minimum(self.plan.incoming.indptr, self.plan.num_edges)
        return jnp.diff(ends).astype(jnp.float32)

    def _ones(self, nodes: jax.Array) -> jax.Array:
        places = jnp.arange(self.plan.incoming.own.shape[0])
        real = (places < self.plan.num_edges).astype(jnp.float32)
        heads = nodes.shape[1:-1]
        return jnp.broadcast_to(
            real.reshape(-1, *[1] * len(heads)), (len(real), *heads)
        )
