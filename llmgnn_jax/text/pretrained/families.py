"""The families of encoders that there are, by Hugging Face's `model_type`."""

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any

from llmgnn_jax.text.encoders.bert_config import BertConfig, BertFamily
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig, DecoderFamily
from llmgnn_jax.text.encoders.model import EncoderConfig
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

FAMILIES: dict[str, Family] = {
    **dict.fromkeys(typing.get_args(BertFamily), _BERT),
    **dict.fromkeys(typing.get_args(DecoderFamily), _DECODER),
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
