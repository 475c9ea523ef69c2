"""The shape of a decoder LLM, from Hugging Face's config.json."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.checks import check_activation, check_epsilon, check_sizes
from llmgnn_jax.text.encoders.rope import Rope

DecoderFamily: TypeAlias = Literal["llama", "mistral", "qwen2", "qwen3", "gemma"]
"""Hugging Face's `model_type`; SmolLM2 is a llama."""

Head: TypeAlias = Literal["none", "tied", "own"]

# What a config.json means that does not say it: Hugging Face's defaults.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "llama": {"max_position_embeddings": 2048},
    "mistral": {"max_position_embeddings": 131_072, "num_key_value_heads": 8},
    "qwen2": {"max_position_embeddings": 32_768},
    "qwen3": {"max_position_embeddings": 32_768, "head_dim": 128},
    "gemma": {
        "max_position_embeddings": 8192,
        "head_dim": 256,
        "hidden_act": "gelu_pytorch_tanh",
        "tie_word_embeddings": True,
    },
}
# Settings that would change the outputs: key -> the one value that is supported.
_SUPPORTED: Mapping[str, Any] = {
    "attn_logit_softcapping": None,
    "final_logit_softcapping": None,
    "use_bidirectional_attention": False,
    "is_causal": True,
}
_REQUIRED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
)
_HAS_ATTENTION_BIAS = ("llama", "qwen3", "gemma")
_NAMES = {"llama": "Llama", "mistral": "Mistral", "gemma": "Gemma"} | {
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
}


