"""`llmgnn encode`: what it stores, prints and writes, and how it refuses."""

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest

from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.store import VectorStore

TEXTS = ["space robots", "bank heist", "", "space robots", "jazz music 3"]


@pytest.fixture
def own_cache(workplace, monkeypatch):
    """A cache that holds nothing yet, in an empty current folder."""
    monkeypatch.setenv("LLMGNN_CACHE", str(workplace / "cache"))
    return workplace / "cache"


@pytest.fixture
def texts_file(workplace):
    (workplace / "texts.txt").write_text("\n".join(TEXTS) + "\n", "utf-8")
    return "texts.txt"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_texts_are_encoded_once_and_the_file_holds_them_in_order(
    llmgnn, own_cache, texts_file, tiny_encoder, workplace
):
    command = ("encode", texts_file, "--encoder", tiny_encoder)
    code, out, err = llmgnn(*command, "--out", "vectors.npy")
    assert code == 0, err
    assert "texts: 5/5" in err
    assert "texts/s" in err
    lines = out.splitlines()
    assert lines[0].split(None, 1) == ["texts", "5 (4 distinct)"]
    assert lines[1].startswith("encoded  4, 0 from the store; ")
    assert "% padding" in lines[1]
    store = own_cache / "text_vectors"
    assert lines[2].split() == ["store", str(store / names(store)[0])]
    assert lines[3].split(None, 1) == ["out", "vectors.npy (5 x 32)"]
    assert names(workplace) == ["cache", "texts.txt", "vectors.npy"]
    vectors = np.load("vectors.npy")
    assert vectors.dtype == np.float32
    encoder = TextEncoder.load(tiny_encoder)
    np.testing.assert_array_equal(vectors, encoder.encode(TEXTS))

    code, out, err = llmgnn(*command)
    assert "encoded  0, 4 from the store\n" in out
    assert "texts/s" not in out + err, "nothing was encoded"


def test_json_is_the_only_thing_on_stdout(llmgnn, own_cache, texts_file, tiny_encoder):
    command = ("encode", texts_file, "--encoder", tiny_encoder, "--json")
    code, out, _ = llmgnn(*command)
    assert code == 0
    document = json.loads(out)
    encoder = TextEncoder.load(tiny_encoder)
    tokens = sum(batch.tokens for batch in encoder.encode_batches(sorted(set(TEXTS))))
    store = own_cache / "text_vectors" / f"{encoder.identity}.vectors"
    expected = {
        "texts": 5,
        "distinct": 4,
        "encoded": 4,
        "reused": 0,
        "tokens": tokens,
        "encoder": str(tiny_encoder),
        "identity": encoder.identity,
        "dim": 32,
        "store": str(store),
        "out": None,
    }
    assert expected.items() <= document.items()
    assert 0 < document["padding_waste"] < 1
    assert document["texts_per_s"] == pytest.approx(4 / document["seconds"])
    assert document["tokens_per_s"] == pytest.approx(tokens / document["seconds"])
    assert len(VectorStore.open(store.parent, identity=encoder.identity, dim=32)) == 4
    again = json.loads(llmgnn(*command)[1])
    assert (again["encoded"], again["reused"], again["padding_waste"]) == (0, 4, None)


def test_options_lead_to_another_store(llmgnn, own_cache, texts_file, tiny_encoder):
    command = ("encode", texts_file, "--encoder", tiny_encoder)
    for options in (
        (),
        ("--pooling", "cls"),
        ("--max-length", 16),
        ("--dtype", "bfloat16"),
    ):
        code, out, err = llmgnn(*command, *options)
        assert code == 0, err
        assert "encoded  4, 0 from the store" in out
    assert len(names(own_cache / "text_vectors")) == 4


def test_one_percent_changed_is_one_percent_encoded(
    llmgnn, own_cache, tiny_encoder, workplace, monkeypatch
):
    texts = [f"robots {n // 20} heist {n % 20}" for n in range(200)]
    asked = []
    encode_batches = TextEncoder.encode_batches

    def spy(self, given):
        asked.extend(given)
        return encode_batches(self, given)

    monkeypatch.setattr(TextEncoder, "encode_batches", spy)
    for changed in ({}, {17: "whale", 141: "castle siege"}):
        for row, text in changed.items():
            texts[row] = text
        (workplace / "texts.jsonl").write_text(
            "\n".join(json.dumps({"words": text}) for text in texts)
        )
        asked.clear()
        command = ("encode", "texts.jsonl", "--column", "words", "--json")
        code, out, err = llmgnn(*command, "--encoder", tiny_encoder)
        assert code == 0, err
        assert sorted(asked) == sorted(changed.values() if changed else texts)
        assert json.loads(out)["encoded"] == len(asked)


