"""`Placement`: where nodes and rows of a batch lie, and how they reach one another.

Shapes: N nodes, D width, B rows of a batch, b of them that a program computes, R rows
of a table that are asked for.

A model is written in terms of it alone. `OneDevice` holds everything; the placements of
`llmgnn_jax.parallel` lay the same program over many devices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import jraph

from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood, WeightedSums
from llmgnn_jax.graph.structure import InteractionGraph

# (parameters, graph with (N, D) nodes, who sends to whom) -> a graph with (N, D) nodes.
Layers: TypeAlias = Callable[[Any, jraph.GraphsTuple, WeightedSums], jraph.GraphsTuple]


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

    def take(self, table_N: jax.Array, numbers_R: jax.Array) -> jax.Array:
        """(R, ...) rows of a large table (N, ...), by their numbers."""
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

    def take(self, table_N: jax.Array, numbers_R: jax.Array) -> jax.Array:
        return table_N[numbers_R]

    def row_numbers(self, batch_size: int) -> jax.Array:
        return jnp.arange(batch_size, dtype=jnp.int32)

    def everyones(self, rows_b: jax.Array) -> jax.Array:
        return rows_b

    def mean(self, values: Any) -> Any:
        return values
