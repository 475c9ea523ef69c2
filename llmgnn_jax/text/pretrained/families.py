"""The families of encoders that there are, by Hugging Face's `model_type`."""

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any

from llmgnn_jax.text.encoders.bert_config import BertConfig, BertFamily
from llmgnn_jax.text.encoders.cnn import CNNConfig
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig, DecoderFamily
from llmgnn_jax.text.encoders.lstm import LSTMConfig
from llmgnn_jax.text.encoders.model import EncoderConfig, declare
from llmgnn_jax.text.encoders.word_vectors import WordVectorsConfig
from llmgnn_jax.text.parameters import flat
from llmgnn_jax.text.pretrained.bert_names import bert_names, plain_bert_name
from llmgnn_jax.text.pretrained.decoder_names import (
    GGUF_LM_HEAD,
    LM_HEAD,
    decoder_names,
    gguf_names,
    plain_decoder_name,
    plain_gguf_name,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """How checkpoints of an architecture are read.

    Attributes:
        read: The values of config.json -> the shape.
        names: The shape -> our parameters' paths and Hugging Face's names.
        plain: A stored name -> the one in the table; None for what is not read.
        optional: Names of what may be there though the shape has no place for it.
    """

    read: Callable[[Mapping[str, Any]], EncoderConfig]
    names: Callable[[Any], dict[str, str]]
    plain: Callable[[str], str | None]
    optional: frozenset[str] = frozenset()


_BERT = Family(read=BertConfig.from_values, names=bert_names, plain=plain_bert_name)

_DECODER = Family(
    read=DecoderConfig.from_values,
    names=decoder_names,
    plain=plain_decoder_name,
    optional=frozenset({LM_HEAD}),
)


def _own_names(config: EncoderConfig) -> dict[str, str]:
    """Encoders that are no one else's: their tensors are called as we call them."""
    return {path: path for path in flat(declare(config).params)}


HUGGING_FACE: dict[str, Family] = {
    **dict.fromkeys(typing.get_args(BertFamily), _BERT),
    **dict.fromkeys(typing.get_args(DecoderFamily), _DECODER),
}
"""Those that Hugging Face's libraries know too."""

FAMILIES: dict[str, Family] = {
    **HUGGING_FACE,
    **{
        config.FAMILY: Family(read=config.from_values, names=_own_names, plain=str)
        for config in (WordVectorsConfig, LSTMConfig, CNNConfig)
    },
}

GGUF = dataclasses.replace(
    _DECODER,
    names=gguf_names,
    plain=plain_gguf_name,
    optional=frozenset({GGUF_LM_HEAD}),
)
"""A llama as GGUF files have it."""


def family_of(config: EncoderConfig) -> Family:
    """The family of a shape."""
    return FAMILIES[config.family]
