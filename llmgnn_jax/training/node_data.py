"""From a configuration to labelled nodes on the device.

Shapes: N nodes, T nodes of the train part.
"""

import dataclasses
import functools
import logging
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.config import Config, replace
from llmgnn_jax.data import catalog
from llmgnn_jax.data.memory import Held
from llmgnn_jax.data.node_dataset import LabelledNodes, NodeSplit, NodeTrainSplit
from llmgnn_jax.data.node_splits import NodeSizes
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.aggregate import (
    Backend,
    checked_backend,
    resolve_backend,
)
from llmgnn_jax.graph.transductive import (
    NodeTexts,
    TransductiveGraph,
    build_transductive,
)
from llmgnn_jax.text.store import EncodeReport
from llmgnn_jax.training.node_texts import (
    check_texts,
    encode_texts,
    encoding_records,
    run_encoder,
)

logger = logging.getLogger(__name__)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["graph", "nodes_T", "labels_T"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class NodeTrainData:
    """All that a step reads, on the device; an argument, never a captured constant.

    Attributes:
        graph: Every node and edge, and texts where a model reads them.
        nodes_T: (T,) int32, the nodes of the train part.
        labels_T: (T,) int32, their classes.
    """

    graph: TransductiveGraph
    nodes_T: jax.Array
    labels_T: jax.Array


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedNodes:
    """A run's nodes, ready to train on.

    Attributes:
        config: With `auto` replaced by what it chose.
        split: The data and which labels are held out.
        train: The graph and the labels of the train part.
        valid: The nodes to be classified in the validation part.
        data: On the device; made from `train` alone.
        encoded: What encoding texts took; None where no model reads them.
    """

    config: Config
    split: NodeSplit
    train: NodeTrainSplit
    valid: LabelledNodes
    data: NodeTrainData
    encoded: EncodeReport | None = None

    @property
    def backend(self) -> Backend:
        """The aggregation kernel that the run uses."""
        return checked_backend(self.config.graph.backend)

    @property
    def data_hash(self) -> str:
        """Of all that it is trained on."""
        return self.split.split_hash

    def records(self) -> list[dict[str, Any]]:
        """What preparing took, as lines of `metrics.jsonl`."""
        return encoding_records(self.encoded)


def prepare_nodes(config: Config, *, dataset: Held | None = None) -> PreparedNodes:
    """Reads, hides labels, encodes and builds; writes only to the cache of vectors.

    Args:
        config: Of the run.
        dataset: What is in memory, where its source says so (`data.memory`).

    Raises:
        UserError: For an unknown source, data that do not hold together, none to
            validate and to test on, no texts where a model reads them, or an encoder
            that cannot be read.
    """
    node = config.node
    split = catalog.load_nodes(
        config.data.source,
        rule=config.data.split,
        seed=config.seed,
        sizes=NodeSizes(
            valid=node.valid_size,
            test=node.test_size,
            train_per_class=node.train_per_class,
        ),
        dataset=dataset,
    )
    train, valid = split.training(), split.held_out("valid")
    nodes = split.dataset
    if not len(valid.nodes) or not len(split.test):
        raise UserError.field(
            f"data.source {config.data.source!r}",
            expected="labelled nodes to validate and to test on",
            got=f"{len(valid.nodes)} and {len(split.test)}",
        )
    logger.info(
        "%s: %d nodes, %d edges, %d features, %d classes (%d labels to train on)",
        nodes.name,
        nodes.num_nodes,
        nodes.num_edges,
        nodes.num_features,
        nodes.num_classes,
        len(train.train),
    )
    config, graph = _graph(config, train)
    encoded = None
    if config.models != ("graph",):
        texts, encoded = _texts(config, train)
        graph = dataclasses.replace(graph, texts=texts)
    data = NodeTrainData(
        graph=graph,
        nodes_T=jnp.asarray(train.train.astype(np.int32)),
        labels_T=jnp.asarray(train.labels[train.train]),
    )
    return PreparedNodes(
        config=config,
        split=split,
        train=train,
        valid=valid,
        data=data,
        encoded=encoded,
    )


def _texts(config: Config, train: NodeTrainSplit) -> tuple[NodeTexts, EncodeReport]:
    """Vectors of the nodes' texts, frozen, from the store where they were encoded."""
    texts = list(train.texts or ())
    check_texts(config, texts, of="nodes")
    encoder = run_encoder(config, texts)
    vectors, encoded = encode_texts(texts, encoder, label="texts")
    logger.info("texts: %d encoded, %d from the store", encoded.encoded, encoded.reused)
    known = np.array([bool(text.strip()) for text in texts])
    texts_on_device = NodeTexts(
        vectors_NT=jnp.asarray(vectors), known_N=jnp.asarray(known)
    )
    return texts_on_device, encoded


def _graph(config: Config, train: NodeTrainSplit) -> tuple[Config, TransductiveGraph]:
    """The graph, and the configuration with the backend that its edges go through."""
    build = functools.partial(
        build_transductive, train, normalisation=config.node.normalisation
    )
    plan = build(backend="segment").plan
    backend = resolve_backend(
        config.graph.backend, plan, width=config.graph.embedding_dim
    )
    return replace(config, **{"graph.backend": backend}), build(backend=backend)
