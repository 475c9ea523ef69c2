"""The shape of an encoder of the BERT family, from Hugging Face's config.json."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.checks import (
    check_activation,
    check_epsilon,
    check_sizes,
    known_fields,
)

BertFamily: TypeAlias = Literal["bert", "roberta", "xlm-roberta", "distilbert", "mpnet"]
"""Hugging Face's `model_type`."""

# DistilBERT's names -> BERT's.
_DISTILBERT_KEYS = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "hidden_dim": "intermediate_size",
    "activation": "hidden_act",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BertConfig:
    """What fixes an encoder's shape; the names are those of Hugging Face's config.json.

    Attributes:
        vocab_size: V.
        hidden_size: D.
        num_hidden_layers: Number of Transformer blocks.
        num_attention_heads: H; divides D.
        intermediate_size: F.
        max_position_embeddings: P, rows of the table of positions.
        type_vocab_size: T; 0 where there are no token types.
        layer_norm_eps: Added to the variance in each norm.
        hidden_act: A key of `ACTIVATIONS`.
        family: Which member; decides the names in checkpoints.
        position_offset: Where positions start: those before it are never used.
        relative_attention_num_buckets: R; 0 where there are no relative positions.

    Raises:
        UserError: If a size is out of range, H does not divide D, or the activation is
            unknown.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    hidden_act: str = "gelu"
    family: BertFamily = "bert"
    position_offset: int = 0
    relative_attention_num_buckets: int = 0

    def __post_init__(self) -> None:
        may_be_0 = (
            "type_vocab_size",
            "position_offset",
            "relative_attention_num_buckets",
        )
        check_sizes(self, may_be_0=may_be_0)
        if self.hidden_size % self.num_attention_heads:
            raise UserError.field(
                "num_attention_heads",
                expected=f"a divisor of hidden_size {self.hidden_size}",
                got=self.num_attention_heads,
            )
        check_activation(self.hidden_act)
        check_epsilon("layer_norm_eps", self.layer_norm_eps)

    @property
    def max_tokens(self) -> int:
        """Longest row in tokens."""
        return self.max_position_embeddings - self.position_offset

    @property
    def out_features(self) -> int:
        """Width of the token vectors, D."""
        return self.hidden_size

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "BertConfig":
        """Reads the values of a config.json whose `model_type` is a `BertFamily`.

        Raises:
            UserError: If a key is missing, or they describe what this encoder is not:
                relative positions of another kind, a decoder.
        """
        family = values["model_type"]
        for key, supported in (
            ("position_embedding_type", "absolute"),
            ("is_decoder", False),
        ):
            if values.get(key, supported) != supported:
                raise UserError.field(
                    key,
                    expected=f"{supported!r} (the one supported)",
                    got=repr(values.get(key)),
                )
        read = {"family": family, **values}
        if family == "distilbert":
            read |= {
                bert: values[key]
                for key, bert in _DISTILBERT_KEYS.items()
                if key in values
            }
            read |= {"type_vocab_size": 0, "layer_norm_eps": 1e-12}
        elif family != "bert":
            # Positions count from the id of padding, as fairseq has it; MPNet's id is
            # 1 whatever its configuration says.
            padding = 1 if family == "mpnet" else values.get("pad_token_id", 1)
            padding = 1 if padding is None else padding
            read["position_offset"] = padding + 1
        if family == "mpnet":
            read["type_vocab_size"] = 0
            read.setdefault("relative_attention_num_buckets", 32)
        return cls(**known_fields(cls, read))

    def to_values(self) -> dict[str, Any]:
        """What `from_values` reads, for Hugging Face."""
        values = dataclasses.asdict(self)
        offset = values.pop("position_offset")
        values["model_type"] = values.pop("family")
        buckets = values.pop("relative_attention_num_buckets")
        if self.family == "distilbert":
            for key, bert in _DISTILBERT_KEYS.items():
                values[key] = values.pop(bert)
            del values["type_vocab_size"], values["layer_norm_eps"]
        elif self.family != "bert":
            values["pad_token_id"] = offset - 1
        if self.family == "mpnet":
            values["relative_attention_num_buckets"] = buckets
            del values["type_vocab_size"]
        return values
