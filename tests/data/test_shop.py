"""The shop of the walk-through: tastes are planted, and nothing is bought twice."""

import numpy as np

from llmgnn_jax.data.catalog import load
from llmgnn_jax.data.shop import GOODS, shop


def test_everyone_buys_four_of_a_kind_and_two_others():
    dataset = shop()
    assert (dataset.num_users, dataset.num_items) == (50, 20)
    own = dataset.users % 4 == dataset.items // 5
    assert (np.bincount(dataset.users[own]) == 4).all()
    assert (np.bincount(dataset.users[~own]) == 2).all()
    pairs = set(zip(dataset.users.tolist(), dataset.items.tolist(), strict=True))
    assert len(pairs) == dataset.num_interactions == 300
    assert len(set(dataset.timestamps.tolist())) == 300


def test_items_are_called_by_number_and_texts_tell_kinds():
    dataset = shop()
    assert dataset.item_ids[0] == "a1"
    assert dataset.item_titles[19] == "商品a20"
    assert len(set(dataset.item_texts)) == 20
    for goods, kind in zip(GOODS, ("咖啡", "跑步", "摄影", "露营"), strict=True):
        assert sum(kind in text for text in goods) == 5


def test_a_seed_is_a_shop():
    assert shop().content_hash() == load("shop").content_hash()
    assert shop(seed=1).content_hash() != shop().content_hash()
