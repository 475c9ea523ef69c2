"""The text side of a run whose encoder is trained.

What it starts from, and what its parameters make of the texts.
"""

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.models.features import Features
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.model import Params
from llmgnn_jax.text.length_buckets import row_lengths
from llmgnn_jax.text.lora import merge_adapters
from llmgnn_jax.text.trainable import combine
from llmgnn_jax.training.batch import num_named
from llmgnn_jax.training.encoder_parts import take_apart, trainable_encoder
from llmgnn_jax.training.node_texts import encode_texts, node_texts, text_features
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.text_step import EncoderInputs, EncoderSpec
from llmgnn_jax.training.train_data import popularity_weights, positive_counts

logger = logging.getLogger(__name__)

# Places for a step's tokens beyond what they are on average, in standard deviations:
# few steps have more, and their last texts keep the stored vectors.
_SPARE = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedText:
    """An encoder that is trained.

    Attributes:
        spec: How it runs in a step.
        start: Its trained parameters before the first step.
        inputs: What else it reads in a step.
        scale: alpha / R of its adapters; None without adapters.
        tokens_per_step: About how many a step encodes, without padding.
    """

    spec: EncoderSpec
    start: Params
    inputs: EncoderInputs
    scale: float | None
    tokens_per_step: float

    def encoder(self, trained: Params, prepared: Prepared) -> TextEncoder:
        """The encoder with trained parameters, adapters merged: reads any text."""
        params = combine(trained, self.inputs.frozen)
        if self.scale is not None:
            params = merge_adapters(params, scale=self.scale)
        encoder = trainable_encoder(prepared.encoder, prepared.config)
        return encoder.with_params(params)

    def features(self, encoder: TextEncoder, prepared: Prepared) -> Features:
        """What a model reads with that encoder's vectors; nothing is stored.

        A step's parameters are never seen again: on disk their vectors would be waste.
        """
        return _features(encoder.encode(node_texts(prepared.train)), prepared)

    def stored_features(self, encoder: TextEncoder, prepared: Prepared) -> Features:
        """The same of a finished model: from the store where they were encoded."""
        stored = encode_texts(node_texts(prepared.train), encoder, label="texts")
        return _features(stored.vectors, prepared)


def trained_text(prepared: Prepared) -> TrainedText | None:
    """The trained encoder of a run; None where it is frozen.

    Raises:
        UserError: If the encoder cannot be trained, or a pattern matches nothing.
    """
    config = prepared.config
    if config.text.mode == "frozen":
        return None
    encoder = trainable_encoder(prepared.encoder, config)
    parts = take_apart(encoder, config)
    inputs, counts = _inputs(prepared, encoder, parts.frozen)
    with_text = max(1, int(np.count_nonzero(counts)))
    texts = min(config.text.texts_per_step, num_named(config.train), with_text)
    named = _named(prepared)
    chances = _chances(named, counts, texts=texts)
    places = 0
    # Several programs would each cut other texts off, and a mesh has no kernel for it.
    if encoder.packs and prepared.strategy.devices == 1:
        places = _places(named, counts, texts=texts, length=inputs.ids_IL.shape[1])
    logger.info(
        "text encoder: %s, %d of %d parameters trained, up to %d texts a step",
        config.text.mode,
        _size(parts.trained),
        _size(parts.trained) + _size(parts.frozen),
        texts,
    )
    return TrainedText(
        spec=EncoderSpec(
            graphdef=parts.graphdef,
            readout=encoder.readout,
            texts=texts,
            places=places,
        ),
        start=parts.trained,
        inputs=inputs,
        scale=parts.scale,
        tokens_per_step=config.train.accumulate * float(chances @ counts),
    )


def _features(vectors: np.ndarray, prepared: Prepared) -> Features:
    text = text_features(prepared.train, prepared.history, vectors, prepared.graph)
    return dataclasses.replace(prepared.features, text=text)


def _inputs(
    prepared: Prepared, encoder: TextEncoder, frozen: Params
) -> tuple[EncoderInputs, np.ndarray]:
    """The tokens of all items; and (I,) int32, how many each has."""
    texts = prepared.train.item_texts
    lists = encoder.tokens(texts)
    counts = np.zeros(prepared.graph.item_capacity, np.int32)
    counts[: len(texts)] = [
        len(ids) if text.strip() else 0 for ids, text in zip(lists, texts, strict=True)
    ]
    longest = np.array([max(1, counts.max())])
    length = min(int(row_lengths(longest)[0]), encoder.max_length)
    ids = np.full((len(counts), length), encoder.pad_id, np.int32)
    for row, tokens in enumerate(lists):
        # An item without a text may have tokens, of blanks or special ones.
        ids[row, : counts[row]] = tokens[: counts[row]]
    inputs = EncoderInputs(
        frozen=frozen, ids_IL=jnp.asarray(ids), counts_I=jnp.asarray(counts)
    )
    return inputs, counts


def _named(prepared: Prepared) -> np.ndarray:
    """(I,) how often on average each item is named in a step, or in a part of one.

    Popular items are named more often, and theirs may be the longest texts.
    """
    train, num_items = prepared.config.train, prepared.train.num_items
    size = train.batch_size // train.accumulate
    named = size * positive_counts(prepared) / prepared.history.nnz
    drawn = num_named(train) - size
    if train.negatives == "popularity":
        weights = popularity_weights(prepared)
        named[:num_items] += drawn * weights / weights.sum()
    else:
        named[:num_items] += drawn / num_items
    return named


def _chances(named: np.ndarray, counts: np.ndarray, *, texts: int) -> np.ndarray:
    """(I,) about how likely each item is encoded in a step, or in a part of one."""
    chances = np.where(counts > 0, -np.expm1(-named), 0.0)
    return chances * min(1.0, texts / max(chances.sum(), 1e-9))


def _deviation(named: np.ndarray, counts: np.ndarray, *, texts: int) -> float:
    """The standard deviation of a step's tokens.

    Were items encoded independently, it would be larger by far. But a step draws a
    fixed number of items, and where there are more different ones than may be encoded,
    it encodes a fixed number of texts: the share of the variance that follows from that
    number is not there.
    """
    chances = _chances(named, counts, texts=texts)
    spread = chances * (1.0 - chances)
    variance = spread @ np.square(counts, dtype=float)
    if chances.sum() > texts - 0.5:
        common, of_number = spread @ counts, spread.sum()
    else:
        common, of_number = counts @ (named * np.exp(-named)), named.sum()
    return float(np.sqrt(max(0.0, variance - common**2 / max(of_number, 1e-9))))


def _places(named: np.ndarray, counts: np.ndarray, *, texts: int, length: int) -> int:
    """Places for the tokens of a step: a multiple of 64, never more than can be."""
    chances = _chances(named, counts, texts=texts)
    enough = chances @ counts + _SPARE * _deviation(named, counts, texts=texts)
    most = np.sort(counts)[-texts:].sum()
    return int(np.ceil(max(length, min(enough, most)) / 64)) * 64


def _size(params: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))
