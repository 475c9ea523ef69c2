"""Models that say something of each node of a graph.

Shapes: N nodes, F features, D hidden width, C classes.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from llmgnn_jax.config import Config
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.layers import GCNLayer
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.transductive import TransductiveGraph
from llmgnn_jax.models.dropout import dropout


@dataclass(frozen=True, kw_only=True)
class NodeClassifierSpec:
    """Which model: all that decides on shapes and layers.

    Attributes:
        num_features: F.
        hidden_dim: D.
        num_classes: C.
        num_layers: Rounds of message passing.
        dropout: Share of each layer's input that is dropped in training.
        backend: Which kernel.
    """

    num_features: int
    hidden_dim: int
    num_classes: int
    num_layers: int
    dropout: float
    backend: Backend

    @classmethod
    def of(
        cls, config: Config, *, num_features: int, num_classes: int, backend: Backend
    ) -> "NodeClassifierSpec":
        """The model of a configuration, for features and classes of these numbers."""
        return cls(
            num_features=num_features,
            hidden_dim=config.graph.embedding_dim,
            num_classes=num_classes,
            num_layers=config.graph.num_layers,
            dropout=config.node.dropout,
            backend=backend,
        )


class NodeClassifier(nnx.Module):
    """GCN for node classification: Z = A_hat relu(A_hat X W_0) W_1.

    Kipf and Welling 2017, eq. 9, before the softmax; with biases, and of any depth.

    Args:
        spec: Which model.
        rngs: For the initial parameters.
    """

    def __init__(self, spec: NodeClassifierSpec, *, rngs: nnx.Rngs) -> None:
        self.spec = spec
        hidden = [spec.hidden_dim] * (spec.num_layers - 1)
        widths = [spec.num_features, *hidden, spec.num_classes]
        for number in range(spec.num_layers):
            layer = GCNLayer(widths[number], widths[number + 1], rngs=rngs)
            setattr(self, f"gcn_{number}", layer)

    def __call__(
        self, graph: TransductiveGraph, *, dropout_key: jax.Array | None = None
    ) -> jax.Array:
        """(N, C) logits of every node.

        Args:
            graph: Nodes and edges.
            dropout_key: A step's key, for training; without it nothing is dropped.
        """
        spec = self.spec
        neighbours = LocalNeighbourhood(plan=graph.plan, backend=spec.backend)
        current = graph.graph
        for number in range(spec.num_layers):
            nodes = jax.nn.relu(current.nodes) if number else current.nodes
            if dropout_key is not None:
                key = jax.random.fold_in(dropout_key, number)
                nodes = dropout(nodes, key=key, rate=spec.dropout)
            current = self._layer(number)(
                current._replace(nodes=nodes), neighbours=neighbours
            )
        return current.nodes

    def penalty(self) -> jax.Array:
        """(), half the squared norm of the first layer alone, as published."""
        first = self._layer(0)
        return 0.5 * (jnp.sum(first.kernel[...] ** 2) + jnp.sum(first.bias[...] ** 2))

    def _layer(self, number: int) -> GCNLayer:
        layer: GCNLayer = getattr(self, f"gcn_{number}")
        return layer


def create_classifier(
    spec: NodeClassifierSpec, *, seed: int
) -> tuple[nnx.GraphDef[NodeClassifier], dict]:
    """A model's definition and its initial parameters, a pure dict of arrays."""
    model = NodeClassifier(spec, rngs=nnx.Rngs(seed))
    definition, params, rest = nnx.split(model, nnx.Param, ...)  # type: ignore[misc]
    assert not jax.tree.leaves(rest), "modules hold parameters alone"
    return definition, nnx.to_pure_dict(params)
