"""The families of encoders that there are, by Hugging Face's `model_type`."""

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llmgnn_jax.text.encoders.bert_config import BertConfig, BertFamily
from llmgnn_jax.text.encoders.model import EncoderConfig
from llmgnn_jax.text.pretrained.bert_names import bert_names, plain_bert_name


@dataclass(frozen=True, kw_only=True)
class Family:
    """How checkpoints of an architecture are read.

    Attributes:
        read: The values of config.json -> the shape.
        names: The shape -> our parameters' paths and Hugging Face's names.
        plain: A stored name -> the one in the table; None for what is not read.
    """

    read: Callable[[Mapping[str, Any]], EncoderConfig]
    names: Callable[[Any], dict[str, str]]
    plain: Callable[[str], str | None]


_BERT = Family(read=BertConfig.from_values, names=bert_names, plain=plain_bert_name)

FAMILIES: dict[str, Family] = dict.fromkeys(typing.get_args(BertFamily), _BERT)


def family_of(config: EncoderConfig) -> Family:
    """The family of a shape."""
    return FAMILIES[config.family]
