"""The store: nothing is encoded twice, nothing wrong is returned, nothing is lost."""

import hashlib
import signal
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

import llmgnn_jax.text.store as module
from llmgnn_jax.errors import UserError
from llmgnn_jax.text.interface import EncodedBatch
from llmgnn_jax.text.store import VectorStore, default_folder
from llmgnn_jax.text.tiny_bert import tiny_bert

DIM = 6
RECORD = 32 + 4 * DIM + 8


@dataclass
class CountingEncoder:
    """Vectors from a hash of the text, without JAX; keeps what it was asked for."""

    identity: str = "a" * 64
    dim: int = DIM

    def __post_init__(self):
        self.asked: list[str] = []

    def encode_batches(self, texts) -> Iterator[EncodedBatch]:
        self.asked += texts
        for start in range(0, len(texts), 3):
            rows = np.arange(start, min(start + 3, len(texts)))[::-1]
            vectors = np.stack([vector_of(texts[row]) for row in rows])
            yield EncodedBatch(rows=rows, vectors=vectors, tokens=10, places=12)


def vector_of(text):
    digest = hashlib.sha512(text.encode("utf-8", "surrogatepass")).digest()
    return np.frombuffer(digest, np.uint8)[:DIM].astype(np.float32)


def expected_of(texts):
    return np.stack([vector_of(text) for text in texts])


def records_of(path, *, identity="a" * 64, dim=DIM):
    """Key -> vector bytes, read by the format's description and nothing else.

    There is nothing in the file but whole records, each key once, each checksum right.
    """
    data, size = path.read_bytes(), 32 + 4 * dim + 8
    assert len(data) % size == 0
    found = {}
    for start in range(0, len(data), size):
        key, vector, check = (
            data[start : start + 32],
            data[start + 32 : start + size - 8],
            data[start + size - 8 : start + size],
        )
        owner = f"{identity} {dim}".encode()
        hashed = hashlib.blake2b(owner + key + vector, digest_size=8).digest()
        assert hashed == check
        assert key not in found, "a text is stored twice"
        found[key] = vector
    return found


def open_store(folder, identity="a" * 64):
    return VectorStore.open(folder, identity=identity, dim=DIM)


def texts_of(number, start=0):
    return [f"text {n}" for n in range(start, start + number)]


def test_each_distinct_text_is_encoded_once(tmp_path):
    encoder, texts = CountingEncoder(), ["b", "a", "b", "", "\ud800", "a", "我"]
    vectors, report = open_store(tmp_path).encode(texts, encoder)
    np.testing.assert_array_equal(vectors, expected_of(texts))
    assert vectors.dtype == np.float32
    assert sorted(encoder.asked) == sorted(set(texts))
    assert (report.encoded, report.reused, report.tokens) == (5, 0, 20)

    store = open_store(tmp_path)
    assert len(store) == 5
    vectors, report = store.encode([*texts, "new"], encoder)
    assert encoder.asked[5:] == ["new"]
    assert (report.encoded, report.reused, report.tokens) == (1, 5, 10)
    np.testing.assert_array_equal(vectors, expected_of([*texts, "new"]))


def test_a_second_run_encodes_nothing(tmp_path):
    """With a real encoder, loaded anew: its identity leads to the same file."""
    words, texts = ["heist", "robots"], ["heist", "robots heist", ""]
    first = tiny_bert(words)
    store = VectorStore.open(tmp_path, identity=first.identity, dim=first.dim)
    expected, report = store.encode(texts, first)
    assert (report.encoded, report.tokens) == (3, 3 + 4 + 2)

    second = tiny_bert(words)
    store = VectorStore.open(tmp_path, identity=second.identity, dim=second.dim)
    got, report = store.encode(texts, second)
    assert (report.encoded, report.reused, report.tokens) == (0, 3, 0)
    assert second.num_compilations == 0
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(got, first.encode(texts))


def test_one_percent_changed_is_one_percent_encoded(tmp_path):
    encoder, texts = CountingEncoder(), texts_of(300)
    open_store(tmp_path).encode(texts, encoder)
    texts[100:103] = ["changed 0", "changed 1", "changed 2"]
    vectors, report = open_store(tmp_path).encode(texts, encoder)
    assert (report.encoded, report.reused) == (3, 297)
    np.testing.assert_array_equal(vectors, expected_of(texts))


