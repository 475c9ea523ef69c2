"""From a decoder's parameters to those of a `PanelDecoder`, on the host.

Shapes: n layers, F width of the feed-forward layer.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.encoders.model import EncoderModel
from llmgnn_jax.text.generation.panel_decoder import (
    KERNEL_ACTIVATIONS,
    LANES,
    PanelDecoder,
)
from llmgnn_jax.text.generation.panels import in_panels


def takes(config: DecoderConfig) -> bool:
    """Whether a decoder of this shape can be laid out so."""
    return config.hidden_act in KERNEL_ACTIVATIONS and (
        config.intermediate_size % LANES == 0
    )


def laid_out(
    model: EncoderModel, *, dtype: ComputeDtype
) -> tuple[PanelDecoder, dict[str, Any]]:
    """A decoder with its parameters in panels, from those of `encoders.decoder`.

    Args:
        model: With a head, without adapters, of a shape that is taken.
        dtype: What matrices are kept in.
    """
    config, params = model.config, model.params
    assert isinstance(config, DecoderConfig)
    layers = [params[f"layer_{number}"] for number in range(config.num_hidden_layers)]

    def kernels_of(*path: str) -> list[np.ndarray]:
        return [np.asarray(_at(layer, path)["kernel"]) for layer in layers]

    def biases(columns: int, *path: str) -> np.ndarray:
        zeros = np.zeros(columns, np.float32)
        return np.stack(
            [np.asarray(_at(layer, path).get("bias", zeros)) for layer in layers]
        )

    def part(matrices: list[np.ndarray], bias: np.ndarray) -> dict[str, jax.Array]:
        return {
            "panels": in_panels(matrices, dtype=dtype),
            "bias": jnp.asarray(bias),
        }

    def scales(*path: str) -> np.ndarray:
        return np.stack([np.asarray(_at(layer, path)["scale"]) for layer in layers])

    asking = config.num_attention_heads * config.head_dim
    asked = config.num_key_value_heads * config.head_dim
    widths = {"query": asking, "key": asked, "value": asked}
    joined = zip(*(kernels_of("attention", name) for name in widths), strict=True)
    gated = zip(kernels_of("gate"), kernels_of("up"), strict=True)
    wide, offset = config.intermediate_size, config.norm_offset
    norms = np.stack([scales("attention_norm"), scales("mlp_norm")], axis=1) + offset
    head_norms = np.zeros((0,), np.float32)
    if config.head_norms:
        names = ("query_norm", "key_norm")
        head_norms = np.stack([scales("attention", name) for name in names], axis=1)
    words = np.asarray(params["words"])
    of_layers: dict[str, Any] = {
        "norms": jnp.asarray(norms, jnp.float32),
        "head_norms": jnp.asarray(head_norms, jnp.float32),
        "joined": part(
            [np.concatenate(each, axis=1) for each in joined],
            np.concatenate(
                [biases(width, "attention", name) for name, width in widths.items()],
                axis=1,
            ),
        ),
        "output": part(
            kernels_of("attention", "output"),
            biases(config.hidden_size, "attention", "output"),
        ),
        "gated": part(
            [_in_turn(*pair) for pair in gated],
            _in_turn(biases(wide, "gate"), biases(wide, "up")),
        ),
        "down": part(kernels_of("down"), biases(config.hidden_size, "down")),
    }
    own = config.head == "own"
    head = np.asarray(params["lm_head"]["kernel"]) if own else words.T
    found: dict[str, Any] = {
        "layers": of_layers,
        "norm": jnp.asarray(np.asarray(params["norm"]["scale"]) + offset, jnp.float32),
        "head": in_panels([head], dtype=dtype)[0],
    }
    if own:
        found["words"] = jnp.asarray(words, jnp.dtype(dtype))
    return PanelDecoder(config=config, dtype=dtype), found


def _in_turn(gate: np.ndarray, up: np.ndarray) -> np.ndarray:
    """(..., 2 F): 16 columns of the one, 16 of the other, and so on."""
    parts = [one.reshape(*one.shape[:-1], -1, 1, LANES) for one in (gate, up)]
    return np.concatenate(parts, axis=-2).reshape(*gate.shape[:-1], -1)


def _at(layer: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        layer = layer[name]
    return layer
