"""Small decoders of random weights."""

from typing import Any

import jax
import numpy as np

from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.model import EncoderModel, initialise
from llmgnn_jax.text.generation.loop import Decoded, decode
from llmgnn_jax.text.generation.model import Prompt
from llmgnn_jax.text.generation.sampling import SamplingOptions

TINY = DecoderConfig(
    vocab_size=70,
    hidden_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    intermediate_size=48,
    max_position_embeddings=128,
)
# What sets the families apart, and sizes that fill no panel.
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama, own head": {"head": "own", "attention_bias": True, "mlp_bias": True},
    "qwen2": {"family": "qwen2"},
    "qwen3": {"family": "qwen3", "head_dim": 24, "num_key_value_heads": 4},
    "gemma": {
        "family": "gemma",
        "hidden_act": "gelu_pytorch_tanh",
        "num_key_value_heads": 1,
        "head_dim": 16,
    },
}


def noisy(config: DecoderConfig, seed: int = 0) -> EncoderModel:
    """Weights that are far from linear, and biases that are not 0."""
    model, random = initialise(config, seed=seed), np.random.default_rng(seed)
    return model._replace(
        params=jax.tree.map(
            lambda leaf: leaf + 0.3 * random.normal(size=leaf.shape).astype("f4"),
            model.params,
        )
    )


def greedy(
    model: Any, params: Any, prompt: Prompt, new: int, *, stop_ids: tuple[int, ...] = ()
) -> Decoded:
    """The likeliest tokens."""
    return decode(
        model,
        params,
        prompt,
        options=SamplingOptions(),
        max_new_tokens=new,
        stop_ids=stop_ids,
        key=jax.random.key(0),
    )
