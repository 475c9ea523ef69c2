"""Texts of items and users, as vectors laid out over the graph."""

import logging

import numpy as np

from llmgnn_jax.data.dataset import Csr
from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.graph.structure import InteractionGraph
from llmgnn_jax.models.features import TextFeatures, build_text_features
from llmgnn_jax.text.interface import Encoder, refusing_bad_weights
from llmgnn_jax.text.store import (
    EncodeReport,
    StoredVectors,
    VectorStore,
    default_folder,
)
from llmgnn_jax.training.reporting import progress

logger = logging.getLogger(__name__)


def encode_texts(texts: list[str], encoder: Encoder, *, label: str) -> StoredVectors:
    """Vectors of texts, from the store where they were encoded before.

    Returns:
        (len(texts), T) float32 of unit length, and what it took.
    """
    store = VectorStore.open(
        default_folder(), identity=encoder.identity, dim=encoder.dim
    )
    with progress(label, total=len(texts)) as update, refusing_bad_weights():
        return store.encode(
            texts,
            encoder,
            progress=lambda done, total: update(
                len(texts) - total + done, f"{done} of {total} new texts encoded"
            ),
        )


def encoded_features(
    train: TrainSplit,
    history: Csr,
    encoder: Encoder,
    graph: InteractionGraph,
) -> tuple[TextFeatures, EncodeReport]:
    vectors, encoded = encode_texts(node_texts(train), encoder, label="texts")
    logger.info("texts: %d encoded, %d from the store", encoded.encoded, encoded.reused)
    return text_features(train, history, vectors, graph), encoded


def node_texts(train: TrainSplit) -> list[str]:
    """The items' texts, then the users' profile texts where there are any."""
    return [*train.item_texts, *(train.user_texts or ())]


def text_features(
    train: TrainSplit,
    history: Csr,
    vectors: np.ndarray,
    graph: InteractionGraph,
) -> TextFeatures:
    """Lays the vectors of `node_texts` out over the graph."""
    num_items = train.num_items
    return build_text_features(
        item_vectors=vectors[:num_items],
        item_texts=train.item_texts,
        history=history,
        user_vectors=vectors[num_items:] if train.user_texts else None,
        user_texts=train.user_texts,
        user_capacity=graph.user_capacity,
        item_capacity=graph.item_capacity,
    )
