"""Prompts with reviews as rows of tokens, in batches of few shapes.

Shapes: N reviews, B rows of a batch, L tokens, C width of what is told of a pair.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_SHAPES = 2
"""Lengths of rows. Each is a program to compile, which takes as long as many steps."""

_MULTIPLE = 8


class Lesson(NamedTuple):
    """Rows of tokens of one fixed shape.

    Attributes:
        ids_BL: int32, a prompt and its review; what stands after is padding.
        lengths_B: int32 tokens of both.
        starts_B: int32 place of the first token of the review; a row of padding has one
            token and no review.
        vectors_BC: float32, what is told of the pair.
    """

    ids_BL: np.ndarray
    lengths_B: np.ndarray
    starts_B: np.ndarray
    vectors_BC: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Lessons:
    """Reviews to learn from, or to be measured on.

    Attributes:
        prompts: N token lists; one token at least.
        reviews: N token lists, the end of the text among them.
        vectors_NC: What is told of each pair; C may be 0.
        lengths: Rows' lengths, ascending; the last one holds the longest.
    """

    prompts: Sequence[Sequence[int]]
    reviews: Sequence[Sequence[int]]
    vectors_NC: np.ndarray
    lengths: tuple[int, ...]

    def in_turn(self, *, rows: int) -> Iterator[tuple[np.ndarray, Lesson]]:
        """(numbers of the reviews, their lesson) of all of them, in any order."""
        for numbers in self._batches(np.arange(len(self.prompts)), rows):
            yield numbers, self.lesson(numbers, rows=rows)

    def endless(self, *, rows: int, seed: int) -> Iterator[Lesson]:
        """Epoch after epoch, each in an order of its own that the seed decides."""
        epoch = 0
        while True:
            rng = np.random.default_rng((seed, epoch))
            batches = self._batches(rng.permutation(len(self.prompts)), rows)
            for place in rng.permutation(len(batches)):
                yield self.lesson(batches[place], rows=rows)
            epoch += 1

    def lesson(self, numbers: np.ndarray, *, rows: int) -> Lesson:
        """Some reviews of one length, padded to so many rows."""
        length = self.lengths[int(self._places[numbers].max())]
        ids = np.zeros((rows, length), np.int32)
        lengths, starts = np.ones(rows, np.int32), np.ones(rows, np.int32)
        vectors = np.zeros((rows, self.vectors_NC.shape[1]), np.float32)
        for row, number in enumerate(numbers.tolist()):
            tokens = [*self.prompts[number], *self.reviews[number]]
            ids[row, : len(tokens)] = tokens
            lengths[row] = len(tokens)
            starts[row] = len(self.prompts[number])
            vectors[row] = self.vectors_NC[number]
        return Lesson(ids, lengths, starts, vectors)

    @property
    def _places(self) -> np.ndarray:
        """(N,) which of the lengths each has."""
        return np.searchsorted(self.lengths, _counts(self.prompts, self.reviews))

    def _batches(self, order: np.ndarray, rows: int) -> list[np.ndarray]:
        places = self._places[order]
        batches = []
        for place in range(len(self.lengths)):
            members = order[places == place]
            batches += np.split(members, range(rows, len(members), rows))
        return [batch for batch in batches if len(batch)]


def shapes_of(
    prompts: Sequence[Sequence[int]], reviews: Sequence[Sequence[int]]
) -> tuple[int, ...]:
    """Lengths of rows for such texts: half of them fit into the shorter one."""
    counts = _counts(prompts, reviews)
    shares = np.arange(1, _SHAPES + 1) / _SHAPES
    most = np.quantile(counts, shares, method="higher")
    return tuple(sorted({int(-(-one // _MULTIPLE) * _MULTIPLE) for one in most}))


def _counts(
    prompts: Sequence[Sequence[int]], reviews: Sequence[Sequence[int]]
) -> np.ndarray:
    return np.array(
        [len(one) + len(two) for one, two in zip(prompts, reviews, strict=True)]
    )
