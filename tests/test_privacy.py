"""What a run leaves on disk and says: no user's id, no word that a user wrote.

A tiny data set is marked: ids of users, and words of profiles and reviews, that stand
nowhere else. Then every byte of the run folder, the cache and the log is searched, with
what is compressed taken out first, and checkpoints are read back as arrays. What
docs/privacy.md says is stored where is asserted too.
"""

import gzip
import hashlib
import io
import json
import logging
import shutil
import socket
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import tensorstore
from orbax.checkpoint import v1 as ocp

from llmgnn_jax.config import Config, replace
from llmgnn_jax.data import catalog
from llmgnn_jax.training.run import evaluate, fit

USER = "user-MARKER-"
PROFILE, REVIEW = "profilemarker", "reviewmarker"
# In lower case: tokenizers and encoders may fold it.
MARKS = tuple(mark.lower().encode() for mark in (USER, PROFILE, REVIEW))
ITEM = b"itemmarker"


@pytest.fixture(scope="module")
def marked(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`films`, the users renamed, with a profile and reviews by them."""
    folder = tmp_path_factory.mktemp("marked")
    rows = [row.split("\t") for row in (films / "films.inter").read_text().splitlines()]
    users = sorted({row[0] for row in rows[1:]})
    profiles = [f"{USER}{user}\t{PROFILE} likes heists and {PROFILE}" for user in users]
    for suffix, lines in (
        ("user", ["user_id:token\tabout:token_seq", *profiles]),
        (
            "inter",
            [
                "\t".join([*rows[0], "review:token_seq"]),
                *(
                    "\t".join([USER + row[0], *row[1:], f"{REVIEW} a good {REVIEW}"])
                    for row in rows[1:]
                ),
            ],
        ),
    ):
        text = "".join(f"{line}\n" for line in lines)
        (folder / f"films.{suffix}").write_text(text, "utf-8")
    head, *items = (films / "films.item").read_text("utf-8").splitlines()
    titled = [item.replace("\t", f"\t{ITEM.decode()} ", 1) for item in items]
    (folder / "films.item").write_text("\n".join([head, *titled]) + "\n", "utf-8")
    return folder


@pytest.fixture
def config(tiny_config: Config, marked: Path) -> Config:
    return replace(
        tiny_config,
        **{
            "data.source": str(marked),
            "models": ("fused",),
            "train.steps": 4,
            "train.validate_every": 2,
            "train.checkpoint_every": 2,
        },
    )


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for a host or connects to one fails, offline mode or not."""

    def refuse(*arguments: object, **_: object) -> None:
        raise AssertionError(f"the network was asked: {arguments}")

    monkeypatch.setenv("LLMGNN_OFFLINE", "0")
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_a_run_keeps_users_to_itself(
    config: Config,
    marked: Path,
    workplace: Path,
    cache_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    no_network: None,
) -> None:
    cache = workplace / "cache"
    cache.mkdir()
    (cache / "native").symlink_to(cache_folder / "native")
    monkeypatch.setenv("LLMGNN_CACHE", str(cache))
    caplog.set_level(logging.DEBUG)
    fit(config, out=workplace / "run", command="llmgnn train tiny")
    evaluate(workplace / "run", command="llmgnn evaluate run")
    said = (caplog.text + "".join(capfd.readouterr())).lower().encode()
    assert said
    assert not [mark for mark in MARKS if mark in said]
    for folder in (workplace / "run", cache):
        assert marks_in(folder, MARKS) == {}
    # The search finds what is there: the data themselves, and titles in the report.
    assert set().union(*marks_in(marked, MARKS).values()) == set(MARKS)
    titled = marks_in(workplace / "run", (ITEM,))
    assert {Path(name).name for name in titled} == {"results.json", "report.html"}
    stored = marks_in(workplace / "run" / "checkpoints", (b"opt_state",))
    assert "manifest.ocdbt" in {Path(name).name for name in stored}
    check_cache(cache, marked)


def check_cache(cache: Path, marked: Path) -> None:
    """Vectors stand there under the sha256 of their texts."""
    [store] = (cache / "text_vectors").glob("*.vectors")
    profile = catalog.load(marked).user_texts[0]
    assert PROFILE in profile
    assert hashlib.sha256(profile.encode()).digest() in store.read_bytes()


# Read without a template: whatever is there.
@pytest.mark.filterwarnings("ignore:Sharding info not provided")
def test_checkpoints_hold_numbers_alone(config: Config, workplace: Path) -> None:
    trained = replace(
        config, **{"text.mode": "lora", "models": ("text",), "text.texts_per_step": 64}
    )
    fit(trained, out=workplace / "run", command="llmgnn train tiny")
    steps = list((workplace / "run/checkpoints/text").iterdir())
    assert steps
    for step in steps:
        tree = ocp.load(step)
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        assert len(leaves) > 5
        for path, leaf in leaves:
            array = np.asarray(leaf)
            assert array.dtype.kind in "fiubV", path
            raw = jax.tree_util.keystr(path).encode() + array.tobytes()
            assert not [mark for mark in MARKS if mark in raw.lower()], path
    assert marks_in(workplace / "run", MARKS) == {}


def test_ids_are_shown_when_they_are_asked_for(
    finished_run: Path, workplace: Path, llmgnn: Callable[..., Any]
) -> None:
    run = workplace / "run"
    shutil.copytree(finished_run, run)
    before = json.loads((run / "results.json").read_text())
    code, _, err = llmgnn("evaluate", run, "--show-ids")
    assert code == 0, err
    after = json.loads((run / "results.json").read_text())
    config = json.loads((run / "config.json").read_text())
    users = catalog.load(config["data"]["source"]).user_ids
    assert [one["label"] for one in before["examples"]] == [
        "User A",
        "User B",
        "User C",
    ]
    for letter, one in zip("ABC", after["examples"], strict=True):
        label, _, id_ = one["label"].removesuffix(")").partition(" (id ")
        assert label == f"User {letter}"
        assert id_ in users
        assert one["label"] in (run / "report.html").read_text()


def test_ids_of_what_has_no_users(workplace: Path, refused: Callable[..., str]) -> None:
    assert refused("train", "cora-gcn", "--show-ids", "--out", workplace / "run") == (
        "--show-ids: expected a run that ranks items for users, got node_classification"
    )
    assert not (workplace / "run").exists()


def marks_in(folder: Path, marks: tuple[bytes, ...]) -> dict[str, set[bytes]]:
    """File -> which of the marks stand in it, in its name or in what it unpacks to."""
    found: dict[str, set[bytes]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            for content in (str(path.relative_to(folder)).encode(), *unpacked(path)):
                here = {mark for mark in marks if mark in content.lower()}
                if here:
                    found.setdefault(str(path), set()).update(here)
    return found


def unpacked(path: Path) -> Iterator[bytes]:
    """A file's bytes, and those that it holds compressed."""
    raw = path.read_bytes()
    yield raw
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            yield from map(archive.read, archive.namelist())
    elif raw[:2] == b"\x1f\x8b":
        yield gzip.decompress(raw)
    elif path.name == "manifest.ocdbt":
        store = tensorstore.KvStore.open(f"file://{path.parent}/|ocdbt:").result()
        for key in store.list().result():
            yield key
            yield store.read(key).result().value
    elif raw[:1] == b"\x78":
        yield zlib.decompress(raw)
