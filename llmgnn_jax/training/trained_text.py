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

from llmgnn_jax.errors import UserError
from llmgnn_jax.models.features import Features
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.model import Params, declare, with_adapters
from llmgnn_jax.text.fingerprint import params_hash
from llmgnn_jax.text.lora import Adapters, merge_adapters
from llmgnn_jax.text.tokens import row_lengths
from llmgnn_jax.text.trainable import combine, partition, trainable
from llmgnn_jax.training.prepare import Prepared, encode_texts, text_features
from llmgnn_jax.training.text_step import EncoderInputs, EncoderSpec

logger = logging.getLogger(__name__)

# Places for a step's tokens beyond what its texts have on average: few steps have more,
# and their last texts keep the stored vectors.
_SPARE = 1.15


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedText:
    """An encoder that is trained.

    Attributes:
        spec: How it runs in a step.
        start: Its trained parameters before the first step.
        inputs: What else it reads in a step.
        scale: alpha / R of its adapters; None without adapters.
        mean_tokens: Of an item's text.
    """

    spec: EncoderSpec
    start: Params
    inputs: EncoderInputs
    scale: float | None
    mean_tokens: float

    @property
    def tokens_per_step(self) -> int:
        """About how many tokens a step encodes, with padding."""
        return self.spec.places or self.spec.texts * self.inputs.ids_IL.shape[1]

    def encoder(self, trained: Params, prepared: Prepared) -> TextEncoder:
        """The encoder with trained parameters, adapters merged: reads any text."""
        params = combine(trained, self.inputs.frozen)
        if self.scale is not None:
            params = merge_adapters(params, scale=self.scale)
        return _text_encoder(prepared).with_params(params, weights=params_hash(params))

    def features(self, encoder: TextEncoder, prepared: Prepared) -> Features:
        """What a model reads with that encoder's vectors; nothing is stored.

        A step's parameters are never seen again: on disk their vectors would be waste.
        """
        train = prepared.train
        vectors = encoder.encode([*train.item_texts, *(train.user_texts or ())])
        text = text_features(train, prepared.history, vectors, prepared.graph)
        return dataclasses.replace(prepared.features, text=text)

    def stored_features(self, encoder: TextEncoder, prepared: Prepared) -> Features:
        """The same of a finished model: from the store where they were encoded."""
        train = prepared.train
        stored = encode_texts(
            [*train.item_texts, *(train.user_texts or ())], encoder, label="texts"
        )
        text = text_features(train, prepared.history, stored.vectors, prepared.graph)
        return dataclasses.replace(prepared.features, text=text)


def trained_text(prepared: Prepared) -> TrainedText | None:
    """The trained encoder of a run; None where it is frozen.

    Raises:
        UserError: If the encoder cannot be trained, or a pattern matches nothing.
    """
    config = prepared.config
    text = config.text
    if text.mode == "frozen" or prepared.encoder is None:
        return None
    encoder = _text_encoder(prepared)
    model = encoder.model
    scale = None
    dtype = text.dtype
    if text.mode == "lora":
        adapters = Adapters(
            rank=text.lora_rank, alpha=text.lora_alpha, targets=text.lora_targets
        )
        model = with_adapters(
            model, adapters, seed=config.seed, dtype=dtype, remat=text.remat
        )
        scale = adapters.scale
    else:
        declared = declare(model.config, dtype=dtype, remat=text.remat)
        model = model._replace(graphdef=declared.graphdef)
    mask = trainable(model.params, mode=text.mode, freeze=text.freeze)
    start, frozen = partition(model.params, mask)
    if not start:
        raise UserError.field(
            "text.freeze",
            expected="patterns that leave something to train",
            got=" ".join(text.freeze),
            fix="choose --text.mode frozen to train nothing",
        )
    inputs, mean = _inputs(prepared, encoder, frozen)
    texts = min(text.texts_per_step, config.train.batch_size, prepared.train.num_items)
    length = inputs.ids_IL.shape[1]
    places = 0
    if encoder.packs:
        places = max(length, int(np.ceil(_SPARE * mean * texts / 64)) * 64)
    logger.info(
        "text encoder: %s, %d of %d parameters trained, %d texts a step",
        text.mode,
        _size(start),
        _size(start) + _size(frozen),
        texts,
    )
    return TrainedText(
        spec=EncoderSpec(
            graphdef=model.graphdef,
            pooling=encoder.pooling,
            texts=texts,
            places=places,
        ),
        start=start,
        inputs=inputs,
        scale=scale,
        mean_tokens=mean,
    )


def _text_encoder(prepared: Prepared) -> TextEncoder:
    encoder = prepared.encoder
    if not isinstance(encoder, TextEncoder):
        raise UserError.field(
            "text.mode",
            expected=f"frozen with the encoder {prepared.config.text.encoder}",
            got=prepared.config.text.mode,
            fix="train another encoder, such as minilm-l6",
        )
    return encoder


def _inputs(
    prepared: Prepared, encoder: TextEncoder, frozen: Params
) -> tuple[EncoderInputs, float]:
    """The tokens of all items, and how many a text has on average."""
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
        ids[row, : len(tokens)] = tokens
    inputs = EncoderInputs(
        # Copies: those of the encoder serve other models too.
        frozen=jax.tree.map(jnp.copy, frozen),
        ids_IL=jnp.asarray(ids),
        counts_I=jnp.asarray(counts),
    )
    return inputs, float(counts[counts > 0].mean())


def _size(params: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))
