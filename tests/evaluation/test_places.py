"""Lists with places that are kept for new items."""

import numpy as np
import pytest

from llmgnn_jax.evaluation.places import with_places_for
from llmgnn_jax.evaluation.ranking import Rankings


def lists(*rows: list[int]) -> Rankings:
    items = np.array(rows, np.int32)
    scores = np.where(items >= 0, -items.astype(np.float32), -np.inf)
    return Rankings(users=np.arange(len(rows)), items=items, scores=scores)


def test_kept_places_show_new_items_and_the_others_known_ones() -> None:
    known = lists([0, 1, 2, 3, 4], [5, 4, 3, 2, 1])
    new = lists([10, 11, 12, 13, 14], [13, 12, 11, 10, 14])
    found = with_places_for(known, new, (2, 5))
    assert found.items.tolist() == [[0, 10, 1, 2, 11], [5, 13, 4, 3, 12]]
    np.testing.assert_array_equal(found.scores, -found.items.astype(np.float32))
    np.testing.assert_array_equal(found.users, known.users)


@pytest.mark.parametrize(
    ("known", "new", "expected"),
    [
        ([0, -1, -1, -1], [10, 11, -1, -1], [0, 10, 11, -1]),
        ([0, 1, 2, 3], [-1, -1, -1, -1], [0, 1, 2, 3]),
        ([-1, -1, -1, -1], [10, 11, 12, 13], [10, 11, 12, 13]),
        ([0, 1, 2, -1], [10, -1, -1, -1], [0, 10, 1, 2]),
        ([-1] * 4, [-1] * 4, [-1] * 4),
    ],
)
def test_where_one_kind_is_exhausted_the_other_fills_in(
    known: list[int], new: list[int], expected: list[int]
) -> None:
    found = with_places_for(lists(known), lists(new), (2, 4))
    assert found.items.tolist() == [expected]
    assert (found.scores == -np.inf).tolist() == [[item < 0 for item in expected]]


def test_places_beyond_the_list_keep_nothing() -> None:
    known, new = lists([0, 1, 2]), lists([10, 11, 12])
    assert with_places_for(known, new, (4, 9)).items.tolist() == [[0, 1, 2]]
    assert with_places_for(known, new, (1, 2, 3)).items.tolist() == [[10, 11, 12]]
