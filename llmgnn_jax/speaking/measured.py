"""How well a pupil foresees reviews that it was not taught.

Perplexity goes by the pupil's own tokens. Bits a byte go by the text, so they compare
pupils of different tokens: all are lossless. The end of a text is not counted.

Shapes: N reviews, C width of what is told of a pair.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmgnn_jax.speaking.known import ReviewPair
from llmgnn_jax.speaking.pupil import Pupil
from llmgnn_jax.speaking.pupils import lessons_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Of some reviews.

    Attributes:
        nats_N: -log of the probability of each.
        tokens_N: How many tokens each has.
        bytes_N: How many bytes of UTF-8.
    """

    nats_N: np.ndarray
    tokens_N: np.ndarray
    bytes_N: np.ndarray

    @property
    def perplexity(self) -> float:
        """Of a token, over all tokens."""
        return math.exp(self.nats_N.sum() / self.tokens_N.sum())

    @property
    def bits_per_byte(self) -> float:
        """Over all bytes."""
        return float(self.nats_N.sum() / math.log(2) / self.bytes_N.sum())

    @property
    def bits_per_byte_N(self) -> np.ndarray:
        """Of each review."""
        return self.nats_N / math.log(2) / self.bytes_N


def measure(
    pupil: Pupil,
    pairs: Sequence[ReviewPair],
    vectors_NC: np.ndarray,
    *,
    rows: int,
    lengths: tuple[int, ...] | None = None,
) -> Measured:
    """Measures a pupil.

    Args:
        pupil: Who speaks.
        pairs: N reviews, and what is told before them.
        vectors_NC: What is told of each pair.
        rows: Reviews at a time.
        lengths: See `lessons_of`.
    """
    lessons = lessons_of(pupil, pairs, vectors_NC, ends=False, lengths=lengths)
    return Measured(
        nats_N=-pupil.scores(lessons, rows=rows),
        tokens_N=np.array([len(ids) for ids in lessons.reviews]),
        bytes_N=np.array([len(pair.review.encode()) for pair in pairs]),
    )


def of_others(vectors_NC: np.ndarray, *, seed: int) -> np.ndarray:
    """Each pair's vectors given to another pair: what they say of the pair is gone."""
    order = np.random.default_rng(seed).permutation(len(vectors_NC))
    given = np.empty_like(vectors_NC)
    given[order] = vectors_NC[np.roll(order, 1)]
    return given
