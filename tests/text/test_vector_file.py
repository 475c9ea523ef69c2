"""The .npy file of `--out`: whole or absent."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.vector_file import vector_file


@pytest.mark.parametrize("shape", [(1000, 384), (1, 1), (3, 0)])
def test_what_is_written_is_what_numpy_reads(tmp_path, shape):
    path = tmp_path / "vectors.npy"
    expected = np.random.default_rng(0).random(shape, np.float32)
    with vector_file(path) as allocate:
        allocate(*shape)[:] = expected
        assert not path.exists()
    np.testing.assert_array_equal(np.load(path), expected)
    assert np.load(path).dtype == np.float32
    assert [one.name for one in tmp_path.iterdir()] == ["vectors.npy"]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "vectors.npy"
    path.write_bytes(b"mine")

    def fail():
        with vector_file(path) as allocate:
            allocate(2, 3)[:] = 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"mine"]
    with vector_file(path) as allocate:
        allocate(2, 3)[:] = 1
    assert np.load(path).sum() == 6


def test_what_a_killed_process_left_is_taken_over(tmp_path):
    (tmp_path / ".vectors.npy.tmp").write_bytes(bytes(10_000))
    with vector_file(tmp_path / "vectors.npy") as allocate:
        allocate(2, 3)[:] = 1
    assert [one.name for one in tmp_path.iterdir()] == ["vectors.npy"]
    assert np.load(tmp_path / "vectors.npy").shape == (2, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_not_replaced(tmp_path):
    path = tmp_path / "vectors.npy"
    os.mkfifo(path)
    with pytest.raises(UserError, match="got a device or a pipe"), vector_file(path):
        pass
    assert path.is_fifo()
    assert [one.name for one in tmp_path.iterdir()] == ["vectors.npy"]


def test_two_writers_of_one_file(tmp_path):
    pytest.importorskip("fcntl", reason="no file locks on this system")
    path = tmp_path / "vectors.npy"
    with vector_file(path) as allocate:
        vectors = allocate(2, 3)
        with (
            pytest.raises(UserError, match="got one that another process is writing"),
            vector_file(path),
        ):
            pass
        vectors[:] = 2
    np.testing.assert_array_equal(np.load(path), np.full((2, 3), 2, np.float32))
    # `vectors` still maps the file, which must not keep the next writer away.
    with vector_file(path) as allocate:
        allocate(1, 1)[:] = 3
    assert vectors[0, 0] == 2
    assert np.load(path) == 3


def test_what_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path, got in (
        (tmp_path, "a folder"),
        (tmp_path / "none" / "v.npy", "No such file or directory"),
        (tmp_path / "file" / "v.npy", "Not a directory"),
    ):
        with (
            pytest.raises(UserError, match=f"a file that can be written, got {got}"),
            vector_file(path),
        ):
            pass


def test_a_disk_without_room_is_one_line_and_leaves_nothing(tmp_path):
    """Under a limit of the file size, in a process of its own."""
    pytest.importorskip("resource", reason="no limits on this system")
    program = textwrap.dedent("""
        import pathlib, resource, sys
        from llmgnn_jax.errors import UserError
        from llmgnn_jax.text.vector_file import vector_file
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 * 2**20, 3 * 2**20))
        try:
            with vector_file(pathlib.Path(sys.argv[1])) as allocate:
                allocate(1000, 1000)
        except UserError as error:
            print(error)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "vectors.npy"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "expected a file that can be written, got File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []
