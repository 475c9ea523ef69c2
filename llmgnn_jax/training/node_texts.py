"""Texts of a run: whether they can be read, by what, and as vectors over the graph."""

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np

from llmgnn_jax.config import Config
from llmgnn_jax.data.dataset import Csr
from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.structure import InteractionGraph
from llmgnn_jax.models.features import TextFeatures, build_text_features
from llmgnn_jax.text.from_texts import RANDOM_AT_FIRST
from llmgnn_jax.text.interface import Encoder, refusing_bad_weights
from llmgnn_jax.text.sources import load_text_encoder
from llmgnn_jax.text.store import (
    EncodeReport,
    StoredVectors,
    VectorStore,
    default_folder,
)
from llmgnn_jax.training.reporting import progress

logger = logging.getLogger(__name__)


def check_texts(config: Config, texts: Iterable[str], *, of: str) -> None:
    """Passes only if there are texts for the models, and the encoder need not learn.

    Args:
        config: Of a run in which a model reads texts.
        texts: All of them.
        of: Whose they would be, for the error: "items", "nodes".

    Raises:
        UserError: If all texts are empty, or a frozen encoder is random at first.
    """
    if not any(map(str.strip, texts)):
        raise UserError.field(
            "models",
            expected="graph alone, for data without texts",
            got=" ".join(config.models),
            fix=f"add texts of the {of}, or train --models graph",
        )
    if config.text.mode == "frozen" and config.text.encoder in RANDOM_AT_FIRST:
        raise UserError.field(
            "text.mode",
            expected=f"full with the encoder {config.text.encoder}, whose weights are "
            "random at first",
            got="frozen",
            fix="add --text.mode full, or choose --text.encoder words"
            if config.task == "ranking"
            else "choose --text.encoder words",
        )


def run_encoder(config: Config, texts: list[str]) -> Encoder:
    """The encoder of a run; what learns its words learns them from these texts.

    Raises:
        UserError: As `load_text_encoder`.
    """
    return load_text_encoder(
        config.text.encoder,
        pooling=config.text.pooling,
        head=config.text.head,
        max_length=config.text.max_length,
        dtype=config.text.dtype,
        texts=texts,
        trains=config.text.mode != "frozen",
        seed=config.seed,
    )


def encoding_records(encoded: EncodeReport | None) -> list[dict[str, Any]]:
    """What encoding took, as lines of `metrics.jsonl`; none where nothing was new."""
    if encoded is None or not encoded.encoded:
        return []
    return [
        {
            "model": "encoder",
            "step": 0,
            "texts": encoded.encoded,
            "tokens_per_s": round(encoded.tokens / encoded.seconds, 1),
        }
    ]


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