def test_encoders_do_not_share_vectors(tmp_path):
    open_store(tmp_path).encode(["a"], CountingEncoder())
    other = CountingEncoder(identity="b" * 64)
    assert open_store(tmp_path, "b" * 64).encode(["a"], other).report.encoded == 1
    with pytest.raises(ValueError, match="encoder: expected identity aaa"):
        open_store(tmp_path).encode(["a"], other)
    # Nor under a file name that is not theirs: the checksum knows the identity.
    (tmp_path / f"{'b' * 64}.vectors").rename(tmp_path / f"{'c' * 64}.vectors")
    moved = CountingEncoder(identity="c" * 64)
    assert open_store(tmp_path, "c" * 64).encode(["a"], moved).report.encoded == 1


@pytest.mark.parametrize("part", ["key", "vector", "check"])
def test_a_flipped_bit_costs_its_own_record_alone(tmp_path, part, caplog):
    encoder, texts = CountingEncoder(), texts_of(20)
    store = open_store(tmp_path)
    store.encode(texts, encoder)
    offset = {"key": 0, "vector": 32 + 5, "check": RECORD - 1}[part]
    original = store.path.read_bytes()
    data = bytearray(original)
    data[7 * RECORD + offset] ^= 0x10
    store.path.write_bytes(data)

    encoder.asked.clear()
    vectors, report = open_store(tmp_path).encode(texts, encoder)
    assert (report.encoded, report.reused) == (1, 19)
    key = hashlib.sha256(encoder.asked[0].encode()).digest()
    assert original[7 * RECORD : 7 * RECORD + 32] == key, "only that record's text"
    np.testing.assert_array_equal(vectors, expected_of(texts))
    if part != "key":
        assert "record 7 is damaged" in caplog.text
    assert store.path.stat().st_size == 21 * RECORD
    assert open_store(tmp_path).encode(texts, encoder).report.encoded == 0


