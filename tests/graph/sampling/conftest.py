"""Graphs to sample from."""

from dataclasses import dataclass

import numpy as np
import pytest

from llmgnn_jax.graph.sampling import SampleTable, sample_table


@dataclass(frozen=True, kw_only=True)
class Edges:
    """An edge list, and the table of it."""

    senders: np.ndarray
    receivers: np.ndarray
    relations: np.ndarray
    weights: np.ndarray
    num_nodes: int
    table: SampleTable

    def into(self, node: int, relation: int) -> list[int]:
        """The numbers of the edges that a node hears over, by a slow loop."""
        return [
            e
            for e in range(len(self.senders))
            if self.receivers[e] == node and self.relations[e] == relation
        ]


@pytest.fixture(scope="session")
def multigraph() -> Edges:
    """40 nodes, 3 relations: duplicates, self edges, a hub, lonely nodes, weights of 0.

    Nodes 35 to 39 hear nobody; node 7 hears 400 edges.
    """
    rng = np.random.default_rng(3)
    senders = rng.integers(0, 40, 700)
    receivers = np.concatenate([rng.integers(0, 35, 300), np.full(400, 7)])
    relations = rng.integers(0, 3, 700)
    weights = rng.choice([0.0, 0.5, 1.0, 3.0, 1e-12], 700)
    shuffled = rng.permutation(700)
    senders, receivers = senders[shuffled], receivers[shuffled]
    table = sample_table(
        senders,
        receivers,
        40,
        relations=relations,
        num_relations=3,
        weights=weights,
    )
    return Edges(
        senders=senders,
        receivers=receivers,
        relations=relations,
        weights=weights,
        num_nodes=40,
        table=table,
    )
