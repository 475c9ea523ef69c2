"""Llamas in GGUF files, llama.cpp's format, quantised or not.

The package `gguf` reads them: the optional extra of that name. The format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

Shapes are Hugging Face's: kernels are (outputs, inputs).
"""

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.rope import Rope
from llmgnn_jax.text.pretrained.decoder_names import GGUF_LM_HEAD, GGUF_ROPE_FACTORS
from llmgnn_jax.text.pretrained.tensors import Tensors, gguf_file

# Types that `gguf` turns into float32.
_FLOATS = (
    *("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"),
    *("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
)
# Whose rows llama.cpp has in the order of its own rotation.
_PERMUTED = re.compile(r"blk\.\d+\.attn_(q|k)\.(weight|bias)\Z")

# What files say -> the shape's names.
_SIZES = {
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "feed_forward_length": "intermediate_size",
    "context_length": "max_position_embeddings",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
_SPECIAL = {
    "tokenizer.ggml.bos_token_id": "bos_token_id",
    "tokenizer.ggml.eos_token_id": "eos_token_id",
    "tokenizer.ggml.padding_token_id": "pad_token_id",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class GgufFile:
    """An open file.

    Attributes:
        path: Where it is.
        fields: What it says: key -> number, text or list.
        tensors: What it holds, by llama.cpp's names.
    """

    path: Path
    fields: Mapping[str, Any]
    tensors: "GgufTensors"

    @property
    def config(self) -> DecoderConfig:
        """The shape, without a head of its own.

        Raises:
            UserError: If a key is missing, or it is no llama that is supported.
        """
        try:
            return _config(self.fields, self.tensors)
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from error


class GgufTensors(Tensors):
    """As `Tensors`; values are dequantised and rows in Hugging Face's order.

    Args:
        files: Tensor -> what `gguf` says of it.
        heads: "q" and "k" -> H and G.
    """

    def __init__(self, files: dict[str, Any], *, heads: Mapping[str, int]) -> None:
        super().__init__(files)
        self.heads = heads

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(int(size) for size in reversed(self.files[name].shape))

    def is_float(self, name: str) -> bool:
        return self.dtype(name) in _FLOATS

    def dtype(self, name: str) -> str:
        """A tensor's type as GGUF calls it: "Q4_1"."""
        return str(self.files[name].tensor_type.name)

    def read(self, name: str) -> np.ndarray:
        import gguf

        stored = self.files[name]
        values = gguf.dequantize(stored.data, stored.tensor_type)
        values = values.astype(np.float32, copy=False).reshape(self.shape(name))
        if permuted := _PERMUTED.match(name):
            return unpermuted(values, heads=self.heads[permuted[1]])
        return values


def unpermuted(rows: np.ndarray, *, heads: int) -> np.ndarray:
    """A projection's rows from llama.cpp's order to Hugging Face's.

    llama.cpp turns the components (2k, 2k + 1) of a head together, Hugging Face the
    components (k, k + K / 2).

    Args:
        rows: (heads * K, ...).
        heads: H or G.
    """
    pairs = rows.reshape(heads, -1, 2, *rows.shape[1:])
    return pairs.swapaxes(1, 2).reshape(rows.shape)


@contextlib.contextmanager
def open_gguf(path: Path) -> Iterator[GgufFile]:
    """Opens a GGUF file.

    Raises:
        UserError: If it is missing, unreadable, truncated or no GGUF file, or the
            package that reads them is not installed.
    """
    try:
        import gguf
    except ImportError as error:
        raise UserError.field(
            str(path),
            expected="the package gguf, which reads such files",
            got="none",
            fix="pip install 'llmgnn-jax[gguf]'",
        ) from error

    class Reader(gguf.GGUFReader):
        # Its own gives less than it is asked for at the end of a file, and would then
        # count through a damaged length without end.
        def _get(
            self, offset: int, dtype: Any, count: int = 1, override_order: Any = None
        ) -> Any:
            end = int(offset) + np.dtype(dtype).itemsize * int(count)
            if end > len(self.data):
                raise ValueError(f"it ends at byte {len(self.data)}, before {end}")
            return super()._get(offset, dtype, count, override_order)

    try:
        with np.errstate(all="ignore"):
            reader = Reader(path)
            fields = {key: field.contents() for key, field in reader.fields.items()}
    except OSError as error:
        raise UserError.field(
            str(path),
            expected="a GGUF file",
            got=error.strerror or error,
            fix="name a file that is there",
        ) from error
    except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        raise UserError.field(
            str(path),
            expected="a whole GGUF file",
            got=f"an unreadable or truncated one ({error})",
            fix="fetch it again",
        ) from error
    query = fields.get("llama.attention.head_count", 1)
    heads = {"q": query, "k": fields.get("llama.attention.head_count_kv", query)}
    tensors = GgufTensors({each.name: each for each in reader.tensors}, heads=heads)
    yield GgufFile(path=path, fields=fields, tensors=tensors)


@contextlib.contextmanager
def gguf_of(folder: Path) -> Iterator[GgufFile | None]:
    """Opens the GGUF file that a path means; None where `gguf_file` finds none.

    To read one takes seconds, for its tokens: who needs both its tensors and its
    tokenizer opens it once and passes it on.

    Raises:
        UserError: As `gguf_file` and `open_gguf`.
    """
    if (path := gguf_file(folder)) is None:
        yield None
        return
    with open_gguf(path) as file:
        yield file


def _config(fields: Mapping[str, Any], tensors: Tensors) -> DecoderConfig:
    if (architecture := fields.get("general.architecture")) != "llama":
        raise UserError.field(
            "general.architecture",
            expected="'llama' (the one read from GGUF files)",
            got=repr(architecture),
            fix="load the model from its safetensors",
        )
    said = {
        key.removeprefix("llama."): value
        for key, value in fields.items()
        if key.startswith("llama.")
    }
    if missing := [key for key in _SIZES if key not in said]:
        raise UserError.field(
            "llama", expected=f"the keys {', '.join(missing)}", got="none of them"
        )
    read = {name: said[key] for key, name in _SIZES.items()}
    heads, dim = read["num_attention_heads"], read["hidden_size"]
    whole = type(heads) is int and type(dim) is int and heads > 0
    read["num_key_value_heads"] = said.get("attention.head_count_kv", heads)
    default = dim // heads if whole else 2
    read["head_dim"] = said.get("attention.key_length", default)
    positions = read["max_position_embeddings"]
    for key, supported in (
        ("expert_count", 0),
        ("attention.value_length", read["head_dim"]),
        ("rope.dimension_count", read["head_dim"]),
        ("attention.sliding_window", positions),
    ):
        if said.get(key, supported) not in (supported, 0):
            raise UserError.field(
                f"llama.{key}", expected=f"{supported} or none", got=said[key]
            )
    if "vocab_size" in said:
        vocab_size = said["vocab_size"]
    else:
        vocab_size = len(fields.get("tokenizer.ggml.tokens", ()))
    return DecoderConfig(
        **read,
        vocab_size=vocab_size,
        attention_bias="blk.0.attn_q.bias" in tensors.files,
        mlp_bias="blk.0.ffn_gate.bias" in tensors.files,
        rope=_rope(said, tensors, head_dim=read["head_dim"]),
        head="none" if GGUF_LM_HEAD in tensors.files else "tied",
        special_tokens=tuple(
            (name, fields[key]) for key, name in _SPECIAL.items() if key in fields
        ),
    )


def _rope(said: Mapping[str, Any], tensors: Tensors, *, head_dim: int) -> Rope:
    theta = said.get("rope.freq_base", 10_000.0)
    kind = said.get("rope.scaling.type", "none")
    factor = said.get("rope.scaling.factor", said.get("rope.scale_linear", 1.0))
    if kind not in ("none", "linear"):
        raise UserError.field(
            "llama.rope.scaling.type", expected="'none' or 'linear'", got=repr(kind)
        )
    if GGUF_ROPE_FACTORS not in tensors.files:
        if kind == "linear":
            return Rope(rope_theta=theta, rope_type="linear", factor=factor)
        return Rope(rope_theta=theta)
    # Llama 3.1 and 3.2 leave what each frequency is divided by, not how it was found.
    divisors = tensors.read(GGUF_ROPE_FACTORS)
    plain = Rope(rope_theta=theta)
    found = dataclasses.replace(plain, rope_type="llama3", factor=divisors.max().item())
    ours = plain.frequencies(head_dim) / found.frequencies(head_dim)
    if ours.shape != divisors.shape or not np.allclose(ours, divisors, rtol=1e-3):
        raise UserError.field(
            GGUF_ROPE_FACTORS,
            expected="those of Llama 3.1 or 3.2",
            got="others",
            fix="load the model from its safetensors",
        )
    return found
