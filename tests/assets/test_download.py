"""Downloads: resumed, redirected, checked, given up on silence."""

import hashlib
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from llmgnn_jax.assets import download as http_download
from llmgnn_jax.assets.download import MirrorError, WrongBytesError, download

OTHER = b"ein zwei drei\n" * 5_000


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def words(server: Any) -> bytes:
    """The body that the server has under /<behaviour>/words."""
    body: bytes = server.bodies["words"]
    return body


@pytest.mark.parametrize("kind", ["plain", "moved", "drops"])
def test_download(server: Any, words: bytes, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "new" / "words"
    download(server.url(f"/{kind}/words"), target, sha256=sha(words))
    assert target.read_bytes() == words
    assert list(target.parent.iterdir()) == [target]
    asked = len(server.requests)
    download(server.url(f"/{kind}/words"), target, sha256=sha(words))
    assert len(server.requests) == asked  # it is there


@pytest.mark.parametrize("kind", ["plain", "norange"])
def test_a_partial_download_is_resumed(
    server: Any, words: bytes, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "words.part").write_bytes(words[:12_345])
    download(server.url(f"/{kind}/words"), tmp_path / "words", sha256=sha(words))
    assert (tmp_path / "words").read_bytes() == words
    assert server.requests == [(f"/{kind}/words", "bytes=12345-")]


def test_a_complete_part_needs_no_more_bytes(
    server: Any, words: bytes, tmp_path: Path
) -> None:
    (tmp_path / "words.part").write_bytes(words)
    download(server.url("/plain/words"), tmp_path / "words", sha256=sha(words))
    assert (tmp_path / "words").read_bytes() == words


@pytest.mark.parametrize("stale", [OTHER[:999], OTHER * 2])
def test_a_stale_part_is_fetched_again(
    server: Any, words: bytes, tmp_path: Path, stale: bytes
) -> None:
    (tmp_path / "words.part").write_bytes(stale)
    download(server.url("/plain/words"), tmp_path / "words", sha256=sha(words))
    assert (tmp_path / "words").read_bytes() == words
    assert server.requests[-1] == ("/plain/words", None)


def test_wrong_bytes_are_refused(server: Any, words: bytes, tmp_path: Path) -> None:
    server.bodies["words"] = OTHER
    with pytest.raises(WrongBytesError, match=f"{sha(OTHER)[:12]}.*{sha(words)[:12]}"):
        download(server.url("/plain/words"), tmp_path / "words", sha256=sha(words))
    assert list(tmp_path.iterdir()) == []


def test_http_errors(server: Any, words: bytes, tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match="HTTP 404"):
        download(server.url("/plain/gone"), tmp_path / "gone", sha256=sha(words))


@pytest.mark.parametrize(("kind", "kept"), [("silent", 0), ("stalls", 1000)])
def test_silence_is_given_up(
    server: Any, words: bytes, tmp_path: Path, kind: str, kept: int
) -> None:
    assert http_download.SILENCE_SECONDS == 5.0
    began = time.monotonic()
    with pytest.raises(MirrorError, match=r"silent for 0\.3 s"):
        download(
            server.url(f"/{kind}/words"),
            tmp_path / "words",
            sha256=sha(words),
            silence=0.3,
        )
    assert 0.25 < time.monotonic() - began < 3
    part = tmp_path / "words.part"
    assert (part.stat().st_size if part.exists() else 0) == kept
    # What had come is used the next time.
    download(server.url("/plain/words"), tmp_path / "words", sha256=sha(words))
    assert server.requests[-1][1] == (f"bytes={kept}-" if kept else None)


def test_a_name_that_is_looked_up_forever_is_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()

    def stuck(*args: Any, **kwargs: Any) -> Any:
        done.wait(5)
        raise socket.gaierror("stopped")

    monkeypatch.setattr(socket, "getaddrinfo", stuck)
    began = time.monotonic()
    with pytest.raises(MirrorError, match="silent"):
        download("http://a.example/x", tmp_path / "x", sha256="", silence=0.2)
    assert time.monotonic() - began < 2
    done.set()


def test_no_such_host_fails_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    began = time.monotonic()
    with pytest.raises(MirrorError, match="Name or service not known"):
        download("http://a.example/x", tmp_path / "x", sha256="")
    assert time.monotonic() - began < 2
