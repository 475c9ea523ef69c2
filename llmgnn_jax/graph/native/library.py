"""Builds the C++ kernels once a machine and makes them known to XLA.

The library lies in `<cache>/native/<hash>.so`; the hash covers the source, the flags,
the compiler, jaxlib and the processor, so a cache that several machines share serves
each what was built for it.
"""

import ctypes
import functools
import hashlib
import importlib.metadata
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import jax

from llmgnn_jax.assets import cache_root

logger = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("kernels.cc")
_FLAGS = (
    *(
        "-std=c++17",
        "-O3",
        "-march=native",
        "-fno-math-errno",
        "-shared",
        "-fPIC",
        "-w",
    ),
)
_SECONDS = 300
# XLA's name of each kernel -> its symbol in the library.
TARGETS = {
    "llmgnn_weighted_row_sums": "LlmgnnWeightedRowSums",
    "llmgnn_compact_rows": "LlmgnnCompactRows",
    "llmgnn_row_maxima": "LlmgnnRowMaxima",
    "llmgnn_edge_dots": "LlmgnnEdgeDots",
    "llmgnn_softmax_forward": "LlmgnnSoftmaxForward",
    "llmgnn_softmax_backward": "LlmgnnSoftmaxBackward",
}


class NativeUnavailable(RuntimeError):
    """The kernels cannot be had here; the message says why."""


def available() -> bool:
    """Whether the kernels run here; builds them at the first call."""
    return unavailable_because() is None


@functools.cache
def unavailable_because() -> str | None:
    """Why the kernels cannot be had on this machine; None where they can.

    `LLMGNN_NATIVE=0` turns them off.
    """
    if os.environ.get("LLMGNN_NATIVE", "1").lower() in ("0", "false", "no", "off"):
        return "turned off by LLMGNN_NATIVE"
    if jax.default_backend() != "cpu":
        return f"the device is a {jax.default_backend()}, not a cpu"
    try:
        _register(_built())
    except NativeUnavailable as error:
        return str(error)
    return None


def require() -> None:
    """Makes the kernels known to XLA.

    Raises:
        NativeUnavailable: If they cannot be had here.
    """
    if (reason := unavailable_because()) is not None:
        raise NativeUnavailable(reason)


def _register(path: Path) -> None:
    try:
        library = ctypes.cdll.LoadLibrary(str(path))
    except OSError as error:
        raise NativeUnavailable(f"{path.name} cannot be loaded: {error}") from error
    for name, symbol in TARGETS.items():
        handler = jax.ffi.pycapsule(getattr(library, symbol))
        jax.ffi.register_ffi_target(name, handler, platform="cpu")


def _built() -> Path:
    """The library, from the cache or built now."""
    compiler = _compiler()
    if compiler is None:
        raise NativeUnavailable("no C++ compiler: set CXX, or install g++ or clang++")
    path = cache_root() / "native" / f"kernels-{_identity(compiler)}.so"
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            made = Path(folder) / "kernels.so"
            include = f"-I{jax.ffi.include_dir()}"
            command = [compiler, *_FLAGS, include, str(SOURCE), "-o", str(made)]
            result = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            if result.returncode:
                lines = result.stderr.strip().splitlines() or ["it said nothing"]
                wrong = [line for line in lines if "error" in line] or lines
                raise NativeUnavailable(f"{compiler} failed: {wrong[0][:200]}")
            # At once: another process sees a whole library or none.
            made.replace(path)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NativeUnavailable(f"building failed: {error}") from error
    logger.info("native kernels built into %s", path)
    return path


def _compiler() -> str | None:
    named = os.environ.get("CXX")
    for candidate in (named,) if named else ("g++", "clang++", "c++"):
        if candidate and (found := shutil.which(candidate)):
            return found
    return None


def _identity(compiler: str) -> str:
    """16 hex digits of all that the library depends on."""
    digest = hashlib.sha256(SOURCE.read_bytes())
    version = subprocess.run(
        [compiler, "--version"], capture_output=True, check=False, timeout=60
    ).stdout
    about = (*_FLAGS, importlib.metadata.version("jaxlib"), platform.machine(), _cpu())
    digest.update(version + "\n".join(about).encode())
    return digest.hexdigest()[:16]


def _cpu() -> str:
    """What -march=native goes by: the processor's own list of what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    keys = ("model name", "flags", "Features", "CPU part")
    found = {line.partition(":")[0].strip(): line for line in reversed(lines)}
    return "\n".join(found.get(key, "") for key in keys)
