"""PyTorch Geometric's graphs, read and written."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.data.sources.pyg import from_pyg, to_pyg
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError
from tests.data.random_datasets import datasets


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    return pytest.importorskip("torch", reason="PyTorch is absent")


@pytest.fixture(scope="module")
def pyg() -> ModuleType:
    pytest.importorskip("torch", reason="PyTorch is absent")
    return pytest.importorskip(
        "torch_geometric", reason="PyTorch is absent: its torch_geometric"
    )


@pytest.fixture
def films(torch: ModuleType, pyg: ModuleType) -> Any:
    """Users who rate films, as PyTorch Geometric's own MovieLens has them."""
    from torch_geometric.data import HeteroData

    data = HeteroData()
    data["user"].num_nodes = 3
    data["movie"].x = torch.tensor([[0.5, 1.0], [2.0, 3.0]], dtype=torch.bfloat16)
    edges = data["user", "rates", "movie"]
    edges.edge_index = torch.tensor([[0, 1, 1], [0, 0, 1]])
    edges.edge_label = torch.tensor([5, 3, 4])
    edges.time = torch.tensor([10, 20, 30])
    data["user", "knows", "user"].edge_index = torch.tensor([[0, 1, 2], [1, 0, 0]])
    return data


def test_what_is_read(films: Any) -> None:
    data = from_pyg(films, item="movie", name="films")
    assert isinstance(data, Dataset)
    assert (data.name, data.user_ids, data.item_ids) == (
        "films",
        ("0", "1", "2"),
        ("0", "1"),
    )
    assert data.values.tolist() == [5, 3, 4]
    assert data.timestamps.tolist() == [10, 20, 30]
    assert data.item_numeric["x_1"].tolist() == [1, 3]
    knows = data.relations["knows"]
    assert knows.directed
    assert list(zip(knows.heads, knows.tails, strict=True)) == [(0, 1), (1, 0), (2, 0)]


def test_the_mirror_images_of_to_undirected_are_no_relations(
    films: Any, torch: ModuleType
) -> None:
    from torch_geometric.transforms import ToUndirected

    films["movie", "in", "genre"].edge_index = torch.tensor([[0, 1], [1, 1]])
    films["genre"].num_nodes = 2
    films["user", "liked", "movie"].edge_index = torch.tensor([[0], [0]])
    read = from_pyg(
        ToUndirected()(films), item="movie", interaction=("user", "rates", "movie")
    )
    assert isinstance(read, Dataset)
    assert read.num_interactions == 3
    assert set(read.relations) == {"knows", "in", "liked"}
    assert not any(relation.directed for relation in read.relations.values())
    assert read.relations["in"].tails.tolist() == [1, 1]
    assert read.relations["knows"].num_links == 2


def test_a_mistake_names_what_is_wrong(films: Any, torch: ModuleType) -> None:
    with pytest.raises(UserError, match="item='item': expected one of the node types"):
        from_pyg(films)
    for options, told in (
        ({"value": "stars"}, "expected the attribute 'stars', got edge_index"),
        ({"interaction": ("user", "x", "movie")}, r"got \('user', 'rates', 'movie'\)"),
    ):
        with pytest.raises(UserError, match=told):
            from_pyg(films, item="movie", **options)
    films["user", "sees", "movie"].edge_index = torch.tensor([[0], [0]])
    with pytest.raises(UserError, match="name the one that is meant"):
        from_pyg(films, item="movie")
    del films["user", "sees", "movie"]
    films["user", "rates", "movie"].edge_attr = torch.zeros(3, 2)
    with pytest.raises(UserError, match=r"a number for each of 3 edges, got shape"):
        from_pyg(films, item="movie")
    films["user", "rates", "movie"].edge_attr = torch.zeros(3, 1)
    films["user", "knows", "user"].edge_weight = torch.tensor([1.0, 0.0, 1.0])
    with pytest.raises(UserError, match="edge 1: expected a weight that is a finite"):
        from_pyg(films, item="movie")
    films["user", "knows", "user"].edge_weight = torch.ones(3)
    films["movie"].title = ["only one"]
    with pytest.raises(UserError, match=r"data\['movie'\].title: expected 2 rows"):
        from_pyg(films, item="movie")


def test_embeddings_are_left_out_aloud(
    films: Any, torch: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    films["user"].x = torch.zeros(3, 65)
    films["user"].embedded = torch.zeros(3)
    data = from_pyg(films, item="movie")
    assert isinstance(data, Dataset)
    assert not data.user_numeric
    assert "data['user'].x: not read: 65 columns" in caplog.text
    assert "data['user']: not read: embedded" in caplog.text


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=datasets())
def test_there_and_back(pyg: ModuleType, data: Dataset) -> None:
    back = from_pyg(to_pyg(data), name=data.name)
    assert isinstance(back, Dataset)
    assert back.content_hash() == data.content_hash()
    assert back.filters == data.filters
    if data.published_test is not None:
        np.testing.assert_array_equal(back.published_test, data.published_test)


