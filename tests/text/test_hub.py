"""Encoders by their name on the hub: a hub of the tests' own, and no network."""

import hashlib
import http.server
import json
import socket
import threading

import huggingface_hub
import pytest
from huggingface_hub import constants

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.pretrained.hub import fetch_from_hub, is_hub_name
from llmgnn_jax.text.sources import load_text_encoder

NAME = "someone/tiny-bert"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# What a hub answers for a model that is not there, not shown, or not given.
REFUSALS = {
    "someone/absent": (404, "RepoNotFound"),
    "someone/gated": (403, "GatedRepo"),
    "someone/broken": (500, ""),
}


class Hub(http.server.ThreadingHTTPServer):
    """As much of the hub's protocol as a download of a snapshot takes."""

    daemon_threads = True

    def __init__(self, models):
        super().__init__(("127.0.0.1", 0), Handler)
        self.models = models
        self.served = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0].strip("/")
        name = "/".join(path.removeprefix("api/models/").split("/")[:2])
        if name not in self.server.models:
            status, code = REFUSALS[name]
            self.answer(b"{}", status=status, headers={"X-Error-Code": code})
            return
        files = self.server.models[name]
        if path == f"api/models/{name}/tree/{COMMIT}":
            entries = [
                {"type": "file", "path": file, "size": len(body), "oid": digest(body)}
                for file, body in files.items()
            ]
            self.answer(json.dumps(entries).encode())
        elif path.startswith("api/"):
            info = {"id": name, "sha": COMMIT, "siblings": []}
            self.answer(json.dumps(info).encode())
        else:
            file = path.partition(f"/resolve/{COMMIT}/")[2]
            if self.command == "GET":
                self.server.served.append(file)
            headers = {"ETag": f'"{digest(files[file])}"', "X-Repo-Commit": COMMIT}
            self.answer(files[file], headers=headers)

    def answer(self, body, *, status=200, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def digest(body):
    return hashlib.sha1(body).hexdigest()


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty cache, current folder and no tokens; the network is still there."""
    for name in ("LLMGNN_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "hub"


def ask(endpoint, monkeypatch):
    """Has the client ask another hub; it reads HF_ENDPOINT when it is imported."""
    files = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + files)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)


@pytest.fixture
def hub(tiny_encoder, hub_cache, monkeypatch):
    files = {path.name: path.read_bytes() for path in tiny_encoder.iterdir()}
    extra = {
        "tokenizer_config.json": b'{"do_lower_case": true}',
        "pytorch_model.bin": b"\x80\x04\x95",
        "onnx/model.onnx": b"onnx",
        "2_Dense/model.safetensors": b"of another module",
        "README.md": b"words",
    }
    models = {
        NAME: files | extra,
        "someone/pickled": {
            **{name: files[name] for name in ("config.json", "vocab.txt")},
            "pytorch_model.bin": b"\x80\x04\x95",
        },
    }
    with Hub(models) as running:
        ask(running.url, monkeypatch)
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def no_network(monkeypatch):
    """Fails the test that opens a connection."""

    def refuse(self, address):
        pytest.fail(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def line_of(name):
    with pytest.raises(UserError) as caught:
        load_text_encoder(name)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_what_is_a_name_of_the_hub():
    for name in (NAME, "BAAI/bge-m3", "a/b", "0x/y_z.1"):
        assert is_hub_name(name)
    for name in (
        *("minilm-l6", "/a/b", "./a", "../a", "a/b/c", "a/", "/b", "a b/c", "~/a"),
        *("models/tiny.gguf", "words/glove.vec", "é/b", "a/b\n"),
    ):
        assert not is_hub_name(name)


def test_an_encoder_is_fetched_once_and_without_what_it_does_not_read(
    hub, hub_cache, tiny_encoder, monkeypatch
):
    encoder = load_text_encoder(NAME, max_length=64)
    assert sorted(hub.served) == [
        *("config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt")
    ]
    expected = TextEncoder.load(tiny_encoder, max_length=64)
    texts = ["a heist", ""]
    assert (encoder.encode(texts) == expected.encode(texts)).all()

    # It is in the cache now: nobody is asked.
    def unasked(name, *, local_files_only, **options):
        assert local_files_only
        return download(name, local_files_only=True, **options)

    download = huggingface_hub.snapshot_download
    monkeypatch.setattr(huggingface_hub, "snapshot_download", unasked)
    assert fetch_from_hub(NAME).is_relative_to(hub_cache)
    monkeypatch.setenv("LLMGNN_OFFLINE", "1")
    assert TextEncoder.load(NAME, max_length=64).identity == encoder.identity


def test_a_snapshot_that_lacks_weights_is_fetched_again(hub):
    folder = fetch_from_hub(NAME)
    weights = folder / "model.safetensors"
    (folder / "model.safetensors").resolve().unlink()
    weights.unlink()
    hub.served.clear()
    assert fetch_from_hub(NAME) == folder
    assert hub.served == ["model.safetensors"]


def test_a_folder_of_that_name_wins(hub_cache, no_network, tiny_encoder, tmp_path):
    folder = tmp_path / "work" / NAME
    folder.parent.mkdir()
    folder.symlink_to(tiny_encoder)
    assert TextEncoder.load(NAME).identity == TextEncoder.load(tiny_encoder).identity


def test_refusals_are_one_line(hub):
    assert line_of("someone/absent") == (
        "someone/absent: expected a folder, or a model of the Hugging Face hub, got "
        "neither; check the name; for a private model log in with `hf auth login`"
    )
    assert "got one whose owner asks for consent first" in line_of("someone/gated")
    assert line_of("someone/pickled").endswith(
        "got one with no safetensors, or not all of them; pickles are never opened: "
        "choose a model that is saved as safetensors"
    )
    assert "pytorch_model.bin" not in hub.served
    broken = line_of("someone/broken")
    assert "an error of the hub (" in broken
    assert "500" in broken
    assert "expected a folder or a name of the hub" in line_of("a..b/c--d")


def test_a_hub_that_is_out_of_reach_is_one_line(hub_cache, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ask(f"http://127.0.0.1:{closed.getsockname()[1]}", monkeypatch)
    line = line_of(NAME)
    assert line.startswith(f"{NAME}: expected a folder, or a model that can be fetched")
    assert line.endswith("connect to the network, or name a folder")
    assert "refused" in line


@pytest.mark.parametrize("variable", ["LLMGNN_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nobody_is_asked(hub_cache, no_network, monkeypatch, variable):
    if variable == "LLMGNN_OFFLINE":
        monkeypatch.setenv(variable, "1")
    else:
        monkeypatch.setattr(constants, variable, True)
    line = line_of(NAME)
    assert f"({hub_cache}), got none that is whole" in line
    assert line.endswith(f"unset {variable} to fetch it, or name a folder")

    # What a cache looks like when only the configuration has come so far.
    folder = hub_cache / "models--someone--tiny-bert"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    assert "got one with no config.json; unset" in line_of(NAME)
    (snapshot / "config.json").write_text("{}")
    assert "got one with no tokenizer.json or vocab.txt; unset" in line_of(NAME)
    (snapshot / "vocab.txt").write_text("")
    assert "got one with no safetensors, or not all of them; unset" in line_of(NAME)


def test_a_cache_that_was_filled_by_hand_is_read_offline(
    hub_cache, no_network, monkeypatch, tiny_encoder
):
    folder = hub_cache / "models--someone--tiny-bert"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    (folder / "snapshots").mkdir()
    (folder / "snapshots" / COMMIT).symlink_to(tiny_encoder)
    monkeypatch.setenv("LLMGNN_OFFLINE", "1")
    assert TextEncoder.load(NAME).identity == TextEncoder.load(tiny_encoder).identity
