"""The C++ kernels: built once, refused in a line, the same on any threads."""

import os
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.graph.aggregate import native as kernels
from llmgnn_jax.graph.native import library
from llmgnn_jax.graph.plan import plan_edges

# Says its version, and "compiles" by copying what it was given; counts its calls.
FAKE = """#!/bin/sh
[ "$1" = --version ] && { echo fake 1.0; exit 0; }
echo call >> "$0.calls"
while [ "$1" != -o ]; do shift; done
printf whole > "$2"
"""


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def calls(compiler: Path) -> int:
    found = Path(f"{compiler}.calls")
    return len(found.read_text().splitlines()) if found.exists() else 0


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing known of this machine."""
    monkeypatch.setenv("LLMGNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LLMGNN_NATIVE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """`unavailable_because` as at the start of a process, which registers nothing."""
    monkeypatch.setattr(
        library, "unavailable_because", library.unavailable_because.__wrapped__
    )


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    compiler = program(tmp_path / "fake-cxx", FAKE)
    monkeypatch.setenv("CXX", str(compiler))
    return compiler


def test_built_once_and_kept(cache: Path, fake: Path) -> None:
    path = library._library()
    assert path.read_text() == "whole"
    assert path.parent == cache / "native"
    assert library._library() == path
    assert calls(fake) == 1
    # Nothing is left beside it.
    assert list(path.parent.iterdir()) == [path]


def test_what_it_depends_on_names_it(
    cache: Path, fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {library._library()}
    with monkeypatch.context() as other:
        other.setattr(library, "_FLAGS", (*library._FLAGS, "-O1"))
        paths.add(library._library())
    with monkeypatch.context() as other:
        other.setattr(library, "_cpu", lambda: "another processor")
        paths.add(library._library())
    with monkeypatch.context() as other:
        sources = cache / "sources"
        shutil.copytree(library.FOLDER, sources)
        with (sources / "rows.h").open("a") as header:
            header.write("\n")
        other.setattr(library, "FOLDER", sources)
        paths.add(library._library())
    program(fake, FAKE.replace("1.0", "2.0"))
    paths.add(library._library())
    assert len(paths) == calls(fake) == 5


@pytest.mark.parametrize("damage", ["cut", "empty"])
def test_a_damaged_library_is_built_anew(
    cache: Path, fake: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = library._library()
    path.write_text("who" if damage == "cut" else "")
    assert library._library() == path
    assert path.read_text() == "whole"
    assert calls(fake) == 2
    assert "is damaged: the native kernels are built anew" in caplog.text


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 0", "building failed: "),  # wrote nothing
        ("echo 'x.cc:1: error: no such header' >&2; exit 1", "failed: x.cc:1: error"),
        ("printf 'one\\ntwo\\n' >&2; exit 1", "failed: one"),
        ("exit 1", "failed: it said nothing"),
        ("kill -9 $$", "failed: it said nothing"),
    ],
)
def test_a_compiler_that_fails_gives_one_line(
    cache: Path,
    asked: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    reason: str,
) -> None:
    monkeypatch.setenv("CXX", str(program(tmp_path / "cxx", f"#!/bin/sh\n{script}\n")))
    found = library.unavailable_because()
    assert found is not None
    assert reason in found
    assert "\n" not in found
    assert not library.available()
    with pytest.raises(library.NativeUnavailable, match="failed"):
        library.require()
    folder = cache / "native"
    assert not folder.exists() or not list(folder.iterdir())


@pytest.mark.parametrize("kind", ["missing", "no program", "none on the path"])
def test_no_compiler_is_a_reason(
    cache: Path,
    asked: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    if kind == "missing":
        monkeypatch.setenv("CXX", str(tmp_path / "nobody"))
        expected = f"no C++ compiler: CXX names no program, '{tmp_path}/nobody'"
    elif kind == "no program":
        # Executable, and of no format that a processor knows.
        monkeypatch.setenv("CXX", str(program(tmp_path / "cxx", "\x00nonsense")))
        expected = "building failed: "
    else:
        monkeypatch.delenv("CXX", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        expected = "no C++ compiler: install g++ or clang++, or set CXX"
    reason = library.unavailable_because()
    assert reason is not None
    assert reason.startswith(expected)


def test_a_cache_that_cannot_be_written_is_a_reason(
    cache: Path, asked: None, fake: Path
) -> None:
    cache.write_text("a file where the folder should be")
    reason = library.unavailable_because()
    assert reason is not None
    assert reason.startswith("building failed: ")


def test_what_is_no_library_of_ours_is_a_reason(
    cache: Path, asked: None, fake: Path
) -> None:
    reason = library.unavailable_because()
    assert reason is not None
    assert "cannot be loaded" in reason


@pytest.mark.parametrize("value", ["0", "false", "OFF"])
def test_turned_off(
    cache: Path,
    asked: None,
    fake: Path,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLMGNN_NATIVE", value)
    assert library.unavailable_because() == "turned off by LLMGNN_NATIVE"
    assert calls(fake) == 0


def test_only_on_a_cpu(
    cache: Path, asked: None, fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library.jax, "default_backend", lambda: "gpu")
    assert library.unavailable_because() == "the device is a gpu, not a cpu"
    assert calls(fake) == 0


def test_the_sources_are_part_of_the_package() -> None:
    root = Path(__file__).parents[2]
    made = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    patterns = made["tool"]["setuptools"]["package-data"]["llmgnn_jax"]
    package = root / "llmgnn_jax"
    packaged = {path for pattern in patterns for path in package.glob(pattern)}
    assert {path.suffix for path in library._sources()} == {".cc", ".h"}
    assert packaged >= set(library._sources())


def test_rows_that_repeat_are_added_up(native: None) -> None:
    nodes = jnp.asarray([4, 1, 4, 0, 4], jnp.int32)
    values = jnp.asarray(np.arange(15.0).reshape(5, 3), jnp.float32)
    slots, rows = kernels.compact_rows(nodes, values, 6)
    assert slots.tolist() == [2, 1, -1, -1, 0, -1]
    expected = [values[0] + values[2] + values[4], values[1], values[3]]
    np.testing.assert_array_equal(rows[:3], jnp.stack(expected))
    assert not rows[3:].any()


THREADS = """
import hashlib
import jax, jax.numpy as jnp, numpy as np
from llmgnn_jax.graph.aggregate import edge_softmax, maximum, sum_edges, weighted_sum
from llmgnn_jax.graph.chosen import lightgcn_of
from llmgnn_jax.graph.plan import plan_edges
rng = np.random.default_rng(0)
N, E = 5000, 120000
receivers = np.sort(np.floor(N * rng.random(E) ** 3).astype(int))
plan = plan_edges(rng.integers(0, N, E), receivers, N, weights=rng.normal(size=E))
nodes = jnp.asarray(rng.normal(size=(N, 43)), jnp.float32)
weights = jnp.asarray(rng.normal(size=E), jnp.float32)
chosen = jnp.asarray(rng.integers(0, N, 700), jnp.int32)
def loss(nodes, weights):
    shares = edge_softmax(weights, plan, backend="native")
    out = weighted_sum(nodes, shares, plan, backend="native")
    out = out + maximum(nodes, plan, backend="native")
    out = out + sum_edges(weights, plan, backend="native")[:, None]
    final, same = lightgcn_of(nodes, chosen, plan, num_layers=2, backend="native")
    return jnp.sin(out).sum() + (jnp.sin(final) * same).sum(), (out, final)
run = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
for _ in range(3):
    leaves = jax.tree.leaves(run(nodes, weights))
    print(hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in leaves)).hexdigest())
"""


@pytest.mark.slow
def test_the_same_bits_on_any_number_of_threads(native: None) -> None:
    found = set()
    for threads in ("1", "2", "7"):
        environment = os.environ | {"NPROC": threads, "JAX_PLATFORMS": "cpu"}
        result = subprocess.run(
            [sys.executable, "-c", THREADS],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
        )
        lines = result.stdout.split()
        assert len(lines) == 3
        found.update(lines)
    assert len(found) == 1


@pytest.mark.slow
def test_a_whole_process_without_a_compiler(tmp_path: Path) -> None:
    text = """
import jax.numpy as jnp, numpy as np
from llmgnn_jax.graph.aggregate import choice, usable_backend, weighted_sum
from llmgnn_jax.graph.plan import plan_edges
ring = np.arange(5)
plan = plan_edges(np.roll(ring, 1), ring, 5, weights=np.ones(5))
backend = usable_backend("native")
print(backend, *choice.candidates())
print(weighted_sum(jnp.arange(5.0)[:, None], None, plan, backend=backend)[0, 0])
try:
    weighted_sum(jnp.arange(5.0)[:, None], None, plan, backend="native")
except RuntimeError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", text],
        env=os.environ
        | {
            "PATH": str(tmp_path),
            "CXX": "",
            "LLMGNN_CACHE": str(tmp_path),
            "JAX_PLATFORMS": "cpu",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert result.stdout.splitlines() == [
        "csr csr bucketed segment",
        "4.0",
        "no C++ compiler: install g++ or clang++, or set CXX",
    ]


def test_several_tasks_of_a_kernel_cover_every_row(native: None) -> None:
    # As many rows without edges as with, and one row that is a task by itself.
    rng = np.random.default_rng(0)
    receivers = np.sort(
        np.concatenate([2 * rng.integers(0, 10_000, 40_000), np.full(30_000, 7777)])
    )
    plan = plan_edges(rng.integers(0, 20_001, 70_000), receivers, 20_001)
    ones = jnp.ones((70_000, 1))
    counts = np.bincount(receivers, minlength=20_001)
    sums = jax.jit(lambda e: kernels.row_sums(plan.incoming, e))(ones)
    np.testing.assert_array_equal(sums[:, 0], counts)
    highest = kernels.row_maxima(plan.incoming, ones)
    np.testing.assert_array_equal(highest[:, 0], np.where(counts, 1, -np.inf))


@pytest.mark.parametrize("number", [-1, 6])
def test_no_row_is_read_that_is_not_there(native: None, number: int) -> None:
    numbers = jnp.asarray([0, number, 5], jnp.int32)
    with pytest.raises(Exception, match="numbers: expected numbers of nodes"):
        jax.block_until_ready(kernels.gather_rows(jnp.ones((6, 3)), numbers))
    with pytest.raises(Exception, match="chosen: expected numbers of nodes"):
        jax.block_until_ready(kernels.compact_rows(numbers, jnp.ones((3, 2)), 6))
    plan = plan_edges(np.zeros(6, int), np.arange(6), 6, weights=np.ones(6))
    with pytest.raises(Exception, match="chosen: expected numbers of nodes"):
        jax.block_until_ready(
            kernels.chosen_row_sums(plan.incoming, jnp.ones((6, 2)), numbers)
        )
    ids, mask = numbers[None, :], jnp.ones((1, 3), bool)
    with pytest.raises(Exception, match="ids: expected numbers of rows of the table"):
        jax.block_until_ready(
            kernels.gathered_sums(jnp.ones((6, 3)), ids, jnp.ones((1, 3)), mask)
        )


# A row's bytes: those that have a loop of their own, and others.
@pytest.mark.parametrize("shape", [(), (1,), (2,), (4,), (8,), (3, 5)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.int32])
def test_rows_of_any_size_are_gathered(
    native: None, shape: tuple[int, ...], dtype: type
) -> None:
    nodes = jnp.arange(50 * np.prod(shape, dtype=int)).reshape(50, *shape).astype(dtype)
    # More than one task of a kernel.
    numbers = np.random.default_rng(0).integers(0, 50, 40_000).astype(np.int32)
    found = jax.jit(kernels.gather_rows)(nodes, numbers)
    np.testing.assert_array_equal(found, np.asarray(nodes)[numbers])


_NARROW = """
import jax, jax.numpy as jnp, numpy as np
from llmgnn_jax.graph.native import library
library._FLAGS = (*library._FLAGS, "-mno-avx512f")
assert library.available(), library.unavailable_because()
from llmgnn_jax.graph.aggregate import weighted_sum
from llmgnn_jax.graph.plan import plan_edges

random = np.random.default_rng(0)
receivers = np.sort(random.integers(0, 30, 400))
plan = plan_edges(random.integers(0, 30, 400), receivers, 30)
for dtype in (jnp.float32, jnp.bfloat16):
    nodes = jnp.asarray(random.normal(size=(30, 4, 16)), dtype)
    weights = jnp.asarray(random.normal(size=(400, 4)), jnp.float32)
    found = []
    for backend in ("native", "segment"):
        out, back = jax.vjp(
            lambda n, w: weighted_sum(n, w, plan, backend=backend), nodes, weights
        )
        found.append([np.asarray(x, np.float32) for x in (out, *back(nodes))])
    for one, wanted in zip(*found, strict=True):
        tolerance = 1e-5 if dtype == jnp.float32 else 1e-2
        np.testing.assert_allclose(one, wanted, rtol=tolerance, atol=10 * tolerance)
"""


@pytest.mark.slow
def test_without_wide_registers(native: None, tmp_path: Path) -> None:
    """What other processors compile."""
    if os.uname().machine != "x86_64":
        pytest.skip("not an x86-64 processor")
    subprocess.run(
        [sys.executable, "-c", _NARROW],
        check=True,
        env={**os.environ, "LLMGNN_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu"},
    )
