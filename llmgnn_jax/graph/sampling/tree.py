"""`SampledTree`: what a batch of nodes hears of, hop by hop, in static shapes.

Shapes: B seeds, R relations, K slots of a node (over all relations), W nodes of a hop's
parents, N = B + W_1 K_1 + ... nodes of the tree, E = N - B edges, D width.

A node that is reached twice is there twice: nothing is looked up or sorted, and every
node but a seed is the sender of exactly one edge. Edge e goes from node B + e to its
parent, so edges are sorted by receiver.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import jax
import jax.numpy as jnp
import jraph
import numpy as np

from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.sampling.choose import take
from llmgnn_jax.graph.sampling.gathered import gathered_rows
from llmgnn_jax.graph.sampling.neighbourhood import TreeNeighbourhood
from llmgnn_jax.graph.sampling.words import Array

# How many neighbours of each relation a node draws.
Fanout = tuple[int, ...]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["nodes", "mask", "edge_ids"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class Hop:
    """The children of one generation.

    Attributes:
        nodes: (W, K) int32, node numbers of the graph; 0 in empty slots.
        mask: (W, K) bool, False in empty slots.
        edge_ids: (W, K) int32, the edge that was drawn, in the list that the table was
            made of; any in empty slots. None of a table that does not know them.
    """

    nodes: Array
    mask: Array
    edge_ids: Array | None


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["seeds", "hops"],
    meta_fields=["fanouts"],
)
@dataclass(frozen=True, kw_only=True)
class SampledTree:
    """Seeds and their sampled descendants; NumPy arrays on the host.

    Attributes:
        seeds: (B,) int32; -1 in rows that are padding.
        hops: One a fan-out; the nodes of hop h are the parents of hop h + 1.
        fanouts: For each hop how many slots each relation has.
    """

    seeds: Array
    hops: tuple[Hop, ...]
    fanouts: tuple[Fanout, ...]

    @property
    def num_nodes(self) -> int:
        """N."""
        return self.seeds.shape[0] + self.num_edges

    @property
    def num_edges(self) -> int:
        """E, empty slots included."""
        return sum(hop.nodes.size for hop in self.hops)

    @property
    def num_parents(self) -> int:
        """The nodes that a layer computes: all but the last hop."""
        return self.num_nodes - self.hops[-1].nodes.size

    @property
    def node_ids(self) -> Array:
        """(N,) int32: seeds, hop 1, hop 2, ...; 0 where there is none."""
        seeds_B = self._xp.maximum(self.seeds, 0)
        return self._joined([seeds_B, *(hop.nodes for hop in self.hops)])

    @property
    def node_mask(self) -> Array:
        """(N,) bool, False where a slot is empty."""
        real = self.seeds >= 0
        return self._joined([real, *(hop.mask for hop in self.hops)])

    @property
    def edge_ids(self) -> Array:
        """(E,) int32, any in empty slots.

        Raises:
            ValueError: If the table that it was drawn from does not know them.
        """
        parts = [hop.edge_ids for hop in self.hops if hop.edge_ids is not None]
        if len(parts) != len(self.hops):
            raise ValueError("edge_ids: the table has none")
        return self._joined(parts)

    @property
    def edge_mask(self) -> Array:
        """(E,) bool."""
        return self._joined([hop.mask for hop in self.hops])

    @property
    def relations(self) -> Array:
        """(E,) int32, the relation of each slot."""
        xp = self._xp
        slots = [
            np.repeat(np.arange(len(fanout), dtype=np.int32), fanout)
            for fanout in self.fanouts
        ]
        return self._joined(
            [
                xp.broadcast_to(xp.asarray(slots_K)[None, :], hop.nodes.shape)
                for slots_K, hop in zip(slots, self.hops, strict=True)
            ]
        )

    @property
    def trimmed(self) -> "SampledTree":
        """Without the last hop: what the next layer runs on."""
        return replace(self, hops=self.hops[:-1], fanouts=self.fanouts[:-1])

    def edge_values(self, values: Array) -> Array:
        """(E of the graph, ...) -> (E, ...), 0 in empty slots."""
        xp, mask_E = self._xp, self.edge_mask
        held = take(xp.asarray(values), self.edge_ids, xp)
        return xp.where(mask_E.reshape(-1, *[1] * (held.ndim - 1)), held, 0)

    def neighbourhood(
        self,
        *,
        weights: jax.Array | None = None,
        of_table: bool = False,
        backend: Backend = "csr",
    ) -> TreeNeighbourhood:
        """Who sends to whom in the tree, for layers.

        Args:
            weights: (E,) what `weighted` multiplies with.
            of_table: Whether layers are given the nodes of the whole graph, not those
                of the tree.
            backend: What reads these, see `gathered_sums`.
        """
        return TreeNeighbourhood(
            masks=tuple(hop.mask for hop in self.hops),
            weights=weights,
            table_ids=self.node_ids if of_table else None,
            table_mask=self.node_mask if of_table else None,
            backend=backend,
        )

    def graph(
        self, nodes: Array | None = None, *, edges: Mapping[str, Array] | None = None
    ) -> jraph.GraphsTuple:
        """The tree as a graph, its edges sorted by receiver.

        Args:
            nodes: (N, ...) what the nodes hold.
            edges: (E, ...) what the edges hold.

        Returns:
            A graph whose edges hold `edges` and "weight" (E,), the given one or 1, and
            in any case 0 in empty slots.
        """
        num_seeds = self.seeds.shape[0]
        receivers, first = [], 0
        for hop in self.hops:
            parents, slots = hop.nodes.shape
            own = first + jnp.arange(parents, dtype=jnp.int32)
            receivers.append(jnp.repeat(own, slots, total_repeat_length=hop.nodes.size))
            first += parents
        held = dict(edges or {})
        weights = held.get("weight", jnp.ones(self.num_edges, jnp.float32))
        held["weight"] = jnp.where(self.edge_mask, weights, 0)
        return jraph.GraphsTuple(
            nodes=nodes,
            edges=held,
            senders=num_seeds + jnp.arange(self.num_edges, dtype=jnp.int32),
            receivers=jnp.concatenate(receivers),
            globals=None,
            n_node=jnp.asarray([self.num_nodes], jnp.int32),
            n_edge=jnp.asarray([self.num_edges], jnp.int32),
        )

    @property
    def _xp(self) -> Array:
        return np if isinstance(self.seeds, np.ndarray) else jnp

    def _joined(self, parts: list[Array]) -> Array:
        return self._xp.concatenate([part.reshape(-1) for part in parts])


def gather_features(
    features_ND: Array, tree: SampledTree, *, backend: Backend = "csr"
) -> Array:
    """(N of the graph, D) -> (N, D): what a tree's nodes hold; 0 in empty slots."""
    if isinstance(features_ND, np.ndarray):
        rows = features_ND[tree.node_ids]
        rows[~tree.node_mask] = 0
        return rows
    return gathered_rows(features_ND, tree.node_ids, tree.node_mask, backend=backend)


