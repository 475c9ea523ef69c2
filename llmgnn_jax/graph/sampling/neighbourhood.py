"""`TreeNeighbourhood`: message passing over a sampled tree by dense reductions.

Shapes: B seeds, W parents of a hop, K slots of each, N nodes that send, M nodes that a
layer computes, E edges, H heads, D width; `...` any number of trailing axes.

Every node of a tree but a seed sends over one edge, and the edges of a node lie side by
side: whatever is asked is a reshape, a reduction over K or a broadcast along K. Nothing
is scattered, in the gradient neither. Empty slots take part in nothing: what they hold
need not be finite.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.sampling.gathered import gathered_rows, gathered_sums


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["masks", "weights", "table_ids", "table_mask"],
    meta_fields=["backend"],
)
@dataclass(frozen=True, kw_only=True)
class TreeNeighbourhood:
    """A `Neighbourhood` of the nodes of a tree.

    A layer is given the N = B + E nodes of the tree and computes all but the last hop,
    which has no children: M = N less that.

    With `table_ids` it is given the N nodes of the whole graph and reads those of the
    tree from there: sums are taken without a copy of what the leaves hold.

    Attributes:
        masks: For each hop (W, K) bool, False in empty slots.
        weights: (E,) what `weighted` multiplies with, or None.
        table_ids: (B + E,) int32, the number in the graph of each node of the tree, or
            None.
        table_mask: (B + E,) bool, False for nodes of the tree that stand for none of
            the graph: they hold 0. None where all are real.
        backend: What reads the table, see `gathered_sums`.
    """

    masks: tuple[jax.Array, ...]
    weights: jax.Array | None = None
    table_ids: jax.Array | None = None
    table_mask: jax.Array | None = None
    backend: Backend = "csr"

    @property
    def num_seeds(self) -> int:
        """B."""
        return self.masks[0].shape[0]

    @property
    def num_parents(self) -> int:
        """The nodes of all hops but the last."""
        return sum(mask.shape[0] for mask in self.masks)

    def own(self, nodes: jax.Array) -> jax.Array:
        """(N, ...) -> (M, ...): the nodes that a layer computes."""
        if self.table_ids is None:
            return nodes[: self.num_parents]
        return self._rows_of(nodes, slice(self.num_parents))

    def gather_senders(self, nodes: jax.Array) -> jax.Array:
        """(N, ...) -> (E, ...): to each edge what its sender holds."""
        if self.table_ids is None:
            return nodes[self.num_seeds :]
        return self._rows_of(nodes, slice(self.num_seeds, None))

    def gather_receivers(self, nodes: jax.Array) -> jax.Array:
        """(N, ...) -> (E, ...): to each edge what its receiver holds."""
        own, parts, first = self.own(nodes), [], 0
        for mask_WK in self.masks:
            parents = own[first : first + mask_WK.shape[0]]
            shape = (*mask_WK.shape, *own.shape[1:])
            repeated = jnp.broadcast_to(parents[:, None], shape)
            parts.append(repeated.reshape(-1, *own.shape[1:]))
            first += mask_WK.shape[0]
        return jnp.concatenate(parts)

    def sum(self, nodes: jax.Array, weights: jax.Array | None = None) -> jax.Array:
        """out[v] = sum over edges e = (u, v) of weights[e] nodes[u].

        Args:
            nodes: (N, D), or (N, H, D) with a weight a head.
            weights: (E,) or (E, H); None: 1 on each edge.

        Returns:
            (M, D) or (M, H, D); accumulated in float32.
        """
        if weights is None:
            # (E, 1, ...): each head has the same.
            weights = self._mask().astype(jnp.float32)
            weights = weights.reshape(-1, *[1] * (nodes.ndim - 2))
        return self._shared_sums(nodes, weights)

    def weighted(self, nodes: jax.Array) -> jax.Array:
        """`sum` with the weights of the tree: (N, D) -> (M, D)."""
        if self.weights is None:
            raise ValueError("weights: expected (E,), got none, and the tree has none")
        return self.sum(nodes, self.weights)

    def mean(self, nodes: jax.Array) -> jax.Array:
        """(N, D) -> (M, D): the mean over each node's senders; 0 where it has none."""
        parts = []
        for mask_WK in self.masks:
            degrees_W1 = jnp.maximum(mask_WK.sum(axis=1, keepdims=True), 1)
            parts.append((mask_WK / degrees_W1).astype(jnp.float32).reshape(-1))
        return self._shared_sums(nodes, jnp.concatenate(parts))

    def max(self, nodes: jax.Array) -> jax.Array:
        """(N, D) -> (M, D): the maximum over its senders; 0 where it has none.

        The gradient of a maximum that several senders reach is spread evenly over them.
        """
        parts = []
        for edges, mask_WK in self._blocks(self.gather_senders(nodes)):
            highest = jnp.where(_like(mask_WK, edges), edges, -jnp.inf).max(axis=1)
            parts.append(jnp.where(mask_WK.any(axis=1)[:, None], highest, 0))
        return jnp.concatenate(parts)

    def softmax(self, logits: jax.Array) -> jax.Array:
        """(E,) or (E, H) -> the same: shares that sum to 1 over a node's edges.

        In float32, 0 in empty slots.
        """
        parts = []
        for edges, mask_WK in self._blocks(logits.astype(jnp.float32)):
            mask = _like(mask_WK, edges)
            # Not -inf: a node without edges would subtract it from itself.
            lowest = jnp.finfo(jnp.float32).min
            highest = jnp.where(mask, edges, lowest).max(axis=1, keepdims=True)
            shifted = jnp.where(mask, edges - jax.lax.stop_gradient(highest), 0.0)
            powers = jnp.where(mask, jnp.exp(shifted), 0.0)
            total = powers.sum(axis=1, keepdims=True)
            shares = powers / jnp.where(total > 0, total, 1.0)
            parts.append(shares.reshape(-1, *logits.shape[1:]))
        return jnp.concatenate(parts)

    def sum_edges(self, edges: jax.Array) -> jax.Array:
        """(E, ...) -> (M, ...): the sum of what a node's incoming edges hold."""
        flat = edges.reshape(edges.shape[0], -1)
        mask = self._mask().astype(jnp.float32)
        out = jnp.concatenate(self._edge_sums(flat, mask))
        return out.reshape(-1, *edges.shape[1:]).astype(edges.dtype)

    def degrees(self) -> jax.Array:
        """(M,) float32, the slots that are not empty."""
        return jnp.concatenate(
            [mask.sum(axis=1).astype(jnp.float32) for mask in self.masks]
        )

    def _mask(self) -> jax.Array:
        """(E,) bool."""
        return jnp.concatenate([mask.reshape(-1) for mask in self.masks])

    def _blocks(self, edges: jax.Array) -> Iterator[tuple[jax.Array, jax.Array]]:
        """For each hop what its edges hold, (W, K, ...), and its mask (W, K)."""
        first = 0
        for mask_WK in self.masks:
            block = edges[first : first + mask_WK.size]
            yield block.reshape(*mask_WK.shape, *edges.shape[1:]), mask_WK
            first += mask_WK.size

    def _shared_sums(self, nodes: jax.Array, shares: jax.Array) -> jax.Array:
        """Sums (M, ...) of what the senders hold, times (E, ...)."""
        if self.table_ids is not None and nodes.ndim == 2:
            ids = self.table_ids[self.num_seeds :]
            parts = [
                gathered_sums(
                    nodes,
                    ids_WK,
                    shares_WK.astype(jnp.float32),
                    mask_WK,
                    self.backend,
                )
                for (ids_WK, mask_WK), (shares_WK, _) in zip(
                    self._blocks(ids), self._blocks(shares), strict=True
                )
            ]
        else:
            parts = self._edge_sums(self.gather_senders(nodes), shares)
        return jnp.concatenate(parts).astype(nodes.dtype)

    def _edge_sums(self, edges: jax.Array, shares: jax.Array) -> list[jax.Array]:
        """Of (E, D) and (E,), or (E, H, D) and (E, H): for each hop the row sums."""
        return [
            # A product, not a sum of products: a batch of small matrix products is
            # vectorised where a reduction over the middle axis is not. Both factors are
            # chosen by the mask: 0 times what is not finite is not 0.
            jnp.einsum(
                "wk...,wk...d->w...d",
                _chosen(mask_WK, shares_WK),
                _chosen(mask_WK, block),
                precision="highest",
            )
            for (block, mask_WK), (shares_WK, _) in zip(
                self._blocks(edges), self._blocks(shares), strict=True
            )
        ]

    def _rows_of(self, table: jax.Array, part: slice) -> jax.Array:
        """What some nodes of the tree hold, of a table with any number of axes."""
        assert self.table_ids is not None
        ids = self.table_ids[part]
        if self.table_mask is None:
            mask = jnp.ones(ids.shape, bool)
        else:
            mask = self.table_mask[part]
        flat = table.reshape(table.shape[0], -1)
        rows = gathered_rows(flat, ids, mask, backend=self.backend)
        return rows.reshape(-1, *table.shape[1:])


def _chosen(mask_WK: jax.Array, edges: jax.Array) -> jax.Array:
    """(W, K, ...) in float32, 0 in empty slots."""
    return jnp.where(_like(mask_WK, edges), edges.astype(jnp.float32), 0)


def _like(mask_WK: jax.Array, edges: jax.Array) -> jax.Array:
    """The mask with as many axes as what the edges hold, (W, K, ...)."""
    return mask_WK.reshape(*mask_WK.shape, *[1] * (edges.ndim - 2))
