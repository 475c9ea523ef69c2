"""LightGCN's text format: what is read, what is merely odd, and what is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax import assets
from llmgnn_jax.assets.download import MirrorError
from llmgnn_jax.assets.local import LocalMirror
from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.lightgcn import read_lightgcn
from llmgnn_jax.data.splits import split_published
from llmgnn_jax.errors import UserError

TRAIN = "7 10 30\n2 20\n11\n"
TEST = "2 10\n7 40 20\n11 30\n"


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def write(train: str | bytes = TRAIN, test: str | bytes = TEST) -> Path:
        made = tmp_path / "places"
        made.mkdir(exist_ok=True)
        for name, content in (("train", train), ("test", test)):
            raw = content.encode() if isinstance(content, str) else content
            (made / f"{name}.txt").write_bytes(raw)
        return made

    return write


def pairs(dataset: Dataset, *, test: bool) -> list[tuple[str, str]]:
    assert dataset.published_test is not None
    return [
        (dataset.user_ids[dataset.users[row]], dataset.item_ids[dataset.items[row]])
        for row in np.flatnonzero(dataset.published_test == test)
    ]


def test_what_is_read(folder: Callable[..., Path]) -> None:
    places = read_lightgcn(folder())
    assert places.name == "places"
    # By number, not by the alphabet; user 11 is there before it has an item.
    assert places.user_ids == ("2", "7", "11")
    assert places.item_ids == ("10", "20", "30", "40")
    assert pairs(places, test=False) == [("7", "10"), ("7", "30"), ("2", "20")]
    expected = [("2", "10"), ("7", "40"), ("7", "20"), ("11", "30")]
    assert pairs(places, test=True) == expected
    assert places.values.tolist() == [1.0] * 7
    assert not places.timestamps.any()
    assert places.item_texts == ("",) * 4
    assert read_lightgcn(folder(), name="mine").name == "mine"


@pytest.mark.parametrize(
    "train",
    [
        "7 30 10 \n11 \n2 20",  # another order, spaces at the ends, no last newline
        "7 10 30\r\n\r\n2\t20\r\n11\r\n",
        b"\xef\xbb\xbf7 10 30\n2 20\n11\n",
        "7 10\n2 20\n11\n7 30\n",  # a user in two lines
        "\n\n07 010 30\n2 20\n  11\n",
    ],
)
def test_the_same_in_other_bytes(
    folder: Callable[..., Path], train: str | bytes
) -> None:
    wanted = catalog._content_hash(folder())
    assert catalog._content_hash(folder(train)) == wanted
    assert sorted(pairs(read_lightgcn(folder(train)), test=False)) == [
        *(("2", "20"), ("7", "10"), ("7", "30"))
    ]


def test_the_hash_tells_parts_and_pairs_apart(folder: Callable[..., Path]) -> None:
    hashes = {
        catalog._content_hash(folder(train, test))
        for train, test in (
            (TRAIN, TEST),
            ("7 10\n2 20\n11\n", "2 10\n7 30 40 20\n11 30\n"),  # a pair moves to test
            (TRAIN + "7 20\n", TEST),
            (TRAIN + "5\n", TEST),
        )
    }
    assert len(hashes) == 4


def test_it_reads_what_a_slow_reader_reads(folder: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    lines = [
        [user, *rng.integers(0, 10 ** rng.integers(1, 18), rng.integers(0, 9)).tolist()]
        for user in rng.permutation(300).tolist()
    ]
    text = "".join(" ".join(map(str, line)) + "\n" for line in lines)
    dataset = read_lightgcn(folder(text, TEST))
    assert pairs(dataset, test=False) == [
        (str(user), str(item)) for user, *items in lines for item in items
    ]
    assert {str(line[0]) for line in lines} <= set(dataset.user_ids)


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ("7 10\n\n2 -20\n", r"train\.txt, line 3: expected whole numbers .* got '-20'"),
        ("7 10.5 4\n", r"train\.txt, line 1: .* got '10\.5'"),
        ("7 10\n2 x3", r"train\.txt, line 2: .* got 'x3'"),
        ("7,10\n", r"train\.txt, line 1: .* got '7,10'"),
        ("7 10\n1 1234567890123456789 2\n", r"line 2: .* got '1234567890123456789'"),
        (b"7 10\n2 \xff\n", r"train\.txt, line 2"),
        ("", r"train\.txt: expected at least one line .* got no interaction"),
        ("\n \n", r"train\.txt: expected at least one line"),
        ("1\n2\n", r"train\.txt: expected at least one line"),
    ],
)
def test_malformed_files_are_named(
    folder: Callable[..., Path], train: str | bytes, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        read_lightgcn(folder(train))


def test_a_missing_file(folder: Callable[..., Path]) -> None:
    places = folder()
    (places / "test.txt").unlink()
    with pytest.raises(UserError, match=r"test\.txt: expected a readable file in"):
        read_lightgcn(places)
    with pytest.raises(UserError, match=r"or train\.txt, test\.txt, got train\.txt"):
        catalog.load(places)


def test_oddities_are_counted_and_kept(
    folder: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    places = read_lightgcn(folder("1 5 5 6\n2 6\n", "1 5 6\n2 7\n3 6\n"))
    said = [record.getMessage().split(": ", 1)[1] for record in caplog.records]
    assert said == [
        "pairs that repeat within a file: 1",
        "pairs of train.txt that are in test.txt too, and count as seen: 2",
        "users of test.txt without an item in train.txt: 1",
        "items of test.txt that train.txt lacks: 1",
    ]
    assert places.num_interactions == 8
    split = split_published(places, seed=0, valid_share=0)
    # User 1 has nothing left to be found; the others have.
    assert split.held_out("test").counts().tolist() == [0, 1, 1]
    caplog.clear()
    read_lightgcn(folder("1 5 6\n2 7\n", "1 7\n2 5\n"))
    assert not caplog.records


def check_gowalla(dataset: Dataset) -> None:
    assert dataset.published_test is not None
    assert (dataset.num_users, dataset.num_items) == (29_858, 40_981)
    assert dataset.num_interactions == 810_128 + 217_242
    assert int(dataset.published_test.sum()) == 217_242
    # Numbered without gaps: index and id are one.
    assert dataset.user_ids == tuple(map(str, range(29_858)))
    assert dataset.item_ids == tuple(map(str, range(40_981)))
    split = split_published(dataset, seed=0, valid_share=0)
    assert split.train_csr().nnz == 810_128
    assert split.held_out("test").nnz == 217_242  # no pair in both parts
    assert split.train_csr().counts().min() >= 1
    assert split.split_hash.startswith("f9e94c32808d9bd51e95b31c5cf7d4d6")


@pytest.mark.slow
def test_the_real_gowalla(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("gowalla-lightgcn")
    check_gowalla(read_lightgcn(folder))
    wanted = assets.ASSETS["gowalla"].content_sha256
    assert catalog._content_hash(folder) == wanted


@pytest.mark.slow
def test_gowalla_by_name(
    shared_data: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shared_data("gowalla-lightgcn").parent
    monkeypatch.setenv("LLMGNN_CACHE", str(tmp_path))
    monkeypatch.setenv("LLMGNN_OFFLINE", "1")
    monkeypatch.delenv("LLMGNN_MIRROR", raising=False)
    monkeypatch.setenv("LLMGNN_SHARED", str(root))
    dataset = catalog.load("gowalla")
    assert dataset.name == "gowalla"
    assert dataset.num_interactions == 1_027_370
    monkeypatch.delenv("LLMGNN_SHARED")
    assert assets.where("gowalla") == tmp_path / "assets" / "gowalla"
    assert catalog.fetch("gowalla") == tmp_path / "assets" / "gowalla"


@pytest.mark.slow
def test_the_published_files_say_the_same(tmp_path: Path) -> None:
    asset = assets.ASSETS["gowalla"]
    folder = tmp_path / "gowalla"
    folder.mkdir()
    try:
        if local := os.environ.get("LLMGNN_MIRROR"):
            LocalMirror(Path(local) / "gowalla", asset.mirrors).fill(folder, tmp_path)
        else:
            asset.mirrors[0].fill(folder, tmp_path)
    except MirrorError as error:
        pytest.skip(f"{asset.mirrors[0].label} is out of reach: {error}")
    assert catalog._content_hash(folder) == asset.content_sha256
    check_gowalla(read_lightgcn(folder))
