"""Links whose ends are put in order and whose repeats are joined."""

import numpy as np
import pytest

from llmgnn_jax.data.joining import Repeated, join_links

HEADS = np.array([1, 0, 0, 2, 1, 0])
TAILS = np.array([0, 1, 1, 2, 2, 3])
WEIGHTS = np.array([1.0, 4.0, 2.0, 9.0, 0.5, 3.0])


def _told(**options: object) -> tuple[list[tuple[int, int, float]], int, int]:
    joined = join_links(HEADS, TAILS, WEIGHTS, **options)  # type: ignore[arg-type]
    links = zip(
        joined.heads.tolist(),
        joined.tails.tolist(),
        joined.weights.tolist(),
        strict=True,
    )
    return list(links), joined.loops, joined.repeats


@pytest.mark.parametrize(("repeated", "weight"), [("greatest", 4.0), ("added", 7.0)])
def test_without_direction(repeated: Repeated, weight: float) -> None:
    links = [(0, 1, weight), (0, 3, 3.0), (1, 2, 0.5)]
    told = _told(one_kind=True, directed=False, repeated=repeated)
    assert told == (links, 1, 2)


@pytest.mark.parametrize(("repeated", "weight"), [("greatest", 4.0), ("added", 6.0)])
def test_with_direction(repeated: Repeated, weight: float) -> None:
    links = [(0, 1, weight), (0, 3, 3.0), (1, 0, 1.0), (1, 2, 0.5)]
    told = _told(one_kind=True, directed=True, repeated=repeated)
    assert told == (links, 1, 1)


def test_between_kinds_a_number_is_two_nodes() -> None:
    links = [(0, 1, 4.0), (0, 3, 3.0), (1, 0, 1.0), (1, 2, 0.5), (2, 2, 9.0)]
    assert _told(one_kind=False, directed=False) == (links, 0, 1)


def test_without_weights_each_is_1_however_often() -> None:
    joined = join_links(HEADS, TAILS, one_kind=True, directed=False)
    assert joined.weights.tolist() == [1.0, 1.0, 1.0]


def test_of_none_nothing_is_left() -> None:
    none = np.array([], np.int64)
    loops = np.array([3, 3])
    for ends in (none, loops):
        joined = join_links(ends, ends, one_kind=True, directed=False)
        assert len(joined.heads) == len(joined.tails) == len(joined.weights) == 0
        assert (joined.loops, joined.repeats) == (len(ends), 0)
