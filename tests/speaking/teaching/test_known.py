"""What is told before a review: of the train part, and not of the review itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.speaking.known import Known, _cut


def test_pairs_are_the_reviews_of_a_part(known: Known) -> None:
    dataset = known._prepared.dataset
    assert dataset.interaction_texts is not None
    for part in ("train", "valid", "test"):
        rows = getattr(known._prepared.split, part).tolist()
        pairs = known.pairs(part)  # type: ignore[arg-type]
        assert [pair.review for pair in pairs] == [
            dataset.interaction_texts[row] for row in rows
        ]
        assert [pair.user for pair in pairs] == dataset.users[rows].tolist()


def test_of_held_out_reviews_nothing_is_told(known: Known) -> None:
    """Evidence is the same whatever stands in a review that is to be foreseen."""
    dataset = known._prepared.dataset
    for pair in known.pairs("test")[:20] + known.pairs("train")[:20]:
        before = pair.prompt
        rows = np.flatnonzero(
            (dataset.users == pair.user) & (dataset.items == pair.item)
        ).tolist()
        taken = {row: known._words._words.pop(row, None) for row in rows}
        try:
            assert known.prompt(pair.user, pair.item) == before
        finally:
            known._words._words |= {
                row: words for row, words in taken.items() if words is not None
            }
        others = before.partition("The user also has: ")[2].partition("\n")[0]
        assert dataset.item_titles[pair.item] not in others.split("; ")


def test_words_are_the_users_own(known: Known, secret: bytes) -> None:
    dataset = known._prepared.dataset
    told = {
        dataset.user_ids[pair.user]
        for part in ("train", "valid", "test")
        for pair in known.pairs(part)  # type: ignore[arg-type]
        if secret.decode() in pair.prompt
    }
    assert told == {"u0"}


def test_vectors_are_standardised(known: Known) -> None:
    dataset = known._prepared.dataset
    users = np.arange(dataset.num_users)
    for told in ("merged", "encoder"):
        vectors = known.vectors(users, np.zeros_like(users), told=told)  # type: ignore[arg-type]
        half = known.width(told) // 2  # type: ignore[arg-type]
        assert vectors.shape == (len(users), 2 * half)
        np.testing.assert_allclose(vectors[:, :half].mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(vectors[:, :half].std(axis=0), 1, atol=1e-3)
        assert (vectors[:, half:] == vectors[0, half:]).all()


def test_data_without_reviews(finished_run: Path, quiet: None) -> None:
    with pytest.raises(UserError, match="reviews"):
        Known.load(finished_run)


@pytest.mark.parametrize("ask", [Known.user_slot, Known.item_slot])
def test_unknown(known: Known, ask: Callable[[Known, str], int]) -> None:
    with pytest.raises(UserError, match="nobody at all"):
        ask(known, "nobody at all")


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("one two three", "one two three"),
        ("one  two\nthree four", "one two three"),
        ("a" * 20, "a" * 13),
        ("", ""),
    ],
)
def test_cut_between_words(text: str, cut: str) -> None:
    assert _cut(text, 13) == cut
