"""Planetoid's graphs: arrays, and pickles of which nothing but numbers is taken."""

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from llmgnn_jax import assets
from llmgnn_jax.assets.download import MirrorError
from llmgnn_jax.assets.local import LocalMirror
from llmgnn_jax.data import catalog
from llmgnn_jax.data.node_dataset import NodeSplit
from llmgnn_jax.data.sources.planetoid import read_planetoid
from llmgnn_jax.errors import UserError
from tests.data.planetoid_files import (
    KNOWN,
    TESTED,
    graph,
    pickled,
    pickled_array,
    pickled_matrix,
    pickled_neighbours,
    pickled_number,
    pickled_text,
    raw_files,
)


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    folder = tmp_path / "arrays"
    folder.mkdir()
    np.savez_compressed(folder / "tiny.npz", **graph())
    return folder


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """The same graph as Planetoid would publish it."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for name, content in raw_files().items():
        (folder / name).write_bytes(content)
    return folder


def _write(folder: Path, part: str, content: bytes) -> None:
    (folder / f"ind.tiny.{part}").write_bytes(pickled(content))


def check(split: NodeSplit) -> None:
    said = graph()
    data = split.dataset
    assert (data.name, data.num_nodes, data.num_features) == ("tiny", 510, 6)
    assert data.class_names == ("0", "1", "2")
    np.testing.assert_array_equal(data.labels, said["y"])
    np.testing.assert_array_equal(data.edges, said["edges"])
    assert isinstance(data.features, scipy.sparse.csr_array)
    np.testing.assert_array_equal(data.features.data, said["x_data"])
    np.testing.assert_array_equal(data.features.indices, said["x_indices"])
    np.testing.assert_array_equal(data.features.indptr, said["x_indptr"])
    for part, key in (
        ("train", "train_idx"),
        ("valid", "val_idx"),
        ("test", "test_idx"),
    ):
        np.testing.assert_array_equal(getattr(split, part), said[key])
    assert split.name == "planetoid 4/500/3"


def test_both_layouts_say_the_same(arrays: Path, raw: Path) -> None:
    for folder in (arrays, raw):
        check(read_planetoid(folder))
        check(catalog.load_nodes(folder))
        assert read_planetoid(folder, name="mine").dataset.name == "mine"
    assert catalog._node_content_hash(arrays) == catalog._node_content_hash(raw)


def test_the_stand_ins_read_what_pickle_itself_would(raw: Path) -> None:
    # The bytes above are real pickles: NumPy and SciPy agree on what they say.
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(sys.modules, "numpy.core.multiarray", np._core.multiarray)
        content = (raw / "ind.tiny.ally").read_bytes()
        array = pickle.loads(content, encoding="latin-1")
    np.testing.assert_array_equal(array.argmax(axis=1), graph()["y"][:KNOWN])


@pytest.mark.parametrize(
    "name", ["posix\nsystem", "builtins\neval", "numpy\nload", "__builtin__\neval"]
)
def test_a_pickle_that_calls_something_is_refused(
    raw: Path, name: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    call = f"c{name}\n(".encode() + pickled_text(f"touch {trace}") + b"tR"
    _write(raw, "graph", call)
    with pytest.raises(UserError, match=r"ind\.tiny\.graph: .*it names") as caught:
        read_planetoid(raw)
    assert name.replace("\n", ".") in str(caught.value)
    assert not trace.exists()


SHORT = scipy.sparse.csr_array(np.ones((2, 6), np.float32))


def _out_of_range() -> bytes:
    matrix = scipy.sparse.csr_array(np.ones((TESTED, 6), np.float32))
    matrix.indices[0] = 600
    return pickled_matrix(matrix)


@pytest.mark.parametrize(
    ("part", "content", "said"),
    [
        (
            "tx",
            pickled_matrix(SHORT),
            r"that fit one another, got 506 rows in allx, .* 2 in tx",
        ),
        ("y", pickled_array(np.eye(3, dtype=np.int32)[[0] * 7]), "7 in y"),
        ("ty", pickled_array(np.ones((3, 4), np.int32)), "fit one another"),
        (
            "ty",
            pickled_array(np.ones(3, np.int32)),
            r"ind\.tiny\.ty: .*array of shape \(3,\)",
        ),
        ("ty", pickled_array(np.ones((3, 3), np.int32), kind="O8"), "an array of <O8"),
        (
            "ty",
            pickled_array(np.ones((3, 3), np.int32), kind="i8"),
            r"ind\.tiny\.ty: expected",
        ),
        ("tx", _out_of_range(), r"ind\.tiny\.tx: expected the file as Planetoid"),
        ("tx", b"}", r"ind\.tiny\.tx: expected the file"),
        ("graph", pickled_number(3), r"ind\.tiny\.graph: expected the file"),
        (
            "graph",
            pickled_neighbours({0: [9999]}),
            r"raw: edges\[0\]: expected nodes in",
        ),
        ("allx", b"", r"ind\.tiny\.allx: expected the file"),
        ("allx", b"T\xff\xff\xff\x7f", r"ind\.tiny\.allx: expected the file"),
    ],
)
def test_malformed_pickles_are_named(
    raw: Path, part: str, content: bytes, said: str
) -> None:
    _write(raw, part, content)
    with pytest.raises(UserError, match=said) as caught:
        read_planetoid(raw)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ("509\n506\n", r"2 in test\.index"),
        ("509\n506\n506\n", r"split\.test: expected each node once, got 506"),
        ("509\n506\n4\n", "fit one another"),
        ("509\n506\n99999999999\n", "fit one another"),
        ("509 506 x", r"ind\.tiny\.test\.index: .*'x'"),
        ("509 50_6", r"ind\.tiny\.test\.index: .*50_6"),
        ("", r"0 in test\.index"),
    ],
)
def test_malformed_test_index(raw: Path, places: str, said: str) -> None:
    (raw / "ind.tiny.test.index").write_text(places)
    with pytest.raises(UserError, match=said):
        read_planetoid(raw)


def test_a_missing_file(raw: Path) -> None:
    (raw / "ind.tiny.ally").unlink()
    with pytest.raises(UserError, match=r"ind\.tiny\.ally: expected a readable file"):
        read_planetoid(raw)


def test_malformed_arrays(arrays: Path) -> None:
    path = arrays / "tiny.npz"
    whole = path.read_bytes()
    for content in (whole[:-40], b"", b"PK\x03\x04" + b"x" * 50):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"tiny\.npz: expected"):
            read_planetoid(arrays)
    for changes, said in (
        (
            {"y": np.array(["a"] * 510, object)},
            r"tiny\.npz: expected arrays of numbers",
        ),
        ({"y": graph()["y"][:-1]}, r"tiny\.npz: labels: expected shape \(510,\)"),
        ({"x_indices": graph()["x_indices"][:-1]}, r"tiny\.npz: x: expected features"),
        ({"x_shape": np.array([510, 2])}, r"tiny\.npz: features: expected a CSR"),
        ({"test_idx": np.array([3])}, r"tiny\.npz: split\.test, node 3: .*one part"),
        ({"y": np.array(["a"] * 510)}, r"tiny\.npz: "),
    ):
        np.savez(path, **{**graph(), **changes})
        with pytest.raises(UserError, match=said):
            read_planetoid(arrays)
    with path.open("wb") as file:
        np.save(file, graph()["y"])
    with pytest.raises(UserError, match=r"tiny\.npz: expected a whole npz file"):
        read_planetoid(arrays)
    few = graph()
    del few["val_idx"], few["edges"]
    np.savez(path, **few)
    with pytest.raises(UserError, match="got no edges, val_idx"):
        read_planetoid(arrays)


def test_which_file_is_meant(arrays: Path, tmp_path: Path) -> None:
    (arrays / "other.npz").write_bytes(b"")
    with pytest.raises(UserError, match=r"one NAME\.npz.* got other\.npz, tiny\.npz"):
        read_planetoid(arrays)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="got none"):
        catalog.load_nodes(tmp_path / "none")


def test_names_of_the_other_kind(arrays: Path) -> None:
    with pytest.raises(UserError, match=r"one of cora, .* got 'gowalla'; that is a"):
        catalog.load_nodes("gowalla")
    with pytest.raises(UserError, match=r"got 'core'; did you mean 'cora'"):
        catalog.load_nodes("core")
    with pytest.raises(UserError, match=r"synthetic, .* got 'cora'; that is a data"):
        catalog.load("cora")
    with pytest.raises(UserError, match="got a graph of labelled nodes"):
        catalog.load(arrays)


def check_cora(split: NodeSplit) -> None:
    data = split.dataset
    assert (data.num_nodes, data.num_edges) == (2_708, 5_278)
    assert (data.num_features, data.num_classes) == (1_433, 7)
    sizes = (len(split.train), len(split.valid), len(split.test))
    assert sizes == (140, 500, 1_000)
    assert np.bincount(data.labels[split.train]).tolist() == [20] * 7
    assert (data.labels >= 0).all()
    train = split.training()
    assert (train.labels >= 0).sum() == 140
    assert (train.labels[split.test] == -1).all()


def test_the_real_cora(
    shared_data: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shared_data("cora-planetoid").parent
    monkeypatch.setenv("LLMGNN_CACHE", str(tmp_path))
    monkeypatch.setenv("LLMGNN_OFFLINE", "1")
    monkeypatch.delenv("LLMGNN_MIRROR", raising=False)
    monkeypatch.setenv("LLMGNN_SHARED", str(root))
    split = catalog.load_nodes("cora")
    assert split.dataset.name == "cora"
    check_cora(split)
    assert assets.where("cora") == tmp_path / "assets" / "cora"
    wanted = assets.ASSETS["cora"].content_sha256
    assert catalog._node_content_hash(tmp_path / "assets" / "cora") == wanted


@pytest.mark.slow
def test_the_published_files_say_the_same(tmp_path: Path) -> None:
    asset = assets.ASSETS["cora"]
    folder = tmp_path / "cora"
    folder.mkdir()
    try:
        if local := os.environ.get("LLMGNN_MIRROR"):
            LocalMirror(Path(local) / "cora", asset.mirrors).fill(folder, tmp_path)
        else:
            asset.mirrors[0].fill(folder, tmp_path)
    except MirrorError as error:
        pytest.skip(f"{asset.mirrors[0].label} is out of reach: {error}")
    assert catalog._node_content_hash(folder) == asset.content_sha256
    check_cora(read_planetoid(folder))
