"""The shape of a BERT encoder, as Hugging Face's config.json gives it."""

import dataclasses
import json
from pathlib import Path

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.activations import ACTIVATIONS


@dataclasses.dataclass(frozen=True, kw_only=True)
class BertConfig:
    """What fixes an encoder's shape; the names are those of Hugging Face's config.json.

    Attributes:
        vocab_size: V.
        hidden_size: D.
        num_hidden_layers: Number of Transformer blocks.
        num_attention_heads: H; divides D.
        intermediate_size: F.
        max_position_embeddings: P, the longest row in tokens.
        type_vocab_size: T.
        layer_norm_eps: Added to the variance in each norm.
        hidden_act: A key of `ACTIVATIONS`.

    Raises:
        UserError: If a size is below 1, H does not divide D, or the activation is
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

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is int and (type(value) is not int or value < 1):
                raise UserError.field(
                    field.name, expected="a whole number from 1", got=repr(value)
                )
        if self.hidden_size % self.num_attention_heads:
            raise UserError.field(
                "num_attention_heads",
                expected=f"a divisor of hidden_size {self.hidden_size}",
                got=self.num_attention_heads,
            )
        if self.hidden_act not in ACTIVATIONS:
            raise UserError.field(
                "hidden_act",
                expected=f"one of {', '.join(ACTIVATIONS)}",
                got=repr(self.hidden_act),
            )
        if not isinstance(self.layer_norm_eps, float) or self.layer_norm_eps <= 0:
            raise UserError.field(
                "layer_norm_eps",
                expected="a number above 0",
                got=repr(self.layer_norm_eps),
            )

    @classmethod
    def from_json(cls, path: Path) -> "BertConfig":
        """Reads Hugging Face's config.json.

        Raises:
            UserError: If the file is absent or is no JSON object, a key is missing, or
                it describes what this encoder is not: another `model_type`, relative
                positions, a decoder.
        """
        try:
            values = json.loads(path.read_bytes())
        except OSError as error:
            raise UserError.field(
                str(path),
                expected="the encoder's config.json",
                got=error.strerror,
                fix="name a folder in Hugging Face's layout",
            ) from error
        except ValueError as error:
            raise UserError.field(
                str(path), expected="JSON", got=f"text that is none ({error})"
            ) from error
        if not isinstance(values, dict):
            raise UserError.field(
                str(path), expected="a JSON object", got=type(values).__name__
            )
        for key, supported, default in (
            ("model_type", "bert", None),
            ("position_embedding_type", "absolute", "absolute"),
            ("is_decoder", False, False),
        ):
            if values.get(key, default) != supported:
                raise UserError.field(
                    f"{path}: {key}",
                    expected=f"{supported!r} (the one supported)",
                    got=repr(values.get(key)),
                )
        fields = dataclasses.fields(cls)
        missing = [
            field.name
            for field in fields
            if field.default is dataclasses.MISSING and field.name not in values
        ]
        if missing:
            raise UserError.field(
                str(path), expected=f"the keys {', '.join(missing)}", got="none of them"
            )
        known = {f.name: values[f.name] for f in fields if f.name in values}
        try:
            return cls(**known)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
