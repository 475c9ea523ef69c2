"""CANE's layout: what is read, what is merely odd and counted, what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.data import catalog
from llmgnn_jax.data.describe.nodes import describe_nodes
from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.data.sources.cane import read_cane
from llmgnn_jax.errors import UserError

FILES = {
    "data.txt": "of graphs\n of texts\x0c too \n\nof both\n",
    # As published: no newline at the end.
    "group.txt": "10\n\n9\n10",
    "graph.txt": "3\t1\n0\t1\n2\t2\n1\t0\n0 1\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def write(**changed: str | bytes | None) -> Path:
        made = tmp_path / "papers"
        made.mkdir(exist_ok=True)
        files = {**FILES, **{f"{name}.txt": one for name, one in changed.items()}}
        for name, content in files.items():
            if content is not None:
                raw = content.encode() if isinstance(content, str) else content
                (made / name).write_bytes(raw)
        return made

    return write


def test_what_is_read(
    folder: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    papers = read_cane(folder())
    assert papers.name == "papers"
    # A form feed ends no line; classes are numbered as numbers.
    assert papers.node_texts == ("of graphs", "of texts\x0c too", "", "of both")
    assert papers.class_names == ("9", "10")
    assert papers.labels.tolist() == [1, -1, 0, 1]
    assert papers.edges.tolist() == [[0, 1], [1, 3]]
    assert papers.features.shape == (4, 0)
    said = [message.partition("papers: ")[2] for message in caplog.messages]
    assert said == [
        "nodes without a text: 1",
        "nodes without a class, which lie in no part: 1",
        "edges from a node to itself, left out: 1",
        "edges that were said before, in one direction or the other: 2",
    ]
    assert read_cane(folder(), name="mine").name == "mine"


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(
    folder: Callable[..., Path],
) -> None:
    plain = read_cane(folder()).content_hash()
    dressed = {
        name.removesuffix(".txt"): b"\xef\xbb\xbf"
        + content.replace("\n", "\r\n").encode()
        for name, content in FILES.items()
    }
    assert read_cane(folder(**dressed)).content_hash() == plain


def test_classes_by_name(folder: Callable[..., Path]) -> None:
    papers = read_cane(folder(group="theory\nAI\nAI\n7\n"))
    assert papers.class_names == ("7", "AI", "theory")
    assert papers.labels.tolist() == [2, 1, 1, 0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data": ""}, "data.txt: expected at least one line, got none"),
        ({"data": b"\xff\n"}, "data.txt: expected UTF-8"),
        ({"graph": ""}, "graph.txt: expected at least one line"),
        (
            {"group": "1\n2\n3\n"},
            "group.txt: expected a line for each of the 4 texts in data.txt, got 3 li",
        ),
        ({"group": "1\n2\n3\n4\n5\n"}, "group.txt: .*, got 5 lines"),
        ({"group": "\n\n\n\n"}, "group.txt: expected the class of at least one node"),
        ({"group": "1\n2 3\n4\n5\n"}, "group.txt, line 2: expected one class, or not"),
        ({"graph": "0 1\n0\n"}, "graph.txt, line 2: expected two node numbers, got '0"),
        ({"graph": "0 1 1\n"}, "graph.txt, line 1: expected two node numbers"),
        ({"graph": "0 one\n"}, "line 1: expected two node numbers, got '0 one'"),
        ({"graph": "0 -1\n"}, "line 1: expected two node numbers, got '0 -1'"),
        ({"graph": "0 1_0\n"}, "line 1: expected two node numbers"),
        ({"graph": "0 1\n\n1 2\n"}, "graph.txt, line 2: expected two node numbers"),
        ({"graph": "0 1\n0 4\n"}, r"line 2: expected nodes 0 to 3, .*, got 4"),
        ({"graph": f"0 {10**30}\n"}, "line 1: expected two node numbers"),
    ],
)
def test_what_is_malformed(
    folder: Callable[..., Path], changed: dict[str, str | bytes], said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        read_cane(folder(**changed))
    assert "\n" not in str(caught.value)


def test_a_file_is_missing(folder: Callable[..., Path]) -> None:
    made = folder()
    (made / "graph.txt").unlink()
    with pytest.raises(UserError, match=r"graph\.txt: expected a readable file in"):
        read_cane(made)


def test_the_catalogue_knows_it_by_its_files(folder: Callable[..., Path]) -> None:
    split = catalog.load_nodes(folder(), rule="random", seed=1)
    assert isinstance(split, NodeSplit)
    assert split.dataset.node_texts is not None
    with pytest.raises(UserError, match="expected random, got papers, which comes wit"):
        catalog.load_nodes(folder())
    with pytest.raises(UserError, match=r"'cold_items': expected random, got a rule"):
        catalog.load_nodes(folder(), rule="cold_items")
    with pytest.raises(UserError, match=r"interactions .* got a graph of labelled"):
        catalog.load(folder())


@pytest.fixture(scope="module")
def cora(shared_data: Callable[[str], Path]) -> NodeDataset:
    return read_cane(shared_data("cora-text-cane"), name="cora-text")


def test_cora_as_its_source_says(
    cora: NodeDataset,
    shared_data: Callable[[str], Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """5,214 edges of 2,277 vertices, as SOURCE.txt has it."""
    folder = shared_data("cora-text-cane")
    read_cane(folder)
    odd = {
        said: int(count)
        for said, _, count in (
            message.partition("cane: ")[2].rpartition(": ")
            for message in caplog.messages
        )
    }
    assert list(odd.values()) == [66, 230, 213]
    assert cora.num_nodes == 2277
    assert cora.num_edges + 230 + 213 == 5214
    assert (cora.num_classes, cora.num_features) == (7, 0)
    counts = [66, 645, 195, 351, 292, 321, 252, 155]
    assert np.bincount(cora.labels + 1).tolist() == counts
    assert cora.node_texts is not None
    assert all(cora.node_texts)


def test_the_asset_is_what_lies_there(cora: NodeDataset) -> None:
    from llmgnn_jax import assets

    assert cora.content_hash() == assets.ASSETS["cora-text"].content_sha256


def test_nodes_without_a_split_are_described_by_a_drawn_one(
    tmp_path: Path, folder: Callable[..., Path]
) -> None:
    count = 40
    made = folder(
        data="".join(f"text {number}\n" for number in range(count)),
        group="".join(f"{number % 2}\n" for number in range(count)),
        graph="".join(f"{number} {number + 1}\n" for number in range(count - 1)),
    )
    drawn = catalog.load_any(made, seed=3)
    assert isinstance(drawn, NodeSplit)
    described = describe_nodes(drawn)
    assert (described.nodes, described.features, described.filled) == (count, 0, 0.0)
    again = catalog.load_any(made, seed=3)
    assert isinstance(again, NodeSplit)
    assert again.split_hash == drawn.split_hash