def test_an_empty_text_and_a_megabyte(llmgnn, own_cache, tiny_encoder, workplace):
    (workplace / "texts.txt").write_text("\n" + "robots " * 150_000 + "\n")
    llmgnn("encode", "texts.txt", "--encoder", tiny_encoder, "--max-length", 16)
    tracemalloc.start()
    started = time.perf_counter()
    code, out, err = llmgnn(
        "encode", "texts.txt", "--encoder", tiny_encoder, "--out", "v.npy", "--json"
    )
    seconds, peak = time.perf_counter() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert code == 0, err
    assert json.loads(out)["tokens"] == 2 + 256
    np.testing.assert_allclose(np.linalg.norm(np.load("v.npy"), axis=1), 1, atol=1e-6)
    # The compilation of two shapes included.
    assert seconds < 10
    assert peak < 64 * 2**20


def test_a_mistake_in_the_words_is_one_line(refused, own_cache, texts_file, workplace):
    for arguments, part in (
        ([], "TEXTS"),
        ([texts_file, "--pooling", "max"], "'max'"),
        ([texts_file, "--dtype", "float16"], "'float16'"),
        ([texts_file, "--max-length", "0"], "--max-length: expected a number of tok"),
        ([texts_file, "--max-length", "many"], "'many'"),
        ([texts_file, "--colum", "a"], "--colum: expected an option of llmgnn encode"),
        ([texts_file, "--column", "a"], "--column: expected a file of records"),
        ([texts_file, "--encoder", "minilm"], "did you mean 'minilm-l6'?"),
        (["none.txt"], "none.txt: expected a file of texts, got No such file"),
        (["."], ".: expected a file of texts, got a folder"),
        ([texts_file, "--out", "."], ".: expected a file that can be written"),
        ([texts_file, "--out", "no/v.npy"], "no/v.npy: expected a file that can be"),
        ([texts_file, "--out", f"./{texts_file}"], "--out: expected another file than"),
    ):
        assert part in refused("encode", *arguments)
    assert not own_cache.exists()
    assert (workplace / texts_file).read_text("utf-8").splitlines() == TEXTS


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.txt", b"", "a.txt: expected at least one text, got 0 texts"),
        ("a.txt", b"a\n\xff", "a.txt, line 2, byte 2 of the file: expected UTF-8"),
        ("a.jsonl", b'{"text": "a"}\n[]', "a.jsonl, line 2: expected a JSON object"),
        ("a.jsonl", b'{"texts": "a"}', "line 1: expected a field 'text', got 'texts'"),
        ("a.csv", b"titel,id\na,1", "a.csv, header: expected a field 'title', got"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    refused, own_cache, workplace, name, content, part
):
    (workplace / name).write_bytes(content)
    column = ("--column", "title") if name == "a.csv" else ()
    assert part in refused("encode", name, *column, "--out", "v.npy")
    assert names(workplace) == [name]


@pytest.fixture
def broken(tiny_encoder, workplace):
    """(file, how its bytes change) -> a copy of the encoder that is broken there."""

    def copy(name, change):
        folder = workplace / "broken"
        folder.mkdir()
        for path in tiny_encoder.iterdir():
            data = path.read_bytes()
            if path.name == name:
                data = change(data)
            if data is not None:
                (folder / path.name).write_bytes(data)
        return folder

    return copy


