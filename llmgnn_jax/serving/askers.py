"""The vectors of who asks without having been trained on: D is their width."""

import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.newcomers import fold_in_users
from llmgnn_jax.text.interface import refusing_bad_weights
from llmgnn_jax.training.trained import TrainedModel


def newcomer_vector(
    model: TrainedModel, features: Features, liked: np.ndarray
) -> np.ndarray:
    """(D,) of someone new who likes these items, by one propagation and their texts.

    Args:
        model: Who recommends.
        features: What it reads, with all items that there are.
        liked: Numbers of items.
    """
    folded = fold_in_users(model.scorer, model.params, features, histories=[liked])
    return folded[0]


def reader_vector(model: TrainedModel, text: str) -> np.ndarray:
    """(D,) of someone who says in words what is looked for.

    Raises:
        UserError: For a model without a text side, or no words.
    """
    encoder = model.encoder
    if encoder is None or not model.scorer.spec.uses_text:
        raise UserError.field(
            "text",
            expected="a model with a text side",
            got=f"the model {model.name!r}",
            fix="choose --model fused or text",
        )
    if not text.strip():
        raise UserError.field("text", expected="some words", got="none")
    with refusing_bad_weights():
        vector = encoder.encode([text])
    return np.asarray(model.scorer.text_vectors(model.params, vector))[0]
