"""The optimizer: Adam, with decoupled weight decay where the loss has no penalty."""

from typing import Any

import jax
import optax

from llmgnn_jax.config import Config
from llmgnn_jax.training.state import TEXT_ENCODER


def build_optimizer(config: Config) -> optax.GradientTransformation:
    """Adam; `weight_decay` acts on the text projection alone.

    Node vectors and the fusion have penalties of their own in the loss. The step size
    is `learning_rate * 0.5 ** (step / half_life)`, and `fusion.learning_rate_scale` of
    that for the fusion; a trained text encoder starts at `text.learning_rate`.
    """
    train = config.train
    rate: float | optax.Schedule = train.learning_rate
    if train.half_life:
        rate = optax.exponential_decay(train.learning_rate, train.half_life, 0.5)
    return optax.chain(
        optax.adamw(rate, weight_decay=train.weight_decay, mask=_decayed),
        optax.masked(optax.scale(config.fusion.learning_rate_scale), _fused),
        optax.masked(
            optax.scale(config.text.learning_rate / train.learning_rate), _of_encoder
        ),
    )


def _decayed(params: Any) -> Any:
    """Whether weight decay acts on each parameter; a tree of bools."""

    return _whose_path_starts("text_projection", params)


def _fused(params: Any) -> Any:
    """Whether each parameter is the fusion's; a tree of bools."""
    return _whose_path_starts("fusion", params)


def _of_encoder(params: Any) -> Any:
    """Whether each parameter is the text encoder's; a tree of bools."""
    return _whose_path_starts(TEXT_ENCODER, params)


def _whose_path_starts(first: str, params: Any) -> Any:
    def matches(path: tuple, _: Any) -> bool:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return name.partition("/")[0] == first

    return jax.tree_util.tree_map_with_path(matches, params)