def test_it_passes_pyg_s_own_check(pyg: ModuleType) -> None:
    made = to_pyg(synthetic(reviews=True))
    assert made.validate()
    assert made["user", "interacts", "item"].edge_index.shape == (2, 900)


def test_real_data_there_and_back(
    pyg: ModuleType, shared_data: Callable[[str], Path]
) -> None:
    data = catalog.load(shared_data("lastfm-hetrec2011"))
    back = from_pyg(to_pyg(data))
    assert isinstance(back, Dataset)
    assert back.content_hash() == data.content_hash()
    split = catalog.load_nodes(shared_data("cora-planetoid"))
    again = from_pyg(to_pyg(split))
    assert isinstance(again, NodeSplit)
    assert again.dataset.content_hash() == split.dataset.content_hash()
    assert again.split_hash == split.split_hash


@pytest.fixture
def papers(torch: ModuleType, pyg: ModuleType) -> Any:
    """Three papers, the last without a class; an edge that is not symmetric."""
    from torch_geometric.data import Data

    return Data(
        x=torch.eye(3).to_sparse(),
        edge_index=torch.tensor([[0, 1, 2, 2], [1, 0, 0, 2]]),
        y=torch.tensor([[1], [0], [-1]]),
    )


def test_nodes_with_labels(
    papers: Any, torch: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    data = from_pyg(papers)
    assert isinstance(data, NodeDataset)
    assert (data.labels.tolist(), data.class_names) == ([1, 0, -1], ("0", "1"))
    assert data.edges.tolist() == [[0, 1], [0, 2]]
    assert "1 edges of a node with itself left out" in caplog.text
    papers.train_mask = torch.tensor([True, False, False])
    papers.test_mask = torch.tensor([False, True, False])
    split = from_pyg(papers)
    assert isinstance(split, NodeSplit)
    parts = [part.tolist() for part in (split.train, split.valid, split.test)]
    assert parts == [[0], [], [1]]


def test_nodes_with_labels_that_are_none(papers: Any, torch: ModuleType) -> None:
    papers.train_mask = torch.ones(3, 2, dtype=torch.bool)
    with pytest.raises(UserError, match=r"data.train_mask: expected 3 booleans"):
        from_pyg(papers)
    papers.y = torch.tensor([0.5, 1, 0])
    with pytest.raises(UserError, match=r"data.y: expected whole numbers"):
        from_pyg(papers)
    papers.y = torch.zeros(3, 2)
    with pytest.raises(UserError, match=r"data.y: expected a class for each of 3"):
        from_pyg(papers)
    papers.y = None
    with pytest.raises(UserError, match=r"data.y: expected a tensor, got none"):
        from_pyg(papers)


def test_without_torch_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="pip install torch torch-geometric"):
        to_pyg(synthetic())


def test_columns_and_times_that_are_none(films: Any, torch: ModuleType) -> None:
    films["movie"].categorical = {"genre": ["Love", ["War", "Love"]]}
    data = from_pyg(films, item="movie")
    assert isinstance(data, Dataset)
    assert data.item_categorical["genre"] == (("Love",), ("War", "Love"))
    films["user"].numeric = torch.zeros(3)
    with pytest.raises(UserError, match=r"data\['user'\].numeric: expected a mapping"):
        from_pyg(films, item="movie")
    films["user"].numeric = {"age": torch.zeros(2)}
    with pytest.raises(UserError, match=r"numeric\['age'\]: expected 3 rows, got 2"):
        from_pyg(films, item="movie")
    del films["user"].numeric
    films["user", "rates", "movie"].time = torch.tensor([1.0, float("nan"), 2.0])
    with pytest.raises(UserError, match=r"edge 1: expected a time in seconds"):
        from_pyg(films, item="movie")


def test_nodes_and_values_that_are_lacking(
    films: Any, torch: ModuleType, pyg: ModuleType
) -> None:
    from torch_geometric.data import HeteroData

    with pytest.raises(UserError, match="of a type 'user', got an empty HeteroData"):
        from_pyg(HeteroData())
    with pytest.raises(UserError, match=r"item='movies': .*; did you mean 'movie'\?"):
        from_pyg(films, item="movies")
    films["user", "rates", "movie"].rating = torch.tensor([1.0, 2.0, float("nan")])
    with pytest.raises(
        UserError, match="edge 2: expected a finite value, got nan; fil"
    ):
        from_pyg(films, item="movie", value="rating")
