"""Builds C++ kernels once a machine and makes them known to XLA, or to the host.

A library lies in `<cache>/native/<name>-<identity>-<digest>.so`. The identity covers
the source, the flags, the compiler, jaxlib and the processor, so a cache that several
machines share serves each what was built for it; the digest is of the file's own bytes.
"""

import ctypes
import hashlib
import importlib.metadata
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from llmgnn_jax.assets import cache_root
from llmgnn_jax.assets.digests import sha256_of

logger = logging.getLogger(__name__)

_SHARED = Path(__file__).parent  # headers that all kernels may include
_FLAGS = (
    "-std=c++17",
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-shared",
    "-fPIC",
)
_SECONDS = 300


class NativeUnavailable(RuntimeError):
    """The kernels cannot be had here; the message says why."""


class Library:
    """The kernels of a folder.

    Attributes:
        name: What its file's name begins with.
        folder: Holds the sources.
        targets: XLA's name of each kernel -> its symbol in the library.
        flags: Of the compiler.
    """

    def __init__(self, name: str, folder: Path, targets: Mapping[str, str]) -> None:
        self.name = name
        self.folder = folder
        self.targets = targets
        self.flags: tuple[str, ...] = _FLAGS
        self._asked = False
        self._reason: str | None = None
        self._loaded: ctypes.CDLL | None = None

    def available(self) -> bool:
        """Whether the kernels run here; builds them at the first call."""
        return self.unavailable_because() is None

    def unavailable_because(self) -> str | None:
        """Why the kernels cannot be had on this machine; None where they can.

        `LLMGNN_NATIVE=0` turns them off.
        """
        if not self._asked:
            self._reason = self._try()
            self._asked = True
        return self._reason

    def require(self) -> None:
        """Makes the kernels known to XLA.

        Raises:
            NativeUnavailable: If they cannot be had here.
        """
        if (reason := self.unavailable_because()) is not None:
            raise NativeUnavailable(reason)

    def function(self, symbol: str) -> Any:
        """A C function of the library, for calls from the host.

        Raises:
            NativeUnavailable: If the kernels cannot be had here.
        """
        self.require()
        assert self._loaded is not None
        return getattr(self._loaded, symbol)

    def sources(self) -> list[Path]:
        """The kernels and what they include, in a fixed order."""
        own = [p for p in self.folder.iterdir() if p.suffix in (".cc", ".h")]
        return sorted(own) + sorted(_SHARED.glob("*.h"))

    def path(self) -> Path:
        """The library, from the cache or built now.

        Raises:
            NativeUnavailable: If there is no compiler or it fails.
        """
        compiler = _compiler()
        folder = cache_root() / "native"
        try:
            name = f"{self.name}-{self._identity(compiler)}"
            for path in folder.glob(f"{name}-*.so"):
                # A library that was cut short would end the process that loads it.
                if path.stem == f"{name}-{_digest(path)}":
                    return path
                logger.warning("%s is damaged: the kernels are built anew", path)
                path.unlink(missing_ok=True)
            path = self._build(compiler, folder, name)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NativeUnavailable(f"building failed: {error}") from error
        logger.info("native kernels built into %s", path)
        return path

    def _try(self) -> str | None:
        if os.environ.get("LLMGNN_NATIVE", "1").lower() in ("0", "false", "no", "off"):
            return "turned off by LLMGNN_NATIVE"
        if jax.default_backend() != "cpu":
            return f"the device is a {jax.default_backend()}, not a cpu"
        try:
            self._register(self.path())
        except NativeUnavailable as error:
            return str(error)
        return None

    def _register(self, path: Path) -> None:
        try:
            library = ctypes.cdll.LoadLibrary(str(path))
            handlers = {name: getattr(library, s) for name, s in self.targets.items()}
        except (OSError, AttributeError) as error:
            raise NativeUnavailable(f"{path.name} cannot be loaded: {error}") from error
        for name, handler in handlers.items():
            capsule = jax.ffi.pycapsule(handler)
            jax.ffi.register_ffi_target(name, capsule, platform="cpu")
        self._loaded = library

    def _build(self, compiler: str, folder: Path, name: str) -> Path:
        """Compiles into `<folder>/<name>-<digest>.so`."""
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as workplace:
            made = Path(workplace) / "kernels.so"
            # A system's headers: their warnings are not ours to mend.
            include = ["-isystem", jax.ffi.include_dir(), f"-I{_SHARED}"]
            sources = [str(path) for path in self.sources() if path.suffix == ".cc"]
            result = subprocess.run(
                [compiler, *self.flags, *include, *sources, "-o", str(made)],
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
            path = folder / f"{name}-{_digest(made)}.so"
            # At once: another process sees a whole library or none.
            made.replace(path)
        return path

    def _identity(self, compiler: str) -> str:
        """16 hex digits of all that the library depends on."""
        digest = hashlib.sha256()
        for path in self.sources():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        version = subprocess.run(
            [compiler, "--version"], capture_output=True, check=False, timeout=60
        ).stdout
        jaxlib = importlib.metadata.version("jaxlib")
        about = (*self.flags, jaxlib, platform.machine(), _cpu())
        digest.update(version + "\n".join(about).encode())
        return digest.hexdigest()[:16]


def _digest(path: Path) -> str:
    return sha256_of(path)[:16]


def _compiler() -> str:
    named = os.environ.get("CXX")
    candidates = (named,) if named else ("g++", "clang++", "c++")
    for candidate in candidates:
        if found := shutil.which(candidate):
            return found
    if named:
        raise NativeUnavailable(f"no C++ compiler: CXX names no program, {named!r}")
    raise NativeUnavailable("no C++ compiler: install g++ or clang++, or set CXX")


def _cpu() -> str:
    """What -march=native goes by: the processor's own list of what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    keys = ("model name", "flags", "Features", "CPU part")
    found = {line.partition(":")[0].strip(): line for line in reversed(lines)}
    return "\n".join(found.get(key, "") for key in keys)
