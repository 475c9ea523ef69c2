"""Random splits of labels: sizes, what a draw belongs to, what cannot be drawn."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.data.node_splits import NodeSizes, content_order, split_nodes
from llmgnn_jax.errors import UserError

NODES, CLASSES = 60, 3


def papers(**changed: Any) -> NodeDataset:
    rng = np.random.default_rng(0)
    ends = np.sort(rng.integers(0, NODES, (90, 2)), axis=1)
    labels = np.arange(NODES) % CLASSES
    labels[50:] = -1
    fields: dict[str, Any] = {
        "name": "papers",
        "features": np.zeros((NODES, 0)),
        "labels": labels,
        "edges": np.unique(ends[ends[:, 0] < ends[:, 1]], axis=0),
        "class_names": ("a", "b", "c"),
        "node_texts": tuple(f"paper {number}" for number in range(NODES)),
    }
    return NodeDataset(**{**fields, **changed})


def texts_of(split: NodeSplit) -> list[set[str]]:
    texts = split.dataset.node_texts
    assert texts is not None
    return [
        {texts[node] for node in getattr(split, part)}
        for part in ("train", "valid", "test")
    ]


def test_shares_of_the_labelled_nodes() -> None:
    split = split_nodes(papers(), seed=0, sizes=NodeSizes(valid=0.1, test=0.3))
    assert [len(one) for one in (split.train, split.valid, split.test)] == [30, 5, 15]
    # Each labelled node in one part.
    everyone = np.concatenate([split.train, split.valid, split.test])
    assert np.sort(everyone).tolist() == list(range(50))
    assert split.name == "random valid 0.1, test 0.3 30/5/15, seed 0"
    default = split_nodes(papers(), seed=0)
    assert [len(one) for one in (default.valid, default.test)] == [10, 10]


def test_numbers_a_class() -> None:
    sizes = NodeSizes(valid=7, test=20, train_per_class=4)
    split = split_nodes(papers(), seed=0, sizes=sizes)
    assert np.bincount(split.dataset.labels[split.train]).tolist() == [4, 4, 4]
    assert (len(split.valid), len(split.test)) == (7, 20)
    assert split.name == "random 4 a class, valid 7, test 20 12/7/20, seed 0"
    assert not set(split.train) & {*split.valid, *split.test}


def test_one_seed_one_split() -> None:
    one, again, other = (split_nodes(papers(), seed=seed) for seed in (1, 1, 2))
    assert one.split_hash == again.split_hash != other.split_hash
    # Other seeds are the same protocol, other sizes are not.
    fewer = split_nodes(papers(), seed=1, sizes=NodeSizes(valid=5))
    fingerprints = [
        split.fingerprint(metric="accuracy") for split in (one, other, fewer)
    ]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_a_draw_belongs_to_what_is_said_not_to_numbers() -> None:
    dataset = papers()
    assert dataset.node_texts is not None
    shuffled = np.random.default_rng(3).permutation(NODES)  # new number -> old one
    number = np.argsort(shuffled)
    renumbered = papers(
        labels=dataset.labels[shuffled],
        edges=np.sort(number[dataset.edges], axis=1),
        node_texts=tuple(dataset.node_texts[old] for old in shuffled),
    )
    for sizes in (None, NodeSizes(valid=7, test=9, train_per_class=3)):
        one, other = (
            split_nodes(data, seed=4, sizes=sizes) for data in (dataset, renumbered)
        )
        assert texts_of(one) == texts_of(other)


def test_equal_texts_are_told_apart_by_their_neighbours() -> None:
    """Two of the same text: one beside "left", one beside "right"."""
    dataset = papers()
    texts = ["same", "same", *(f"paper {number}" for number in range(2, NODES))]
    edges = np.array([[0, 2], [1, 3]])
    first = papers(node_texts=tuple(texts), edges=edges)
    swapped = papers(node_texts=tuple(texts), edges=np.array([[0, 3], [1, 2]]))
    place = [content_order(one).tolist() for one in (first, swapped)]
    assert place[0].index(0) == place[1].index(1)
    assert place[0].index(1) == place[1].index(0)
    assert sorted(content_order(dataset)) == list(range(NODES))


def test_features_tell_nodes_apart_where_there_are_no_texts() -> None:
    features = np.random.default_rng(1).random((NODES, 4))
    edges = np.zeros((0, 2), np.int64)
    dataset = papers(node_texts=None, features=features, edges=edges)
    backwards = papers(node_texts=None, features=features[::-1], edges=edges)
    one, other = content_order(dataset), content_order(backwards)
    np.testing.assert_array_equal(one, NODES - 1 - other)


def test_labels_have_no_say_in_a_draw_of_shares() -> None:
    dataset = papers()
    turned = np.where(dataset.labels < 0, -1, (dataset.labels + 1) % CLASSES)
    other = dataclasses.replace(dataset, labels=turned)
    one, two = (split_nodes(data, seed=5) for data in (dataset, other))
    for part in ("train", "valid", "test"):
        np.testing.assert_array_equal(getattr(one, part), getattr(two, part))


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"valid": 0.5, "test": 0.5}, "no more than 50 of the 50 .* left to train on"),
        ({"valid": 40, "test": 11}, "no more than 50 .*, got 40 and 11"),
        (
            {"valid": 20, "test": 19, "train_per_class": 4},
            "no more than 38 of the 50 labelled nodes together, got 20 and 19",
        ),
        (
            {"train_per_class": 17},
            "node.train_per_class: expected no more than the 16 nodes of class c, got",
        ),
    ],
)
def test_what_cannot_be_drawn(sizes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        split_nodes(papers(), seed=0, sizes=NodeSizes(**sizes))
    assert "\n" not in str(caught.value)
