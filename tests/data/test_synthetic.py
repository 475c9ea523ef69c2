"""The generator plants what it says, and repeats."""

import numpy as np
import pytest

from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError


def test_it_repeats_and_depends_on_the_seed() -> None:
    first = synthetic(seed=3, reviews=True).content_hash()
    assert synthetic(seed=3, reviews=True).content_hash() == first
    assert synthetic(seed=4, reviews=True).content_hash() != first
    assert (
        synthetic().content_hash(relations=False).startswith("56f752b04d44b33763385a79")
    )


def test_sizes_and_distinct_pairs_and_times() -> None:
    dataset = synthetic(num_users=30, num_items=25, num_interactions=333)
    assert (dataset.num_users, dataset.num_items) == (30, 25)
    assert dataset.num_interactions == 333
    pairs = dataset.users.astype(int) * 25 + dataset.items
    assert len(np.unique(pairs)) == len(np.unique(dataset.timestamps)) == 333
    assert np.bincount(dataset.users, minlength=30).min() >= 3


def test_clusters_are_planted() -> None:
    dataset = synthetic(num_interactions=400, num_clusters=4)
    same = dataset.users % 4 == dataset.items % 4
    assert same.mean() > 0.5  # a quarter of all pairs
    assert dataset.values[same].min() >= 4
    assert dataset.values[~same].max() <= 3
    assert len(set(dataset.item_categorical["genre"])) == 4


def test_texts_name_the_cluster_in_both_languages() -> None:
    dataset = synthetic(reviews=True)
    for item in (0, 4, 36):
        assert "space robots" in dataset.item_texts[item]
        assert "太空机器人" in dataset.item_texts[item]
    assert dataset.interaction_texts is not None
    for row in np.flatnonzero(dataset.values >= 4)[:20]:
        assert dataset.interaction_texts[row].startswith("Loved the ")
    english = synthetic(bilingual=False)
    assert all(text.isascii() for text in english.item_texts)
    assert english.interaction_texts is None


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_clusters": 9}, "num_clusters: expected 1 to 8, got 9"),
        ({"num_interactions": 2401}, "num_interactions: expected 180 to 2400, got"),
        ({"num_interactions": 179}, "got 179"),
        ({"num_users": 0}, "num_users: expected 1 to"),
        ({"num_items": 2}, "num_items: expected 3 to"),
        ({"num_users": 10**5, "num_items": 10**5}, "num_items: expected 3 to 500"),
    ],
)
def test_sizes_out_of_range(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        synthetic(**sizes)  # type: ignore[arg-type]