class TreeLayer(Protocol):
    """GraphsTuple -> GraphsTuple, as all layers."""

    def __call__(
        self, graph: jraph.GraphsTuple, *, neighbours: TreeNeighbourhood
    ) -> jraph.GraphsTuple: ...


def propagate_tree(
    layers: Sequence[TreeLayer],
    tree: SampledTree,
    nodes_ND: jax.Array | None = None,
    *,
    table_ND: jax.Array | None = None,
    edges: Mapping[str, jax.Array] | None = None,
    backend: Backend = "csr",
) -> jax.Array:
    """Runs one layer a hop, from the leaves to the seeds.

    Layer l computes the nodes of hops 0..L - l; a node hears the same sampled
    neighbours in each layer that it takes part in (Hamilton et al. 2017, algorithm 2).

    Args:
        layers: L, as many as hops. Something between two layers is a part of one.
        tree: The seeds and their descendants.
        nodes_ND: (N, D) what the nodes of the tree hold, from `gather_features`.
        table_ND: Instead, (N of the graph, D) what all nodes of the graph hold. The
            first layer runs on these and sums up neighbours in place: faster for layers
            that do so before they multiply.
        edges: (E, ...) what the edges hold; "weight" is 1 if not given. A layer hears
            what the one before it left there.
        backend: What reads `table_ND`, see `gathered_sums`.

    Returns:
        (B, D') what the last layer gives the seeds.

    Raises:
        ValueError: If there are not as many layers as hops, or not one of `nodes_ND`
            and `table_ND`.
    """
    if len(layers) != len(tree.hops):
        raise ValueError(f"expected {len(tree.hops)} layers, got {len(layers)}")
    if (nodes_ND is None) == (table_ND is None):
        raise ValueError("expected one of nodes_ND and table_ND")
    nodes: Array = table_ND if nodes_ND is None else nodes_ND
    held, of_table = dict(edges or {}), nodes_ND is None
    for layer in layers:
        held = {name: values[: tree.num_edges] for name, values in held.items()}
        graph = tree.graph(nodes, edges=held)
        neighbours = tree.neighbourhood(
            weights=graph.edges["weight"], of_table=of_table, backend=backend
        )
        graph = layer(graph, neighbours=neighbours)
        nodes, held = graph.nodes, graph.edges
        tree, of_table = tree.trimmed, False
    return nodes
