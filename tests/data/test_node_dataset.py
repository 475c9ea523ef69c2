"""Graphs of labelled nodes: what holds together, and what training cannot see."""

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.errors import UserError

FEATURES = np.array([[0, 2, 0], [1, 0, 3], [0, 0, 0], [4, 0, 5], [0, 1, 0]])


def dataset(**changes: Any) -> NodeDataset:
    fields: dict[str, Any] = {
        "name": "papers",
        "features": scipy.sparse.csr_array(FEATURES.astype(float)),
        "labels": np.array([1, 0, -1, 2, 0]),
        "edges": np.array([[1, 3], [0, 1], [2, 4]]),
        "class_names": ("a", "b", "c"),
    }
    return NodeDataset(**{**fields, **changes})


def split(**changes: Any) -> NodeSplit:
    fields: dict[str, Any] = {
        "dataset": dataset(),
        "rule": "by hand",
        "train": np.array([3, 0]),
        "valid": np.array([1]),
        "test": np.array([4]),
    }
    return NodeSplit(**{**fields, **changes})


def test_sizes_and_canonical_form() -> None:
    papers = dataset()
    sizes = (papers.num_nodes, papers.num_features, papers.num_edges)
    assert (*sizes, papers.num_classes) == (5, 3, 3, 3)
    assert papers.edges.tolist() == [[0, 1], [1, 3], [2, 4]]
    assert papers.edges.dtype == papers.labels.dtype == np.int32
    assert papers.features.dtype == np.float32
    np.testing.assert_array_equal(papers.features.toarray(), FEATURES)
    # Read-only sparse arrays still multiply.
    product = papers.features @ np.ones((3, 2), np.float32)
    np.testing.assert_array_equal(product[:, 0], FEATURES.sum(axis=1))
    for array in (papers.labels, papers.edges, papers.features.data):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_what_is_given_is_copied() -> None:
    features = FEATURES.astype(np.float32)
    sparse = scipy.sparse.csr_array(features)
    labels = np.array([1, 0, -1, 2, 0], np.int32)
    for given in (features, sparse):
        papers = dataset(features=given, labels=labels)
        before = papers.content_hash()
        data = given if given is features else sparse.data
        data[...] = 9
        labels[0] = 2
        data_now = papers.features
        dense = data_now if isinstance(data_now, np.ndarray) else data_now.toarray()
        np.testing.assert_array_equal(dense, FEATURES)
        assert papers.labels[0] == 1
        assert dataclasses.replace(papers).content_hash() == before
        labels[0] = 1


def test_the_hash_goes_by_what_is_said() -> None:
    zeros_stored = scipy.sparse.csr_array(
        (
            np.array([2.0, 0.0, 3.0, 1.0, 5.0, 4.0, 0.5, 0.5]),
            np.array([1, 2, 2, 0, 2, 0, 1, 1]),
            np.array([0, 2, 4, 4, 6, 8]),
        ),
        shape=(5, 3),
    )
    same = {
        dataset(features=features, name=name, edges=edges).content_hash()
        for features in (FEATURES, zeros_stored, scipy.sparse.coo_array(FEATURES))
        for name in ("papers", "other")
        for edges in (np.array([[2, 4], [1, 3], [0, 1]]), dataset().edges)
    }
    assert same == {dataset().content_hash()}
    others = [
        dataset(features=FEATURES + np.eye(5, 3)),
        dataset(labels=np.array([1, 0, 0, 2, 0])),
        dataset(edges=np.array([[1, 3], [0, 1]])),
        dataset(class_names=("a", "b", "d")),
        dataset(features=np.pad(FEATURES, ((0, 0), (0, 1)))),
    ]
    assert len({one.content_hash() for one in others} | same) == 6


def test_texts_are_part_of_what_is_said() -> None:
    texts = ("of graphs", "", "of texts", "of both", "")
    papers = dataset(node_texts=texts)
    assert papers.node_texts == texts
    assert dataset().node_texts is None
    hashes = {
        one.content_hash()
        for one in (dataset(), papers, dataset(node_texts=[*texts[:4], "more"]))
    }
    assert len(hashes) == 3
    # As it was before there were any: what is committed names it.
    assert dataset().content_hash() == (
        "815416d833802c917b360ab5e34bff70de28e0a3e1000cbdb1f9f599898e7a5a"
    )
    assert split(dataset=papers).training().texts == texts
    with pytest.raises(UserError, match="node_texts: expected 5 rows, got 4"):
        dataset(node_texts=texts[:4])
    with pytest.raises(UserError, match=r"node_texts\[1\]: expected a string, got 3"):
        dataset(node_texts=("a", 3, "b", "c", "d"))


