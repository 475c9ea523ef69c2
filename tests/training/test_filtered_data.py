"""Interactions that are left out before the split: `data.min_value` and its like."""

import logging
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.config import Config, replace
from llmgnn_jax.data.catalog import load
from llmgnn_jax.data.filters import filter_interactions, pairs_among
from llmgnn_jax.errors import UserError
from llmgnn_jax.recipes import recipe
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.training.run import fit
from llmgnn_jax.training.run_split import read_split

CONFIG = replace(Config(recipe="test"), **{"data.source": "synthetic"})
MINIMA = {"min_value": 3.0, "min_per_user": 5, "min_per_item": 8}
FILTERED = replace(CONFIG, **{f"data.{name}": of for name, of in MINIMA.items()})


def test_the_split_is_of_what_is_left() -> None:
    _, split = read_split(FILTERED)
    left = filter_interactions(load("synthetic"), **MINIMA)
    assert split.dataset.content_hash() == left.content_hash()
    assert split.dataset.num_items < load("synthetic").num_items
    parts = (split.train, split.valid, split.test)
    assert sum(map(len, parts)) == left.num_interactions
    assert np.bincount(split.dataset.items).min() >= 8


def test_it_is_another_protocol() -> None:
    fingerprints = {
        read_split(config)[1].fingerprint(masking="", metric="ndcg@10")
        for config in (CONFIG, FILTERED, replace(CONFIG, **{"data.min_per_item": 2}))
    }
    assert len(fingerprints) == 3


def test_nothing_is_left() -> None:
    with pytest.raises(
        UserError, match=r"^data: .* after value >= 99; lower data\.min"
    ):
        read_split(replace(CONFIG, **{"data.min_value": 99.0}))


def test_pairs_that_were_left_out_are_known() -> None:
    before = load("synthetic")
    _, split = read_split(FILTERED)
    kept = split.dataset
    users, items = pairs_among(before, kept)
    found = {
        (kept.user_ids[user], kept.item_ids[item])
        for user, item in zip(users, items, strict=True)
    }
    expected = {
        (before.user_ids[user], before.item_ids[item])
        for user, item in zip(before.users, before.items, strict=True)
    }
    assert found == {
        (user, item)
        for user, item in expected
        if user in kept.user_ids and item in kept.item_ids
    }
    assert len(found) > kept.num_interactions


@pytest.mark.slow
@pytest.mark.usefixtures("workplace")
def test_what_was_left_out_is_not_recommended(tmp_path: Path) -> None:
    config = replace(recipe("synthetic"), **{"data.min_value": 4.0, "train.steps": 20})
    fit(config, out=tmp_path / "run")
    recommender = Recommender.load(tmp_path / "run")
    before = load("synthetic")
    user = int(np.bincount(before.users).argmax())
    met = {before.item_ids[item] for item in before.items[before.users == user]}
    rest = {one.id for one in recommender.recommend(user=before.user_ids[user], k=999)}
    assert rest
    assert not rest & met


def test_interactions_that_repeat_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pairs = [f"{user},{item}" for user in range(8) for item in range(10)]
    path = tmp_path / "twice.csv"
    path.write_text("\n".join(["user,item", *pairs]), "utf-8")
    config = replace(
        CONFIG, **{"data.source": str(path), "models": ("graph",), "train.steps": 1}
    )
    config = replace(config, **{"evaluation.baselines": False})
    fit(config, out=tmp_path / "once")
    assert "are to be found" not in caplog.text
    path.write_text("\n".join(["user,item", *pairs, *pairs[:-8]]), "utf-8")
    fit(config, out=tmp_path / "twice")
    _, split = read_split(config)
    for part, rows in (("valid", split.valid), ("test", split.test)):
        left = split.held_out(part).nnz
        assert left < len(rows)
        said = f"{part}: {left} of {len(rows)} interactions are to be found: the others"
        assert said in caplog.text
    # Of ratings, those that come again are predicted too.
    caplog.clear()
    read_split(replace(config, task="rating", **{"evaluation.metric": "rmse"}))
    assert "are to be found" not in caplog.text
