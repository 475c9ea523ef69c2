"""The optimizer: Adam, with decoupled weight decay where the loss has no penalty; the
table of node vectors may have one of its own."""

import operator
from typing import Any

import jax
import optax

from llmgnn_jax.config import Config
from llmgnn_jax.training.rowwise import scale_by_rowwise_adagrad
from llmgnn_jax.training.state import NODE_TABLE, TEXT_ENCODER, TEXT_PROJECTIONS


def build_optimizer(config: Config) -> optax.GradientTransformation:
    """Adam; `weight_decay` acts on the text projection, or both of them, alone.

    Node vectors and the fusion have penalties of their own in the loss. The step size
    is `learning_rate * 0.5 ** (step / half_life)`, and `fusion.learning_rate_scale` of
    that for the fusion; a trained text encoder starts at `text.learning_rate`. With
    `table_optimizer` "rowwise_adagrad" the node vectors go by that one, from
    `table_learning_rate` on, and have no moments.
    """
    train = config.train
    adam = optax.chain(
        optax.adamw(
            _halving(train.learning_rate, train.half_life),
            weight_decay=train.weight_decay,
            mask=_decayed,
        ),
        optax.masked(optax.scale(config.fusion.learning_rate_scale), _fused),
        optax.masked(
            optax.scale(config.text.learning_rate / train.learning_rate), _of_encoder
        ),
    )
    if train.table_optimizer == "adam":
        return adam
    adagrad = optax.chain(
        scale_by_rowwise_adagrad(),
        optax.scale_by_learning_rate(
            _halving(train.table_learning_rate, train.half_life)
        ),
    )
    return optax.chain(optax.masked(adam, _not_table), optax.masked(adagrad, _table))


def _halving(rate: float, half_life: int) -> float | optax.Schedule:
    """`rate * 0.5 ** (step / half_life)`; the rate itself where that is 0."""
    return optax.exponential_decay(rate, half_life, 0.5) if half_life else rate


def _decayed(params: Any) -> Any:
    """Whether weight decay acts on each parameter; a tree of bools."""
    return _whose_path_starts(TEXT_PROJECTIONS, params)


def _fused(params: Any) -> Any:
    """Whether each parameter is the fusion's; a tree of bools."""
    return _whose_path_starts(("fusion",), params)


def _of_encoder(params: Any) -> Any:
    """Whether each parameter is the text encoder's; a tree of bools."""
    return _whose_path_starts((TEXT_ENCODER,), params)


def _table(params: Any) -> Any:
    """Whether each parameter is the table of node vectors; a tree of bools."""
    return _whose_path_starts((NODE_TABLE,), params)


def _not_table(params: Any) -> Any:
    return jax.tree.map(operator.not_, _table(params))


def _whose_path_starts(first: tuple[str, ...], params: Any) -> Any:
    def matches(path: tuple, _: Any) -> bool:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return name.partition("/")[0] in first

    return jax.tree_util.tree_map_with_path(matches, params)