def test_nodes_may_have_no_features() -> None:
    papers = dataset(features=np.zeros((5, 0)))
    assert (papers.num_nodes, papers.num_features) == (5, 0)
    assert papers.content_hash() != dataset().content_hash()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"features": np.ones(5)}, r"features: expected shape \(nodes, features\)"),
        ({"features": np.ones((0, 3))}, "features: expected shape"),
        ({"features": np.array([["a"] * 3] * 5)}, "features: expected numbers"),
        ({"features": np.full((5, 3), np.nan)}, "finite numbers, got nan and 14 more"),
        (
            {"features": scipy.sparse.csr_array(np.full((5, 3), 1e39))},
            "features: expected finite numbers, got inf and 14 more",
        ),
        ({"labels": np.array([1, 0, -1, 3, 0])}, r"labels\[3\]: .* \[0, 3\), .* got 3"),
        ({"labels": np.array([1, 0, -2, 2, 0])}, r"labels\[2\]: expected a class"),
        ({"labels": np.zeros(4, int)}, r"labels: expected shape \(5,\)"),
        ({"labels": np.zeros(5)}, "labels: expected integers"),
        ({"edges": np.array([[0, 5]])}, r"edges\[0\]: expected nodes in \[0, 5\)"),
        ({"edges": np.array([[0, 1], [-1, 3]])}, r"edges\[1\]: .* got \(-1, 3\)"),
        ({"edges": np.array([[0, 1], [3, 1]])}, r"edges\[1\]: .* smaller node first"),
        ({"edges": np.array([[2, 2]])}, "no self-loop"),
        ({"edges": np.array([[0, 1], [1, 3], [0, 1]])}, r"edges\[2\]: .* once"),
        ({"edges": np.array([0, 1])}, r"edges: expected shape \(2, 2\)"),
        ({"edges": np.array([[0.0, 1.0]])}, "edges: expected integers"),
        ({"class_names": ("a", "b", "a")}, r"class_names\[2\]: expected each id once"),
    ],
)
def test_what_does_not_hold_together(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        dataset(**changes)
    assert "\n" not in str(caught.value)


def test_broken_sparse_features() -> None:
    broken = scipy.sparse.csr_array(FEATURES.astype(float))
    broken.indices[0] = 7
    with pytest.raises(UserError, match="features: expected a CSR matrix"):
        dataset(features=broken)


def test_no_edges_are_edges_too() -> None:
    assert dataset(edges=np.zeros((0, 2))).num_edges == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"valid": np.array([3])}, r"split\.valid, node 3: .* one part"),
        ({"test": np.array([4, 0])}, r"split\.test, node 0: .* one part"),
        ({"test": np.array([2])}, r"split\.test, node 2: expected nodes with a label"),
        ({"train": np.array([0, 3, 0])}, r"split\.train: expected each node once, got"),
        ({"train": np.array([], int)}, r"split\.train: expected at least one node"),
        ({"train": np.array([5])}, r"split\.train: expected nodes in \[0, 5\), got 5"),
        ({"test": np.array([-1])}, r"split\.test: expected nodes in \[0, 5\), got -1"),
        ({"test": np.array([True])}, r"split\.test: expected integers"),
        ({"test": np.array([[4]])}, r"split\.test: expected shape"),
    ],
)
def test_parts_that_do_not_hold_together(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        split(**changes)


def test_training_sees_the_labels_of_train_alone() -> None:
    train = split().training()
    assert train.labels.tolist() == [1, -1, -1, 2, -1]
    assert train.train.tolist() == [0, 3]
    assert (train.num_nodes, train.num_classes) == (5, 3)
    assert (train.features.shape, train.edges.shape) == ((5, 3), (3, 2))
    # No view leads back to the labels of the others, and nothing refers to the split.
    assert train.labels.base is None
    other = split(dataset=dataset(labels=np.array([1, 2, -1, 2, 1])))
    assert pickle.dumps(other.training()) == pickle.dumps(train)


def test_what_is_held_out() -> None:
    held_out = split().held_out("test")
    assert (held_out.nodes.tolist(), held_out.labels.tolist()) == ([4], [0])
    held_out = split().held_out("valid")
    assert (held_out.nodes.tolist(), held_out.labels.tolist()) == ([1], [0])
    assert held_out.labels.base is None
    assert len(split(valid=np.array([], int)).held_out("valid").nodes) == 0


def test_split_hash_and_fingerprint() -> None:
    assert split().name == "by hand 2/1/1"
    assert split(seed=3).name == "by hand 2/1/1, seed 3"
    # The seed decides on the rows, and nothing else: other seeds are one protocol.
    drawn = split(seed=3)
    assert drawn.split_hash == split().split_hash
    assert drawn.fingerprint(metric="x") == split().fingerprint(metric="x")
    assert split().split_hash == split(train=np.array([0, 3])).split_hash
    others = [split(valid=np.array([4]), test=np.array([1])), split(train=[0])]
    assert len({one.split_hash for one in (split(), *others)}) == 3
    protocols = {
        split().fingerprint(metric="accuracy"),
        split().fingerprint(metric="macro_f1"),
        split(rule="other").fingerprint(metric="accuracy"),
        split(dataset=dataset(class_names=("x", "y", "z"))).fingerprint(
            metric="accuracy"
        ),
    }
    assert len(protocols) == 4
    assert others[0].fingerprint(metric="accuracy") in protocols
