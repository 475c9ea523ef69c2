"""Models that say something of each node of a graph.

    graph   Z = message passing over what is known of nodes, down to classes
    text    Z = perceptron over a node's own text vector
    fused   Z = W_o f(g, t) + b_o: g message passing over both, t the perceptron,
            f a fusion of `models.fusion`

What is known of nodes are their features; where there are none, for `graph` alone,
which node it is (X = I: the first matrix is then a table of node vectors). The fused
model sends text vectors over the edges: its first layer is one of the texts, plus one
of the features where there are any.

Shapes: N nodes, F features, T text width, D hidden width, C classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from llmgnn_jax.config import Config, ModelName
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.layers import GATLayer, GCNLayer, SAGELayer
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood
from llmgnn_jax.graph.sparse_features import SparseFeatures
from llmgnn_jax.graph.transductive import TransductiveGraph
from llmgnn_jax.models.dropout import dropout, dropout_of_rows
from llmgnn_jax.models.fusion import FUSIONS

LAYERS: dict[str, Any] = {"gcn": GCNLayer, "sage": SAGELayer, "gat": GATLayer}

# Keys of dropout: layers of the graph side count from 0, those of texts from here.
_OF_TEXTS = 2**16
_OF_HEAD = 2**17


@dataclass(frozen=True, kw_only=True)
class NodeClassifierSpec:
    """Which model: all that decides on shapes and layers.

    Attributes:
        num_features: F; N where nodes are known by their number; 0 where texts alone
            are sent over the edges.
        hidden_dim: D.
        num_classes: C.
        num_layers: Rounds of message passing.
        dropout: Share of each layer's input that is dropped in training.
        backend: Which kernel.
        sides: "graph", "text", or "fused" for both.
        layer: A key of `LAYERS`.
        text_dim: T; 0 for a model of the graph alone.
        text_layers: Depth of the perceptron.
        fusion: Its kind, a key of `FUSIONS`.
        activation: sigma of the fusion.
    """

    num_features: int
    hidden_dim: int
    num_classes: int
    num_layers: int
    dropout: float
    backend: Backend
    sides: ModelName = "graph"
    layer: str = "gcn"
    text_dim: int = 0
    text_layers: int = 2
    fusion: str = "concat"
    activation: str = "relu"

    @classmethod
    def of(
        cls,
        config: Config,
        name: ModelName,
        *,
        num_features: int,
        text_dim: int,
        num_classes: int,
        backend: Backend,
    ) -> "NodeClassifierSpec":
        """A model of a configuration, for features, texts and classes so wide."""
        return cls(
            num_features=num_features,
            hidden_dim=config.graph.embedding_dim,
            num_classes=num_classes,
            num_layers=config.graph.num_layers,
            dropout=config.node.dropout,
            backend=backend,
            sides=name,
            layer=config.graph.layer,
            text_dim=0 if name == "graph" else text_dim,
            text_layers=config.node.text_layers,
            fusion=config.fusion.kind,
            activation=config.fusion.activation,
        )

    def widths(self, first: int, layers: int) -> list[int]:
        """Of a side's layers, from its input to what it gives."""
        last = self.hidden_dim if self.sides == "fused" else self.num_classes
        return [first, *[self.hidden_dim] * (layers - 1), last]


