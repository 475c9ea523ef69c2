"""Links between users, items and entities."""

import numpy as np
import pytest

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.splits import split_random
from llmgnn_jax.errors import UserError


def _friends(heads: list[int], tails: list[int], **fields: bool) -> Relation:
    return Relation(
        heads_of="user",
        tails_of="user",
        heads=np.array(heads, np.int64),
        tails=np.array(tails, np.int64),
        weights=np.arange(1.0, len(heads) + 1),
        **fields,
    )


def _dataset(**fields: object) -> Dataset:
    given: dict = {
        "name": "few",
        "user_ids": ("ann", "bob", "cid"),
        "item_ids": ("x", "y"),
        "users": np.array([0, 1, 2, 2]),
        "items": np.array([0, 1, 1, 0]),
        "values": np.ones(4),
        "timestamps": np.zeros(4, np.int64),
        "item_titles": ("X", "Y"),
        "item_texts": ("", ""),
    }
    return Dataset(**given | fields)


def test_undirected_links_have_the_smaller_end_first_and_weights_go_along() -> None:
    relation = _friends([2, 1], [0, 0])
    assert relation.heads.tolist() == [0, 0]
    assert relation.tails.tolist() == [1, 2]
    assert relation.weights.tolist() == [2.0, 1.0]


def test_directed_links_go_both_ways() -> None:
    relation = _friends([1, 0], [0, 1], directed=True)
    assert list(zip(relation.heads, relation.tails, strict=True)) == [(0, 1), (1, 0)]


def test_merged_leaves_out_repeats_and_links_to_oneself() -> None:
    pairs = np.array([[0, 1], [1, 0], [2, 2], [0, 1], [1, 2]])
    relation = Relation.merged(
        heads_of="user", tails_of="user", heads=pairs[:, 0], tails=pairs[:, 1]
    )
    assert list(zip(relation.heads, relation.tails, strict=True)) == [(0, 1), (1, 2)]
    assert relation.weights.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("heads", "tails", "told"),
    [
        ([0, 1], [1, 0], "each link once"),
        ([0, 1], [1, 1], "two different nodes"),
        ([0, -1], [1, 0], "an index in"),
    ],
)
def test_malformed_links_are_refused(
    heads: list[int], tails: list[int], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        _friends(heads, tails)


def test_weights_are_above_0() -> None:
    with pytest.raises(UserError, match=r"weights\[1\]: expected a number above 0"):
        Relation(
            heads_of="user",
            tails_of="item",
            heads=np.array([0, 1]),
            tails=np.array([0, 0]),
            weights=np.array([1.0, 0.0]),
        )


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"relations": {"friends": _friends([0], [3])}}, r"index in \[0, 3\), got 3"),
        (
            {
                "relations": {
                    "tagged": Relation.merged(
                        heads_of="item",
                        tails_of="tag",
                        heads=np.array([0]),
                        tails=np.array([0]),
                    )
                }
            },
            "expected one of user, item, got 'tag'",
        ),
        ({"entities": {"user": ("a",)}}, "neither user nor item"),
        ({"entities": {"tag": ("a", "a")}}, "each id once"),
    ],
)
def test_a_dataset_checks_its_relations(fields: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        _dataset(**fields)


def test_the_hash_knows_links_but_no_numbers() -> None:
    links = _friends([0, 1], [2, 2])
    dataset = _dataset(relations={"friends": links})
    order = np.array([2, 0, 1])
    turned = dataset.taken(rows=np.arange(4), users=order, items=np.array([1, 0]))
    assert turned.relations["friends"].heads.tolist() == [0, 0]
    assert turned.content_hash() == dataset.content_hash()
    others = _dataset(relations={"friends": _friends([0, 1], [1, 2])})
    directed = _dataset(relations={"friends": _friends([0, 1], [2, 2], directed=True)})
    hashes = {one.content_hash() for one in (_dataset(), dataset, others, directed)}
    assert len(hashes) == 4


def test_links_of_users_who_leave_go_with_them() -> None:
    dataset = _dataset(relations={"friends": _friends([0, 0], [1, 2])})
    kept = dataset.taken(
        rows=np.array([0, 2, 3]), users=np.array([0, 2]), items=np.array([0, 1])
    )
    assert kept.relations["friends"].heads.tolist() == [0]
    assert kept.relations["friends"].tails.tolist() == [1]
    assert kept.relations["friends"].weights.tolist() == [2.0]


def test_training_sees_relations_whole() -> None:
    tagged = Relation.merged(
        heads_of="item", tails_of="tag", heads=np.array([0]), tails=np.array([1])
    )
    dataset = _dataset(entities={"tag": ("new", "old")}, relations={"tagged": tagged})
    train = split_random(dataset, seed=0).training()
    assert train.num_entities == {"tag": 2}
    assert train.relations["tagged"].tails.tolist() == [1]
