"""`Pupil`: a decoder that is told of a user and an item, and what it is taught.

Either a language model, which stays as it is, with an adapter that is trained; or a
small decoder, which is trained too.

Shapes: B rows, L tokens, N reviews, C width of what is told of a pair, P soft tokens, D
width of the decoder.
"""

import copy
import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from llmgnn_jax.speaking.adapter import Adapter
from llmgnn_jax.speaking.lessons import Lesson, Lessons
from llmgnn_jax.text.generation.generator import TextGenerator
from llmgnn_jax.text.generation.likelihood import (
    continuation_log_probabilities,
    token_log_probabilities,
)
from llmgnn_jax.text.generation.model import GenerativeModel, Prompt
from llmgnn_jax.text.generation.small.pieces import PieceTokenizer

Params: TypeAlias = dict[str, Any]
"""Nested dict with names as keys and arrays as leaves."""

ADAPTER, DECODER = "adapter", "decoder"
"""What is trained: keys of `Pupil.trained`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pupil:
    """A decoder and what tells it of whom and what it speaks.

    Attributes:
        generator: The decoder with its tokenizer.
        adapter: Tells it; None where it is told nothing.
        trained: The parameters that are trained: "adapter" where there is one, and
            "decoder" where the decoder is trained, whose parameters they are then.
        pieces: What a small decoder speaks in; None for a language model, which is
            prompted with what is known in words. Others' prompts are empty.
    """

    generator: TextGenerator
    adapter: Adapter | None
    trained: Params
    pieces: PieceTokenizer | None = None

    @property
    def model(self) -> GenerativeModel:
        """The decoder."""
        return self.generator.model

    @property
    def trains_decoder(self) -> bool:
        """Whether the decoder is trained."""
        return DECODER in self.trained

    @property
    def params(self) -> Any:
        """The decoder's parameters."""
        return self.trained.get(DECODER, self.generator.params)

    def taught(self, trained: Params) -> "Pupil":
        """The same with other trained parameters."""
        return dataclasses.replace(self, trained=trained)

    def unadapted(self) -> "Pupil":
        """The decoder alone, told nothing but the prompt."""
        trained = {DECODER: self.trained[DECODER]} if self.trains_decoder else {}
        return dataclasses.replace(self, adapter=None, trained=trained)

    def prompts(self, known: Sequence[str]) -> list[str]:
        """What it is prompted with, of what is known in words."""
        return list(known) if self.pieces is None else [""] * len(known)

    def speaks(self) -> TextGenerator:
        """What generates with the parameters as they are now."""
        generator = copy.copy(self.generator)
        generator.params = self.params
        return generator

    def soft_tokens(self, vectors_BC: np.ndarray) -> jax.Array | None:
        """(B, P, D) of pairs; None where it is told nothing."""
        if self.adapter is None:
            return None
        return _soft(self.adapter, self.trained[ADAPTER], jnp.asarray(vectors_BC))

    def scores(self, lessons: Lessons, *, rows: int) -> np.ndarray:
        """(N,) log-probabilities of the reviews, all of their tokens together."""
        found = np.zeros(len(lessons.prompts))
        for numbers, lesson in lessons.in_turn(rows=rows):
            prompt = Prompt(
                jnp.asarray(lesson.ids_BL),
                jnp.asarray(lesson.lengths_B),
                self.soft_tokens(lesson.vectors_BC),
            )
            sums_B = continuation_log_probabilities(
                self.model, self.params, prompt, jnp.asarray(lesson.starts_B)
            )
            found[numbers] = np.asarray(sums_B)[: len(numbers)]
        return found


@functools.partial(jax.jit, static_argnames="adapter")
def _soft(adapter: Adapter, params: Params, vectors_BC: jax.Array) -> jax.Array:
    return adapter(params, vectors_BC)


@functools.partial(
    jax.jit,
    static_argnames=("model", "adapter", "optimizer"),
    donate_argnames=("trained", "moments"),
)
def step(
    model: GenerativeModel,
    adapter: Adapter | None,
    optimizer: optax.GradientTransformation,
    trained: Params,
    frozen: Any,
    moments: Any,
    lesson: Lesson,
) -> tuple[Params, Any, jax.Array]:
    """One step of what is trained.

    Args:
        model: The decoder.
        adapter: Or None.
        optimizer: Of the trained parameters.
        trained: See `Pupil.trained`.
        frozen: The decoder's parameters where it is not trained, else None.
        moments: The optimizer's state.
        lesson: What is learned from.

    Returns:
        The trained parameters, the state, and the mean loss of a token in nats.
    """

    ids_BL, lengths_B, starts_B, vectors_BC = map(jnp.asarray, lesson)

    def loss(trained: Params) -> jax.Array:
        soft_BPD = None
        if adapter is not None:
            soft_BPD = adapter(trained[ADAPTER], vectors_BC)
        prompt = Prompt(ids_BL, lengths_B, soft_BPD)
        found_BL = token_log_probabilities(model, trained.get(DECODER, frozen), prompt)
        places = jnp.arange(found_BL.shape[1])[None, :]
        counts_BL = (places >= starts_B[:, None]) & (places < lengths_B[:, None])
        total = jnp.where(counts_BL, found_BL, 0.0).sum()
        return -total / jnp.maximum(counts_BL.sum(), 1)

    value, gradient = jax.value_and_grad(loss)(trained)
    updates, moments = optimizer.update(gradient, moments, trained)
    return optax.apply_updates(trained, updates), moments, value