class NodeClassifier(nnx.Module):
    """A node classifier; with "graph" and "gcn", Z = A_hat relu(A_hat X W_0) W_1.

    Kipf and Welling 2017, eq. 9, before the softmax; with biases, and of any depth.

    Args:
        spec: Which model.
        rngs: For the initial parameters.
    """

    fusion: Any
    head: Any
    null_text: Any
    text_0: Any

    def __init__(self, spec: NodeClassifierSpec, *, rngs: nnx.Rngs) -> None:
        self.spec = spec
        if spec.sides != "text":
            widths = spec.widths(spec.num_features, spec.num_layers)
            for number in range(0 if spec.num_features else 1, spec.num_layers):
                layer = LAYERS[spec.layer](
                    widths[number], widths[number + 1], rngs=rngs
                )
                setattr(self, f"{spec.layer}_{number}", layer)
        if spec.sides != "graph":
            widths = spec.widths(spec.text_dim, spec.text_layers)
            for number in range(spec.text_layers):
                dense = _dense(widths[number], widths[number + 1], rngs)
                setattr(self, f"text_{number}", dense)
            self.null_text = nnx.Param(jnp.zeros(spec.text_dim))
        if spec.sides == "fused":
            width = spec.widths(spec.text_dim, spec.num_layers)[1]
            self.sent_text = LAYERS[spec.layer](spec.text_dim, width, rngs=rngs)
            self.fusion = FUSIONS[spec.fusion](
                spec.hidden_dim, activation=spec.activation
            )
            self.head = _dense(_fused_width(self.fusion), spec.num_classes, rngs)

    def __call__(
        self, graph: TransductiveGraph, *, dropout_key: jax.Array | None = None
    ) -> jax.Array:
        """(N, C) logits of every node.

        Args:
            graph: Nodes and edges, with texts unless the graph is all that is read.
            dropout_key: A step's key, for training; without it nothing is dropped.
        """
        sides, key = self.spec.sides, dropout_key
        if sides == "graph":
            return self._passed_on(graph, None, key)
        text_NT = self._dropped(self._texts(graph), key, _OF_TEXTS)
        own_ND = self._perceptron(text_NT, key)
        if sides == "text":
            return own_ND
        fused_NM = self.fusion(self._passed_on(graph, text_NT, key), own_ND)
        return self.head(self._dropped(fused_NM, key, _OF_HEAD))

    def penalty(self) -> jax.Array:
        """(), half the squared norm of each side's first layer alone, as published."""
        squares = [
            jnp.sum(leaf**2)
            for layer in self._first_layers()
            for leaf in jax.tree.leaves(nnx.to_pure_dict(nnx.state(layer, nnx.Param)))
        ]
        return 0.5 * sum(squares[1:], squares[0])

    def _first_layers(self) -> Iterator[nnx.Module]:
        if self.spec.sides != "text" and self.spec.num_features:
            yield getattr(self, f"{self.spec.layer}_0")
        if self.spec.sides != "graph":
            yield self.text_0
        if self.spec.sides == "fused":
            yield self.sent_text

    def _texts(self, graph: TransductiveGraph) -> jax.Array:
        """(N, T), the learned null vector where a node has no text."""
        texts = graph.texts
        assert texts is not None, "the run has read texts"
        null_1T = self.null_text[...][None, :]
        return jnp.where(texts.known_N[:, None], texts.vectors_NT, null_1T)

    def _passed_on(
        self,
        graph: TransductiveGraph,
        text_NT: jax.Array | None,
        key: jax.Array | None,
    ) -> jax.Array:
        """(N, D) or (N, C), what the layers of message passing come to."""
        spec, whole = self.spec, graph.graph
        neighbours = LocalNeighbourhood(plan=graph.plan, backend=spec.backend)

        def heard(layer: Any, nodes: Any) -> jax.Array:
            passed: jax.Array = layer(
                whole._replace(nodes=nodes), neighbours=neighbours
            ).nodes
            return passed

        sent = [] if text_NT is None else [heard(self.sent_text, text_NT)]
        if spec.num_features:
            features = self._dropped(whole.nodes, key, 0)
            sent.append(heard(getattr(self, f"{spec.layer}_0"), features))
        nodes = sum(sent[1:], sent[0])
        for number in range(1, spec.num_layers):
            nodes = self._dropped(jax.nn.relu(nodes), key, number)
            nodes = heard(getattr(self, f"{spec.layer}_{number}"), nodes)
        return nodes

    def _perceptron(self, text_NT: jax.Array, key: jax.Array | None) -> jax.Array:
        """(N, D) or (N, C), of texts that were dropped from already."""
        nodes = text_NT
        for number in range(self.spec.text_layers):
            if number:
                nodes = self._dropped(jax.nn.relu(nodes), key, _OF_TEXTS + number)
            nodes = getattr(self, f"text_{number}")(nodes)
        return nodes

    def _dropped(self, nodes: Any, key: jax.Array | None, number: int) -> Any:
        if key is None:
            return nodes
        key = jax.random.fold_in(key, number)
        by_entry = self.spec.sides == "graph" or isinstance(nodes, SparseFeatures)
        draw = dropout if by_entry else dropout_of_rows
        return draw(nodes, key=key, rate=self.spec.dropout)


def _dense(in_dim: int, out_dim: int, rngs: nnx.Rngs) -> nnx.Linear:
    init = nnx.initializers.glorot_uniform()
    return nnx.Linear(in_dim, out_dim, kernel_init=init, rngs=rngs)


def _fused_width(fusion: Any) -> int:
    """How wide what a fusion gives is."""
    side_1D = jax.ShapeDtypeStruct((1, fusion.dim), jnp.float32)
    return int(jax.eval_shape(fusion, side_1D, side_1D).shape[1])


def create_classifier(
    spec: NodeClassifierSpec, *, seed: int
) -> tuple[nnx.GraphDef[NodeClassifier], dict]:
    """A model's definition and its initial parameters, a pure dict of arrays."""
    model = NodeClassifier(spec, rngs=nnx.Rngs(seed))
    definition, params, rest = nnx.split(model, nnx.Param, ...)  # type: ignore[misc]
    assert not jax.tree.leaves(rest), "modules hold parameters alone"
    return definition, nnx.to_pure_dict(params)
