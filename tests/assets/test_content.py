"""Assets that are known by what they say: their bytes may differ from copy to copy."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmgnn_jax import assets
from llmgnn_jax.assets import cache
from llmgnn_jax.assets.mirrors import Mirror
from llmgnn_jax.errors import UserError

FIRST, OTHER_ORDER, OTHER = b"a b\n", b"b a\n", b"a c\n"


def digest(folder: Path) -> str:
    """Of the words, in whichever order and file."""
    [file] = folder.glob("words.*")
    text = file.read_text()
    words = json.loads(text) if file.suffix == ".json" else text.split()
    if not words:
        raise UserError("there are no words")
    return hashlib.sha256(" ".join(sorted(words)).encode()).hexdigest()


CONTENT = hashlib.sha256(b"a b").hexdigest()


@pytest.fixture
def bag(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The asset "bag", served in one order of its words; the server that serves it."""
    for name in ("LLMGNN_MIRROR", "LLMGNN_SHARED", "LLMGNN_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LLMGNN_CACHE", str(tmp_path / "cache"))
    server.bodies["bag/words.txt"] = FIRST
    monkeypatch.setitem(assets.ASSETS, "bag", make(server))
    cache._checked.clear()
    return server


def make(server: Any, content: str = CONTENT, path: str = "/plain") -> assets.Asset:
    files = {"words.txt": assets.Member("words.txt", "", len(FIRST))}
    return assets.Asset(
        name="bag",
        description="two words",
        terms="none",
        content_sha256=content,
        shared_name="bag-of-words",
        mirrors=(assets.Files(url=server.url(f"{path}/bag"), files=files),),
        local=(Mirror(files={"words.json": assets.Member("words.json", "", 10)}),),
    )


def fetch(using: Callable[[Path], str] = digest) -> Path:
    return assets.fetch("bag", digest=using)


@pytest.mark.parametrize("served", [FIRST, OTHER_ORDER])
def test_any_bytes_of_the_right_content(bag: Any, served: bytes) -> None:
    bag.bodies["bag/words.txt"] = served
    assert assets.where("bag") is None
    folder = fetch()
    assert (folder / "words.txt").read_bytes() == served
    assert assets.where("bag") == folder
    cache._checked.clear()
    assert (fetch(), assets.where("bag")) == (folder, folder)
    assert [path for path, _ in bag.requests] == ["/plain/bag/words.txt"]


def test_other_content_is_refused_and_not_kept(bag: Any, tmp_path: Path) -> None:
    bag.bodies["bag/words.txt"] = OTHER
    with pytest.raises(UserError, match=rf"served content .* expected {CONTENT[:12]}"):
        fetch()
    bag.bodies["bag/words.txt"] = b"\n"
    with pytest.raises(UserError, match="cannot be read: there are no words"):
        fetch()
    assert assets.where("bag") is None
    assert not [path for path in (tmp_path / "cache").rglob("*.txt") if path.is_file()]
    bag.bodies["bag/words.txt"] = FIRST
    assert (fetch() / "words.txt").read_bytes() == FIRST


def test_without_a_digest_nobody_could_tell(bag: Any) -> None:
    with pytest.raises(ValueError, match="asset bag is known by its content"):
        assets.fetch("bag")
    assert bag.requests == []


def test_what_an_earlier_attempt_left_is_not_built_upon(
    bag: Any, tmp_path: Path
) -> None:
    part = tmp_path / "cache" / "downloads" / "bag" / "any-words.txt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"c d e")
    assert (fetch() / "words.txt").read_bytes() == FIRST
    assert bag.requests == [("/plain/bag/words.txt", None)]


def test_a_connection_that_drops_is_still_taken_up(
    bag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = " ".join(f"w{n}" for n in range(5_000)).encode()
    content = hashlib.sha256(b" ".join(sorted(words.split()))).hexdigest()
    bag.bodies["bag/words.txt"] = words
    monkeypatch.setitem(assets.ASSETS, "bag", make(bag, content, "/drops"))
    assert (fetch() / "words.txt").read_bytes() == words
    assert len(bag.requests) > 1


def test_a_cached_file_that_changes_is_noticed(bag: Any) -> None:
    (fetch() / "words.txt").write_bytes(OTHER)
    cache._checked.clear()
    assert assets.where("bag") is None
    assert (fetch() / "words.txt").read_bytes() == FIRST


def test_a_cache_of_other_content_is_of_another_version(
    bag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch()
    cache._checked.clear()
    changed = hashlib.sha256(b"a c").hexdigest()
    monkeypatch.setitem(assets.ASSETS, "bag", make(bag, changed))
    assert assets.where("bag") is None
    bag.bodies["bag/words.txt"] = OTHER
    assert (fetch() / "words.txt").read_bytes() == OTHER


@pytest.mark.parametrize(
    ("variable", "name"), [("LLMGNN_MIRROR", "bag"), ("LLMGNN_SHARED", "bag-of-words")]
)
@pytest.mark.parametrize(
    ("file", "body"), [("words.txt", OTHER_ORDER), ("words.json", b'["b", "a"]')]
)
def test_local_folders_go_first_in_any_layout(
    bag: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    name: str,
    file: str,
    body: bytes,
) -> None:
    local = tmp_path / "local" / name
    local.mkdir(parents=True)
    (local / file).write_bytes(body)
    (local / "SOURCE.txt").write_bytes(b"where it comes from")
    monkeypatch.setenv(variable, str(tmp_path / "local"))
    monkeypatch.setenv("LLMGNN_OFFLINE", "1")
    folder = fetch()
    assert (folder / file).read_bytes() == body
    assert not (folder / "SOURCE.txt").exists()
    assert bag.requests == []
    marker = json.loads((folder / cache.MARKER).read_text())
    assert marker["mirror"] == f"{variable} {local}"
    cache._checked.clear()
    assert assets.where("bag") == folder


def test_wrong_local_content_is_named_and_the_network_asked(
    bag: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    local = tmp_path / "local" / "bag-of-words"
    local.mkdir(parents=True)
    (local / "words.txt").write_bytes(OTHER)
    monkeypatch.setenv("LLMGNN_SHARED", str(tmp_path / "local"))
    assert (fetch() / "words.txt").read_bytes() == FIRST
    assert f"LLMGNN_SHARED {local}: served content" in caplog.text


def test_nothing_anywhere_names_both_variables(
    bag: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag.bodies.clear()
    with pytest.raises(UserError) as caught:
        fetch()
    for part in (
        "LLMGNN_MIRROR (not set); LLMGNN_SHARED (not set); ",
        "set LLMGNN_MIRROR to a folder that holds bag/ with words.txt or LLMGNN_SHARED "
        "to a folder that holds bag-of-words/ with words.txt",
    ):
        assert part in str(caught.value)
    monkeypatch.setenv("LLMGNN_SHARED", str(tmp_path / "local"))
    with pytest.raises(UserError) as caught:
        fetch()
    assert "LLMGNN_SHARED (not set)" not in str(caught.value)
    assert "local/bag-of-words (no such folder)" in str(caught.value)
