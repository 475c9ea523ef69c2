"""Interactions that are left out before the split: `data.min_value` and its like."""

import numpy as np
import pytest

from llmgnn_jax.config import Config, replace
from llmgnn_jax.data.catalog import load
from llmgnn_jax.data.filters import filter_interactions
from llmgnn_jax.errors import UserError
from llmgnn_jax.training.prepare import read_split

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