SPECIAL_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")
SpecialTokens: TypeAlias = tuple[tuple[str, int | tuple[int, ...] | None], ...]
"""Some of these keys, each with its id, several or None."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """What fixes a decoder's shape; the names are those of Hugging Face's config.json.

    Attributes:
        vocab_size: V.
        hidden_size: D.
        num_hidden_layers: Number of Transformer blocks.
        num_attention_heads: H.
        num_key_value_heads: G; divides H.
        head_dim: K; even.
        intermediate_size: F.
        max_position_embeddings: Longest row in tokens.
        rms_norm_eps: Added to the mean square in each norm.
        hidden_act: A key of `ACTIVATIONS`.
        attention_bias: Whether all four projections of attention have a bias.
        mlp_bias: Whether the three of the feed-forward layer have one.
        rope: Positions.
        head: What turns hidden states into logits: the "tied" table of words, a kernel
            of its "own", or "none", which an encoder needs not.
        family: Which member; decides what its layers have.
        special_tokens: What its files say of ids that begin, end and fill up texts:
            kept for those that read what is saved, and no part of the shape.

    Raises:
        UserError: If a size is out of range, G does not divide H, K is odd, or the
            activation is unknown.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-6
    hidden_act: str = "silu"
    attention_bias: bool = False
    mlp_bias: bool = False
    rope: Rope = dataclasses.field(default_factory=Rope)
    head: Head = "tied"
    family: DecoderFamily = "llama"
    special_tokens: SpecialTokens = dataclasses.field(default=(), compare=False)

    def __post_init__(self) -> None:
        check_sizes(self)
        if self.num_attention_heads % self.num_key_value_heads:
            raise UserError.field(
                "num_key_value_heads",
                expected=f"a divisor of num_attention_heads {self.num_attention_heads}",
                got=self.num_key_value_heads,
            )
        if self.head_dim % 2:
            raise UserError.field(
                "head_dim", expected="an even number", got=self.head_dim
            )
        for name, value in self.special_tokens:
            ids = value if isinstance(value, tuple) else (value,)
            if value is not None and any(type(one) is not int for one in ids):
                raise UserError.field(
                    name, expected="a token's id, or several", got=repr(value)
                )
        check_activation(self.hidden_act)
        check_epsilon("rms_norm_eps", self.rms_norm_eps)

    @property
    def max_tokens(self) -> int:
        """Longest row in tokens."""
        return self.max_position_embeddings

    @property
    def out_features(self) -> int:
        """Width of the token vectors, D."""
        return self.hidden_size

    @property
    def input_bias(self) -> bool:
        """Whether queries, keys and values have a bias."""
        return self.attention_bias or self.family == "qwen2"

    @property
    def head_norms(self) -> bool:
        """Whether the queries and keys of each head are normalised."""
        return self.family == "qwen3"

    @property
    def norm_offset(self) -> float:
        """What is added to the scales of norms."""
        return 1.0 if self.family == "gemma" else 0.0

    @property
    def embedding_scale(self) -> float:
        """What word vectors are multiplied by."""
        return self.hidden_size**0.5 if self.family == "gemma" else 1.0

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "DecoderConfig":
        """Reads the values of a config.json whose `model_type` is a `DecoderFamily`.

        The head is "tied" or "none": who wants a head of its own asks for it.

        Raises:
            UserError: If a key is missing, or they describe what this decoder is not:
                a sliding window, soft caps, positions of another kind.
        """
        family = values["model_type"]
        # JSON's null means the default, too.
        given = {key: value for key, value in values.items() if value is not None}
        if missing := [key for key in _REQUIRED if key not in given]:
            raise UserError.field(
                "config", expected=f"the keys {', '.join(missing)}", got="none of them"
            )
        read = {**_DEFAULTS[family], **given, "family": family}
        _check_supported(given)
        _check_window(values, positions=read["max_position_embeddings"])
        read["rope"] = Rope.from_values(read)
        # As it stands there: transformers reads null, and no such key, differently.
        read["special_tokens"] = tuple(
            (key, tuple(value) if isinstance(value, list) else value)
            for key in SPECIAL_TOKENS
            if (value := values.get(key, key)) != key
        )
        read["head"] = "tied" if read.get("tie_word_embeddings", False) else "none"
        if family == "gemma":
            # The first Gemmas say "gelu", and were trained with its tanh form.
            act = given.get("hidden_activation", read["hidden_act"])
            read["hidden_act"] = "gelu_pytorch_tanh" if act == "gelu" else act
        if family not in _HAS_ATTENTION_BIAS:
            read.pop("attention_bias", None)
        if family != "llama":
            read.pop("mlp_bias", None)
        heads, dim = read["num_attention_heads"], read["hidden_size"]
        read.setdefault("num_key_value_heads", heads)
        # Other than whole numbers are told of when the class checks them.
        whole = type(heads) is int and type(dim) is int and heads > 0
        read.setdefault("head_dim", dim // heads if whole else 2)
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: read[name] for name in names if name in read})

    def to_values(self) -> dict[str, Any]:
        """What `from_values` reads, for Hugging Face."""
        values = dataclasses.asdict(self)
        for name in ("rope", "head", "family", "special_tokens"):
            del values[name]
        if self.family not in _HAS_ATTENTION_BIAS:
            del values["attention_bias"]
        if self.family != "llama":
            del values["mlp_bias"]
        if self.family == "mistral":
            values["sliding_window"] = None
        kind = "Model" if self.head == "none" else "ForCausalLM"
        return {
            "model_type": self.family,
            "architectures": [_NAMES[self.family] + kind],
            "tie_word_embeddings": self.head == "tied",
            **values,
            **self.rope.to_values(),
            **{
                key: list(value) if isinstance(value, tuple) else value
                for key, value in self.special_tokens
            },
        }


def _check_supported(given: Mapping[str, Any]) -> None:
    """Refuses what would change the outputs.

    Raises:
        UserError: For the first such key.
    """
    for key, supported in _SUPPORTED.items():
        if key in given and given[key] != supported:
            raise UserError.field(
                key, expected=f"{supported!r} (the one supported)", got=repr(given[key])
            )
    kinds = {str(kind) for kind in given.get("layer_types", ())}
    if other := sorted(kinds - {"full_attention"}):
        raise UserError.field(
            "layer_types", expected="full_attention alone", got=", ".join(other)
        )


def _check_window(values: Mapping[str, Any], *, positions: object) -> None:
    """Refuses a sliding window that is shorter than the longest row.

    Raises:
        UserError: If there is one.
    """
    window: object = None
    if values["model_type"] == "mistral" or (
        values.get("use_sliding_window")
        and (values.get("max_window_layers", 28) < values["num_hidden_layers"])
    ):
        window = values.get("sliding_window", 4096)
    if isinstance(window, int) and isinstance(positions, int) and window < positions:
        raise UserError.field(
            "sliding_window",
            expected=f"null or at least max_position_embeddings {positions}",
            got=window,
        )


assert _DEFAULTS.keys() == _NAMES.keys() == set(get_args(DecoderFamily))
