"""How likely given continuations of prompts are.

Shapes: B rows, L tokens, V vocabulary.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from llmgnn_jax.text.generation.model import GenerativeModel, Prompt


@dataclass(frozen=True, kw_only=True)
class TokenLikelihood:
    """Of a continuation.

    Attributes:
        total: The sum of its tokens' log-probabilities, each after those before it.
        tokens: How many there are.
    """

    total: float
    tokens: int


def token_log_probabilities(
    model: GenerativeModel, params: Any, prompt: Prompt
) -> jax.Array:
    """(B, L) float32 log-probabilities of each token after those before it.

    That of the first token is 0, as that of padding: nothing is before it, or only soft
    tokens, after which it is not asked for. Has gradients, as `all_logits` has.
    """
    logits_BLV = model.all_logits(params, prompt)[:, :-1]
    ids_BL1 = prompt.ids_BL[:, 1:, None]
    chosen_BL = jnp.take_along_axis(logits_BLV, ids_BL1, axis=-1)[..., 0]
    found_BL = chosen_BL - jax.nn.logsumexp(logits_BLV, axis=-1)
    places = jnp.arange(1, prompt.ids_BL.shape[1])[None, :]
    found_BL = jnp.where(places < prompt.lengths_B[:, None], found_BL, 0.0)
    return jnp.pad(found_BL, ((0, 0), (1, 0)))


@functools.partial(jax.jit, static_argnames="model")
def continuation_log_probabilities(
    model: GenerativeModel, params: Any, prompt: Prompt, starts_B: jax.Array
) -> jax.Array:
    """(B,) float32 log-probability of what stands at places `starts_B` and after."""
    found_BL = token_log_probabilities(model, params, prompt)
    places = jnp.arange(prompt.ids_BL.shape[1])[None, :]
    return jnp.where(places >= starts_B[:, None], found_BL, 0.0).sum(axis=-1)
