"""`Placement`: where nodes and rows of a batch lie, and how they reach one another.

Shapes: N nodes, D width, B rows of a batch, b of them that a program computes, R rows
of a table that are asked for.

A model is written in terms of it alone. `OneDevice` holds everything; the placements of
`llmgnn_jax.parallel` lay the same program over many devices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import jraph

from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood, WeightedSums
from llmgnn_jax.graph.sampling import (
    SampledTree,
    SampleTable,
    TreeSums,
    gather_features,
    sample_tree,
)
from llmgnn_jax.graph.structure import InteractionGraph

# (parameters, graph with (N, D) nodes, who sends to whom) -> a graph with (N, D) nodes.
Layers: TypeAlias = Callable[[Any, jraph.GraphsTuple, WeightedSums], jraph.GraphsTuple]


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Which neighbours a step hears of.

    Attributes:
        key: Of the step.
        fanouts: For each layer how many neighbours a node draws, uniformly and without
            replacement.
        rows_R: (R,) int32, the global row of each node that is asked for: all that its
            draws depend on beside the key.
    """

    key: jax.Array
    fanouts: tuple[int, ...]
    rows_R: jax.Array


class Sampled(NamedTuple):
    """What sampled message passing gives.

    Attributes:
        final_RD: (R, D) node vectors, whose expectation is that of the whole graph.
        ego_RD: (R, D) the input at the same nodes.
        missed: () int32, requests to other devices that had no place.
    """

    final_RD: jax.Array
    ego_RD: jax.Array
    missed: jax.Array


class Placement(Protocol):
    """Hashable: part of what a program is compiled for."""

    @property
    def local_backend(self) -> Backend | None:
        """The aggregation kernel where the whole graph is at hand; None elsewhere."""
        ...

    @property
    def programs(self) -> int:
        """How many programs share the rows of a batch; each has as many."""
        ...

    @property
    def shares(self) -> int:
        """Into how many equal pieces large tables are cut."""
        ...

    def run_layers(
        self,
        layers: Layers,
        parameters: Any,
        nodes_ND: jax.Array,
        graph: InteractionGraph,
    ) -> jax.Array:
        """Message passing: (N, D) node vectors from (N, D) node vectors.

        Args:
            layers: What to compute on the nodes of a device.
            parameters: Its first argument, the same on all devices.
            nodes_ND: The input.
            graph: Who sends to whom.
        """
        ...

    def run_sampled(
        self,
        layers: Layers,
        parameters: Any,
        nodes_ND: jax.Array,
        graph: InteractionGraph,
        numbers_R: jax.Array,
        draw: Draw,
    ) -> Sampled:
        """Message passing over trees of sampled neighbours under some nodes.

        Args:
            layers: As in `run_layers`; as many as fan-outs.
            parameters: Likewise.
            nodes_ND: Likewise.
            graph: Likewise.
            numbers_R: (R,) int32, the nodes.
            draw: What is drawn.
        """
        ...

    def take(self, table_N: jax.Array, numbers_R: jax.Array) -> jax.Array:
        """(R, ...) rows of a large table (N, ...), by their numbers."""
        ...

    def ask(
        self,
        question: Callable[..., jax.Array],
        holder: Any,
        numbers_R: jax.Array,
        *others: jax.Array,
        rows: int,
    ) -> jax.Array:
        """(R, ...) question(holder, numbers_R, *others), asked where each row is held.

        Args:
            question: What is true of a row follows from it, the piece of the holder
                that it lies in and the others; integers or bools.
            holder: A tree of arrays, in pieces along their first axes.
            numbers_R: (R,) int32 in [0, rows).
            others: The same on all devices.
            rows: How many rows all pieces hold.
        """
        ...

    def row_numbers(self, batch_size: int) -> jax.Array:
        """(b,) int32, the rows in [0, B) of the batch that this program computes."""
        ...

    def everyones(self, rows_b: jax.Array) -> jax.Array:
        """(b, ...) -> (B, ...): what all programs have computed, in order of rows."""
        ...

    def mean(self, values: Any) -> Any:
        """A tree of arrays: their means over the programs."""
        ...


@dataclass(frozen=True, kw_only=True)
class OneDevice:
    """All on one device.

    Attributes:
        backend: The aggregation kernel.
    """

    backend: Backend

    @property
    def local_backend(self) -> Backend | None:
        return self.backend

    @property
    def programs(self) -> int:
        return 1

    @property
    def shares(self) -> int:
        return 1

    def run_layers(
        self,
        layers: Layers,
        parameters: Any,
        nodes_ND: jax.Array,
        graph: InteractionGraph,
    ) -> jax.Array:
        neighbours = LocalNeighbourhood(plan=graph.plan, backend=self.backend)
        return layers(
            parameters, graph.graph._replace(nodes=nodes_ND), neighbours
        ).nodes

    def run_sampled(
        self,
        layers: Layers,
        parameters: Any,
        nodes_ND: jax.Array,
        graph: InteractionGraph,
        numbers_R: jax.Array,
        draw: Draw,
    ) -> Sampled:
        tree = drawn_tree(graph, numbers_R, draw)
        nodes = gather_features(nodes_ND, tree, backend=self.backend)
        degrees = jnp.where(tree.node_mask, graph.degrees[tree.node_ids], 0)
        return Sampled(
            final_RD=run_on_tree(layers, parameters, tree, nodes, degrees),
            ego_RD=nodes[: len(numbers_R)],
            missed=jnp.zeros((), jnp.int32),
        )

    def take(self, table_N: jax.Array, numbers_R: jax.Array) -> jax.Array:
        return table_N[numbers_R]

    def ask(
        self,
        question: Callable[..., jax.Array],
        holder: Any,
        numbers_R: jax.Array,
        *others: jax.Array,
        rows: int,
    ) -> jax.Array:
        del rows
        return question(holder, numbers_R, *others)

    def row_numbers(self, batch_size: int) -> jax.Array:
        return jnp.arange(batch_size, dtype=jnp.int32)

    def everyones(self, rows_b: jax.Array) -> jax.Array:
        return rows_b

    def mean(self, values: Any) -> Any:
        return values


def drawn_tree(
    graph: InteractionGraph, numbers_R: jax.Array, draw: Draw
) -> SampledTree:
    """The neighbours that a draw gives the nodes of a graph that is all at hand."""
    edges = graph.plan.incoming
    table = SampleTable.of_rows(edges.indptr, edges.others)
    return sample_tree(
        draw.key, table, numbers_R, fanouts=draw.fanouts, rows_B=draw.rows_R
    )


def run_on_tree(
    layers: Layers,
    parameters: Any,
    tree: SampledTree,
    nodes_ND: jax.Array,
    degrees_N: jax.Array,
) -> jax.Array:
    """(R, D): what layers give the seeds of a tree, from what its N nodes hold."""
    graph = tree.graph(nodes_ND)
    return layers(parameters, graph, TreeSums(tree, degrees_N)).nodes
