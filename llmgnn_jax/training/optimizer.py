"""The optimizer: Adam, with decoupled weight decay where the loss has no penalty."""

from typing import Any

import jax
import optax

from llmgnn_jax.config import TrainConfig


def build_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Adam; `weight_decay` acts on the text projection alone.

    Node vectors and the fusion have penalties of their own in the loss.
    """
    return optax.adamw(
        config.learning_rate, weight_decay=config.weight_decay, mask=_decayed
    )


def _decayed(params: Any) -> Any:
    """Whether weight decay acts on each parameter; a tree of bools."""

    def decayed(path: tuple, _: Any) -> bool:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return name == "text_projection"

    return jax.tree_util.tree_map_with_path(decayed, params)
