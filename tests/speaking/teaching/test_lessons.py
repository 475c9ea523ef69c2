"""Reviews in batches of few shapes: each once an epoch, padding without a review."""

import itertools

import numpy as np

from llmgnn_jax.speaking.lessons import Lessons, shapes_of


def made(count: int = 23) -> Lessons:
    rng = np.random.default_rng(0)
    prompts = [rng.integers(1, 9, rng.integers(1, 12)).tolist() for _ in range(count)]
    reviews = [rng.integers(1, 9, rng.integers(1, 20)).tolist() for _ in range(count)]
    return Lessons(
        prompts=prompts,
        reviews=reviews,
        vectors_NC=np.arange(count, dtype=np.float32)[:, None] + 1,
        lengths=shapes_of(prompts, reviews),
    )


def test_each_review_once_in_turn() -> None:
    lessons = made()
    seen = []
    for numbers, lesson in lessons.in_turn(rows=4):
        assert lesson.ids_BL.shape[0] == 4
        assert lesson.ids_BL.shape[1] in lessons.lengths
        for row, number in enumerate(numbers.tolist()):
            start, end = lesson.starts_B[row], lesson.lengths_B[row]
            assert lesson.ids_BL[row, :start].tolist() == lessons.prompts[number]
            assert lesson.ids_BL[row, start:end].tolist() == lessons.reviews[number]
            assert lesson.vectors_BC[row, 0] == number + 1
        # Rows of padding have no review.
        padding = slice(len(numbers), None)
        assert (lesson.starts_B[padding] == lesson.lengths_B[padding]).all()
        seen += numbers.tolist()
    assert sorted(seen) == list(range(23))


def test_epochs_hold_all_and_differ() -> None:
    lessons = made()
    per_epoch = len(list(lessons.in_turn(rows=4)))
    drawn = list(itertools.islice(lessons.endless(rows=4, seed=1), 2 * per_epoch))
    told = [lesson.vectors_BC[lesson.vectors_BC > 0] for lesson in drawn]
    for epoch in (told[:per_epoch], told[per_epoch:]):
        assert sorted(np.concatenate(epoch)) == list(range(1, 24))
    assert [*map(list, told[:per_epoch])] != [*map(list, told[per_epoch:])]
    again = itertools.islice(lessons.endless(rows=4, seed=1), 2 * per_epoch)
    for one, other in zip(drawn, again, strict=True):
        np.testing.assert_array_equal(one.ids_BL, other.ids_BL)


def test_few_shapes() -> None:
    lessons = made(200)
    shapes = {lesson.ids_BL.shape for _, lesson in lessons.in_turn(rows=8)}
    assert len(shapes) == 2
    assert all(length % 8 == 0 for _, length in shapes)
