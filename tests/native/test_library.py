"""Kernels are built once, kept by what they depend on, and refused in a line."""

import shutil
import stat
import tomllib
from pathlib import Path

import pytest

from llmgnn_jax.evaluation.native import library as ranking_kernels
from llmgnn_jax.graph.native import library as graph_kernels
from llmgnn_jax.native import library as module
from llmgnn_jax.native.library import Library, NativeUnavailable
from llmgnn_jax.text.native import library as text_kernels

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
def library() -> Library:
    """As at the start of a process: nothing was asked yet."""
    return Library("kernels", graph_kernels.folder, graph_kernels.targets)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    compiler = program(tmp_path / "fake-cxx", FAKE)
    monkeypatch.setenv("CXX", str(compiler))
    return compiler


def test_built_once_and_kept(cache: Path, library: Library, fake: Path) -> None:
    path = library.path()
    assert path.read_text() == "whole"
    assert path.parent == cache / "native"
    assert library.path() == path
    assert calls(fake) == 1
    # Nothing is left beside it.
    assert list(path.parent.iterdir()) == [path]


def test_what_it_depends_on_names_it(
    cache: Path, library: Library, fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {library.path()}
    with monkeypatch.context() as other:
        other.setattr(library, "flags", (*library.flags, "-O1"))
        paths.add(library.path())
    with monkeypatch.context() as other:
        other.setattr(module, "_cpu", lambda: "another processor")
        paths.add(library.path())
    with monkeypatch.context() as other:
        sources = cache / "sources"
        shutil.copytree(library.folder, sources)
        with (sources / "rows.h").open("a") as header:
            header.write("\n")
        other.setattr(library, "folder", sources)
        paths.add(library.path())
    program(fake, FAKE.replace("1.0", "2.0"))
    paths.add(library.path())
    assert len(paths) == calls(fake) == 5


@pytest.mark.parametrize("damage", ["cut", "empty"])
def test_a_damaged_library_is_built_anew(
    cache: Path,
    library: Library,
    fake: Path,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = library.path()
    path.write_text("who" if damage == "cut" else "")
    assert library.path() == path
    assert path.read_text() == "whole"
    assert calls(fake) == 2
    assert "is damaged: the kernels are built anew" in caplog.text


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
    library: Library,
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
    with pytest.raises(NativeUnavailable, match="failed"):
        library.require()
    folder = cache / "native"
    assert not folder.exists() or not list(folder.iterdir())


@pytest.mark.parametrize("kind", ["missing", "no program", "none on the path"])
def test_no_compiler_is_a_reason(
    cache: Path,
    library: Library,
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
    cache: Path, library: Library, fake: Path
) -> None:
    cache.write_text("a file where the folder should be")
    reason = library.unavailable_because()
    assert reason is not None
    assert reason.startswith("building failed: ")


def test_what_is_no_library_of_ours_is_a_reason(
    cache: Path, library: Library, fake: Path
) -> None:
    reason = library.unavailable_because()
    assert reason is not None
    assert "cannot be loaded" in reason


@pytest.mark.parametrize("value", ["0", "false", "OFF"])
def test_turned_off(
    cache: Path,
    library: Library,
    fake: Path,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLMGNN_NATIVE", value)
    assert library.unavailable_because() == "turned off by LLMGNN_NATIVE"
    assert calls(fake) == 0


def test_only_on_a_cpu(
    cache: Path, library: Library, fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.jax, "default_backend", lambda: "gpu")
    assert library.unavailable_because() == "the device is a gpu, not a cpu"
    assert calls(fake) == 0


@pytest.mark.parametrize("kernels", [graph_kernels, text_kernels, ranking_kernels])
def test_the_sources_are_part_of_the_package(kernels: Library) -> None:
    root = Path(__file__).parents[2]
    made = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    patterns = made["tool"]["setuptools"]["package-data"]["llmgnn_jax"]
    package = root / "llmgnn_jax"
    packaged = {path for pattern in patterns for path in package.glob(pattern)}
    assert {path.suffix for path in kernels.sources()} == {".cc", ".h"}
    assert packaged >= set(kernels.sources())
