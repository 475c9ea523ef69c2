"""Where assets are kept, and whether what is kept is whole.

    <cache>/assets/<name>/          the files and MARKER, moved here when complete
    <cache>/downloads/<name>/       what an interrupted download left
    <cache>/locks/<name>            held by the process that fetches

The cache is $LLMGNN_CACHE, else $XDG_CACHE_HOME/llmgnn_jax, else ~/.cache/llmgnn_jax.
"""

import contextlib
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from llmgnn_jax.assets.digests import sha256_of
from llmgnn_jax.assets.download import WrongBytesError
from llmgnn_jax.assets.registry import Asset
from llmgnn_jax.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: two first fetches at once then cost a second download.
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

MARKER = ".asset.json"
Digest = Callable[[Path], str]

# Folders that this process has checked, with the content hash they were checked for.
_checked: dict[Path, str] = {}


def cache_root() -> Path:
    """The folder of everything that can be fetched or computed again."""
    if named := os.environ.get("LLMGNN_CACHE"):
        return Path(named).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "llmgnn_jax"
    return Path.home() / ".cache" / "llmgnn_jax"


def asset_folder(asset: Asset) -> Path:
    """Where an asset is once it is fetched."""
    return cache_root() / "assets" / asset.name


def problem_of(asset: Asset, folder: Path, digest: Digest | None) -> str | None:
    """Why the cached folder cannot be used; None where it can.

    Once a process: sizes and times of the files, their hashes where a time has changed,
    and the content where nobody has checked it yet.
    """
    wanted = asset.content_sha256 if digest else ""
    if _checked.get(folder) in (wanted, asset.content_sha256) and folder.exists():
        return None
    if not folder.exists():
        return "empty"
    try:
        marker = json.loads((folder / MARKER).read_text("utf-8"))
        served = {name: entry["sha256"] for name, entry in marker["files"].items()}
        if not any(mirror.is_made_of(served) for mirror in asset.layouts):
            return "of another version"
        for name, entry in marker["files"].items():
            stat = (folder / name).stat()
            if stat.st_size != entry["size"] or (
                stat.st_mtime_ns != entry["mtime_ns"]
                and sha256_of(folder / name) != entry["sha256"]
            ):
                return f"{name} has been changed"
        verified = marker["content_sha256"]
        if not digest and not asset.pinned and verified != asset.content_sha256:
            return "of another version"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"damaged: {error}"
    if digest and verified != asset.content_sha256:
        try:
            verified = verified_content(asset, folder, digest)
        except WrongBytesError as error:
            return f"{error}"
        # A cache that cannot be written is checked again by the next process.
        with contextlib.suppress(OSError):
            _write_marker(folder, served, marker["mirror"], verified)
    _checked[folder] = verified
    return None


def verified_content(asset: Asset, folder: Path, digest: Digest | None) -> str:
    """The content hash that the folder was checked for, "" without a digest.

    Raises:
        WrongBytesError: If the content is another one.
    """
    if digest is None:
        return ""
    try:
        got = digest(folder)
    except UserError as error:
        raise WrongBytesError(f"served what cannot be read: {error}") from error
    if got != asset.content_sha256:
        raise WrongBytesError(
            f"served content {got[:12]}..., expected {asset.content_sha256[:12]}..."
        )
    return got


def settle(staging: Path, folder: Path, *, mirror: str, content_sha256: str) -> None:
    """Puts a complete folder in place; a damaged one is moved aside, not deleted.

    Args:
        staging: The checked files.
        folder: Where they belong.
        mirror: Who served them.
        content_sha256: What their content was checked for, "" if nobody did.
    """
    names = [path.name for path in staging.iterdir()]
    _write_marker(staging, names, mirror, content_sha256)
    if folder.exists():
        aside = folder.with_name(f"{folder.name}.damaged-{uuid.uuid4().hex[:8]}")
        folder.rename(aside)
        logger.warning("asset %s: the old copy is now %s", folder.name, aside)
    staging.rename(folder)
    _checked[folder] = content_sha256


def _write_marker(
    folder: Path, names: Iterable[str], mirror: str, content_sha256: str
) -> None:
    files = {
        name: {
            "sha256": sha256_of(folder / name),
            "size": (folder / name).stat().st_size,
            "mtime_ns": (folder / name).stat().st_mtime_ns,
        }
        for name in sorted(names)
    }
    marker = {"mirror": mirror, "content_sha256": content_sha256, "files": files}
    waiting = folder / f"{MARKER}.{uuid.uuid4().hex[:8]}"
    waiting.write_text(json.dumps(marker, indent=1), "utf-8")
    waiting.replace(folder / MARKER)


@contextlib.contextmanager
def locked(asset: Asset) -> Iterator[None]:
    """Holds this asset against other processes of this user."""
    path = cache_root() / "locks" / asset.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