@pytest.mark.parametrize("cut", [1, RECORD - 1, RECORD, 2 * RECORD + 20])
def test_a_torn_tail_is_not_read_and_cut_off(tmp_path, cut):
    encoder, texts = CountingEncoder(), texts_of(10)
    store = open_store(tmp_path)
    store.encode(texts, encoder)
    data = store.path.read_bytes()
    store.path.write_bytes(data[:-cut])
    lost = -(-cut // RECORD)
    assert len(open_store(tmp_path)) == 10 - lost
    vectors, report = open_store(tmp_path).encode(texts, encoder)
    assert report.encoded == lost
    np.testing.assert_array_equal(vectors, expected_of(texts))
    assert store.path.stat().st_size == len(data)
    assert open_store(tmp_path).encode(texts, encoder).report.encoded == 0


def test_an_open_store_sees_what_another_one_writes(tmp_path):
    one, other = open_store(tmp_path), open_store(tmp_path)
    one.encode(texts_of(5), CountingEncoder())
    assert other.encode(texts_of(6), CountingEncoder()).report.encoded == 1
    assert one.encode(texts_of(6), CountingEncoder()).report.encoded == 0
    one.path.unlink()
    assert other.encode(texts_of(6), CountingEncoder()).report.encoded == 6


def test_a_text_that_another_process_finishes_meanwhile_is_written_once(tmp_path):
    store, other = open_store(tmp_path), open_store(tmp_path)

    class Overtaken(CountingEncoder):
        def encode_batches(self, texts):
            other.encode(texts_of(4), CountingEncoder())
            yield from super().encode_batches(texts)

    vectors, report = store.encode(texts_of(8), Overtaken())
    assert report.encoded == 8
    np.testing.assert_array_equal(vectors, expected_of(texts_of(8)))
    assert store.path.stat().st_size == 8 * RECORD


def run_writer(folder, start, number, *, seconds=0.0, finish=True):
    """Starts a process that stores texts, a batch every so many seconds."""
    program = textwrap.dedent(f"""
        import importlib.util, sys, time
        spec = importlib.util.spec_from_file_location("peer", {__file__!r})
        peer = importlib.util.module_from_spec(spec)
        sys.modules["peer"] = peer
        spec.loader.exec_module(peer)

        class Slow(peer.CountingEncoder):
            def encode_batches(self, texts):
                for batch in super().encode_batches(texts):
                    time.sleep({seconds})
                    yield batch

        import pathlib
        store = peer.open_store(pathlib.Path({str(folder)!r}))
        print("ready", flush=True)
        sys.stdin.readline()
        store.encode(peer.texts_of({number}, {start}), Slow(),
                     lambda done, total: print(done, flush=True))
    """)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def start_together(writers):
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()


def test_several_writers_at_once_lose_and_tear_nothing(tmp_path):
    writers = [run_writer(tmp_path, start, 200) for start in (0, 100, 200)]
    start_together(writers)
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    store = open_store(tmp_path)
    assert len(store) == len(records_of(store.path)) == 400
    vectors, report = store.encode(texts_of(400), CountingEncoder())
    assert report.encoded == 0
    np.testing.assert_array_equal(vectors, expected_of(texts_of(400)))


def test_a_writer_waits_for_the_one_that_holds_the_file(tmp_path):
    fcntl = pytest.importorskip("fcntl", reason="no file locks on this system")
    store = open_store(tmp_path)
    half = bytes(RECORD // 2)
    with store.path.open("ab", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(half)
        writer = threading.Thread(
            target=store.encode, args=(texts_of(3), CountingEncoder())
        )
        writer.start()
        writer.join(0.3)
        # Neither written behind the half record nor cut it off.
        assert writer.is_alive()
        assert store.path.stat().st_size == len(half)
        file.write(half)
    writer.join(30)
    assert store.path.stat().st_size == 4 * RECORD
    assert open_store(tmp_path).encode(texts_of(3), CountingEncoder())[1].encoded == 0


@pytest.mark.slow
@pytest.mark.parametrize("torn", [0, 11])
def test_a_killed_run_goes_on_where_it_was(tmp_path, torn):
    writer = run_writer(tmp_path, 0, 300, seconds=0.02)
    start_together([writer])
    for line in writer.stdout:
        if int(line) >= 30:
            break
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=60)
    store = open_store(tmp_path)
    done = len(store)
    assert 30 <= done < 300
    # What a kill in the middle of the write itself leaves.
    with store.path.open("ab") as file:
        file.write(bytes(range(torn)))

    again = run_writer(tmp_path, 0, 300)
    start_together([again])
    last = again.communicate(timeout=60)[0].split()[-1]
    assert (again.returncode, int(last)) == (0, 300 - done)
    open_store(tmp_path / "uninterrupted").encode(texts_of(300), CountingEncoder())
    expected = open_store(tmp_path / "uninterrupted").path
    assert records_of(store.path) == records_of(expected)
    assert len(records_of(store.path)) == 300


def test_a_failing_encoder_loses_no_finished_batch(tmp_path):
    class Failing(CountingEncoder):
        def encode_batches(self, texts):
            for number, batch in enumerate(super().encode_batches(texts)):
                if number == 2:
                    raise FloatingPointError("not finite")
                yield batch

    with pytest.raises(FloatingPointError):
        open_store(tmp_path).encode(texts_of(30), Failing())
    assert len(open_store(tmp_path)) == 6


def test_a_disk_that_is_full_is_one_line_and_leaves_whole_records(tmp_path):
    """Under a limit of the file size that ends in the middle of a record."""
    pytest.importorskip("resource", reason="no limits on this system")
    room = 10 * RECORD + 7
    program = textwrap.dedent(f"""
        import importlib.util, pathlib, resource, sys
        spec = importlib.util.spec_from_file_location("peer", {__file__!r})
        peer = importlib.util.module_from_spec(spec)
        sys.modules["peer"] = peer
        spec.loader.exec_module(peer)
        store = peer.open_store(pathlib.Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
        try:
            store.encode(peer.texts_of(20), peer.CountingEncoder())
        except peer.UserError as error:
            print(error)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "got File too large; free space there or set LLMGNN_CACHE" in done.stdout
    store = open_store(tmp_path)
    # Three batches of 3, and what there was room for of the fourth.
    assert len(records_of(store.path)) == len(store) == 10
    vectors, report = store.encode(texts_of(20), CountingEncoder())
    assert (report.encoded, report.reused) == (10, 10)
    np.testing.assert_array_equal(vectors, expected_of(texts_of(20)))


def test_many_texts_go_to_the_encoder_in_portions(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TEXTS_AT_ONCE", 7)
    texts = [*texts_of(20), "a text that is longer", "text 1"]
    portions, seen = [], []

    class Portions(CountingEncoder):
        def encode_batches(self, texts):
            portions.append(list(texts))
            yield from super().encode_batches(texts)
            if len(portions) == 1:
                # Meanwhile another process finishes what is in the next portions.
                open_store(tmp_path).encode(texts_of(4), CountingEncoder())

    store = open_store(tmp_path)
    vectors, report = store.encode(texts, Portions(), lambda *done: seen.append(done))
    np.testing.assert_array_equal(vectors, expected_of(texts))
    assert portions[0][0] == "a text that is longer", "the longest first"
    # Text 0 to 3 stand at the end of the second and the beginning of the third.
    assert [len(portion) for portion in portions] == [7, 4, 6]
    assert (report.encoded, report.reused) == (17, 4)
    assert (report.tokens, report.places) == (70, 84)
    assert seen[-1] == (21, 21)
    assert seen == sorted(seen)
    assert len(records_of(store.path)) == 21


def test_vectors_are_in_memory_once_or_not_at_all(tmp_path):
    """Of 2,000 x 2,048 x 4 bytes."""

    class Wide(CountingEncoder):
        def encode_batches(self, texts):
            for start in range(0, len(texts), 50):
                rows = np.arange(start, min(start + 50, len(texts)))
                vectors = np.full((len(rows), self.dim), 1.0, np.float32)
                yield EncodedBatch(rows=rows, vectors=vectors, tokens=1, places=1)

    def peak_of(act):
        tracemalloc.start()
        try:
            act()
            return tracemalloc.get_traced_memory()[1] / (2000 * 2048 * 4)
        finally:
            tracemalloc.stop()

    texts, encoder = texts_of(2000), Wide(dim=2048)

    def store():
        return VectorStore.open(tmp_path, identity=encoder.identity, dim=2048)

    assert peak_of(lambda: store().add(texts, encoder)) < 0.2
    assert peak_of(lambda: store().encode(texts, encoder)) < 1.2
    out = np.memmap(tmp_path / "out", np.float32, "w+", shape=(2000, 2048))
    assert peak_of(lambda: store().encode(texts, encoder, out=out)) < 0.2
    assert out.sum() == out.size


def test_vectors_are_written_where_they_are_wanted(tmp_path):
    texts = ["a", "b", "a"]
    out = np.full((3, DIM), np.nan, np.float32)
    got = open_store(tmp_path).encode(texts, CountingEncoder(), out=out).vectors
    assert got is out
    np.testing.assert_array_equal(out, expected_of(texts))
    report = open_store(tmp_path).add([*texts, "c"], CountingEncoder())
    assert (report.encoded, report.reused) == (1, 2)
    for wrong in (np.zeros((2, DIM), np.float32), np.zeros((3, DIM))):
        with pytest.raises(ValueError, match=rf"out: expected float32 \(3, {DIM}\)"):
            open_store(tmp_path).encode(texts, CountingEncoder(), out=wrong)


def test_a_file_that_was_replaced_is_read_anew(tmp_path):
    store = open_store(tmp_path / "one")
    store.encode(texts_of(4), CountingEncoder())
    other = open_store(tmp_path / "other")
    other.encode(texts_of(4, start=2), CountingEncoder())
    other.path.replace(store.path)
    encoder = CountingEncoder()
    vectors = store.encode(texts_of(6), encoder).vectors
    assert sorted(encoder.asked) == ["text 0", "text 1"]
    np.testing.assert_array_equal(vectors, expected_of(texts_of(6)))
    assert len(records_of(store.path)) == 6


def test_what_cannot_be_used_is_one_line(tmp_path):
    with pytest.raises(UserError, match="text 1: expected a str, got int"):
        open_store(tmp_path).encode(["a", 3], CountingEncoder())
    with pytest.raises(UserError, match="texts: expected a list of texts"):
        open_store(tmp_path).encode("abc", CountingEncoder())
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="expected a file that can be read and written"):
        open_store(tmp_path / "file").encode(["a"], CountingEncoder())
    assert open_store(tmp_path / "none").encode(
        [], CountingEncoder()
    ).vectors.shape == (
        0,
        DIM,
    )
    assert not (tmp_path / "none").exists()


def test_default_folder_is_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LLMGNN_CACHE", str(tmp_path))
    assert default_folder() == tmp_path / "text_vectors"