@pytest.mark.parametrize(
    ("name", "change", "parts"),
    [
        ("config.json", lambda _: None, ["config.json: expected the encoder's config"]),
        ("config.json", lambda data: data[:-9], ["config.json: expected JSON"]),
        (
            "config.json",
            lambda data: data.replace(b'"bert"', b'"t5"'),
            ["model_type: expected one of ", "bert", "roberta", "got 't5'"],
        ),
        (
            "config.json",
            lambda data: data.replace(b'"bert"', b'["bert"]'),
            ["model_type: expected one of ", "got ['bert']"],
        ),
        ("config.json", lambda _: b"[" * 100_000, ["config.json: expected JSON"]),
        (
            "model.safetensors",
            lambda data: data[:-64] + b"\x00\x00\xc0\x7f" * 16,
            ["encoder: expected weights that give finite vectors"],
        ),
        (
            "model.safetensors",
            lambda data: data[:-1000],
            ["model.safetensors: expected a whole safetensors file", "truncated"],
        ),
        ("model.safetensors", lambda data: data[:4], ["a whole safetensors file"]),
        ("model.safetensors", lambda _: None, ["a file model.safetensors, got none"]),
        (
            "vocab.txt",
            lambda _: None,
            ["a tokenizer.json, or the vocab.txt", "neither"],
        ),
        ("vocab.txt", lambda data: b"\xff" + data, ["a BERT's vocab.txt"]),
    ],
)
def test_an_encoder_that_cannot_be_read_is_one_line(
    refused, own_cache, texts_file, broken, workplace, name, change, parts
):
    folder = broken(name, change)
    line = refused("encode", texts_file, "--encoder", folder, "--out", "vectors.npy")
    for part in parts:
        assert part in line
    # Kernels that no test before has built are all that the cache may hold.
    assert [one for one in names(workplace) if one != "cache"] == [
        *("broken", "texts.txt"),
    ]
    assert not own_cache.exists() or names(own_cache) == ["native"]


def store_of(cache):
    """The bytes of the only store, and key -> vector bytes by its description."""
    (path,) = (cache / "text_vectors").iterdir()
    data, size = path.read_bytes(), 32 + 4 * 32 + 8
    assert len(data) % size == 0
    records = [data[start : start + size] for start in range(0, len(data), size)]
    found = {record[:32]: record[32:-8] for record in records}
    assert len(found) == len(records), "a text is stored twice"
    return path, found


@pytest.mark.slow
def test_a_killed_command_goes_on_where_it_was(tiny_encoder, workplace):
    """`kill -9` in the middle, then the same: the bytes of an uninterrupted run."""
    words = ["space", "robots", "heist", "jazz", "whale", "castle", "kitchen", "letter"]
    rng = np.random.default_rng(0)
    texts = [
        " ".join([*rng.choice(words, rng.integers(1, 40)), *str(n)])
        for n in range(20_000)
    ]
    (workplace / "texts.txt").write_text("\n".join(texts) + "\n")
    command = [
        *(sys.executable, "-m", "llmgnn_jax.cli", "encode", "texts.txt"),
        *("--encoder", str(tiny_encoder), "--out", "vectors.npy", "--json"),
    ]

    def start(cache):
        return subprocess.Popen(
            command,
            env=os.environ | {"LLMGNN_CACHE": str(workplace / cache)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    process = start("killed")
    folder, deadline = workplace / "killed" / "text_vectors", time.monotonic() + 120
    while not (
        folder.exists() and any(p.stat().st_size > 168_000 for p in folder.iterdir())
    ):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    (path,) = folder.iterdir()
    done = path.stat().st_size // 168
    assert 1000 <= done < 20_000
    assert not (workplace / "vectors.npy").exists()

    process = start("killed")
    summary = json.loads(process.communicate(timeout=240)[0])
    assert (summary["encoded"], summary["reused"]) == (20_000 - done, done)
    vectors = np.load(workplace / "vectors.npy")
    assert names(workplace) == ["killed", "texts.txt", "vectors.npy"]

    process = start("whole")
    assert json.loads(process.communicate(timeout=240)[0])["encoded"] == 20_000
    path, found = store_of(workplace / "killed")
    other, expected = store_of(workplace / "whole")
    assert path.name == other.name
    assert found == expected
    np.testing.assert_array_equal(np.load(workplace / "vectors.npy"), vectors)


@pytest.mark.slow
def test_two_commands_at_once_share_the_work_and_the_file(tiny_encoder, workplace):
    for name, start in (("one", 0), ("two", 2000)):
        lines = (f"robots {' '.join(str(n))}" for n in range(start, start + 4000))
        (workplace / f"{name}.txt").write_text("\n".join(lines) + "\n")
    both = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "llmgnn_jax.cli", "encode", f"{name}.txt"),
                *("--encoder", str(tiny_encoder), "--json"),
            ],
            env=os.environ | {"LLMGNN_CACHE": str(workplace / "cache")},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for name in ("one", "two")
    ]
    for process in both:
        summary = json.loads(process.communicate(timeout=240)[0])
        assert summary["distinct"] == 4000
    assert len(store_of(workplace / "cache")[1]) == 6000
