"""The tensors of a folder of safetensors, in one file or several.

Shapes are Hugging Face's: kernels are (outputs, inputs).
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors

from llmgnn_jax.assets.digests import sha256_of
from llmgnn_jax.errors import UserError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

_FLOATS = ("F64", "F32", "F16", "BF16")


class Tensors:
    """Names, shapes and values of the tensors in some files; values are read late.

    Attributes:
        files: Tensor -> the open file that holds it.
    """

    def __init__(self, files: dict[str, Any]) -> None:
        self.files = files

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape, from the header."""
        return tuple(self.files[name].get_slice(name).get_shape())

    def is_float(self, name: str) -> bool:
        """Whether a tensor is of a floating-point type that is known."""
        return self.dtype(name) in _FLOATS

    def dtype(self, name: str) -> str:
        """A tensor's type as safetensors calls it: "F32"."""
        return str(self.files[name].get_slice(name).get_dtype())

    def read(self, name: str) -> np.ndarray:
        """A tensor as float32."""
        # Its NumPy has no bfloat16 of its own; ml_dtypes, which jax brings, has.
        assert ml_dtypes.bfloat16 is not None
        return self.files[name].get_tensor(name).astype(np.float32, copy=False)


@contextlib.contextmanager
def open_tensors(folder: Path) -> Iterator[Tensors]:
    """Opens model.safetensors, or the files that its index names.

    Raises:
        UserError: If there are none, or one is missing, unreadable or truncated.
    """
    with open_files(weight_files(folder), named=folder) as tensors:
        yield tensors


@contextlib.contextmanager
def open_files(paths: Sequence[Path], *, named: Path) -> Iterator[Tensors]:
    """Opens safetensors files.

    Args:
        paths: The files.
        named: In the error where a tensor cannot be read.

    Raises:
        UserError: If one is missing, unreadable or truncated.
    """
    with contextlib.ExitStack() as stack:
        files: dict[str, Any] = {}
        for path in paths:
            try:
                file = stack.enter_context(
                    safetensors.safe_open(path, framework="numpy")
                )
            except (safetensors.SafetensorError, OSError) as error:
                raise _unreadable(path, error) from error
            files |= dict.fromkeys(file.keys(), file)
        try:
            yield Tensors(files)
        except safetensors.SafetensorError as error:
            raise _unreadable(named, error) from error


def gguf_file(folder: Path) -> Path | None:
    """The GGUF file that is meant: a path to one, or to a folder that has no config.

    Returns:
        None where the folder is in Hugging Face's layout.

    Raises:
        UserError: If there are several.
    """
    if folder.suffix == ".gguf" and not folder.is_dir():
        return folder
    if (folder / CONFIG).exists():
        return None
    found = sorted(folder.glob("*.gguf"))
    if len(found) > 1:
        raise UserError.field(
            str(folder),
            expected="one GGUF file",
            got=f"{len(found)}: {', '.join(path.name for path in found)}",
            fix="name the file",
        )
    return found[0] if found else None


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights.

    Raises:
        UserError: If there are none or one that the index names is missing.
    """
    if (gguf := gguf_file(folder)) is not None:
        return [gguf]
    single, index = folder / WEIGHTS, folder / INDEX
    if single.is_file():
        return [single]
    if not index.is_file():
        pickles = sorted(folder.glob("*.bin"))
        raise UserError.field(
            str(folder),
            expected=f"a file {WEIGHTS}",
            got=", ".join(p.name for p in pickles) or "none",
            fix="save the model as safetensors: pickles are never opened",
        )
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        paths = [folder / name for name in names]
        if any(path.parent != folder for path in paths):
            raise ValueError("files outside of the folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError.field(
            str(index), expected="an index of safetensors files", got=f"none: {error}"
        ) from error
    if absent := [path.name for path in paths if not path.is_file()]:
        raise UserError.field(
            str(folder),
            expected=f"the {len(paths)} files that {INDEX} names",
            got=f"{len(absent)} missing: {', '.join(absent)}",
            fix="fetch it again",
        )
    return paths


def weights_hash(folder: Path) -> str:
    """Sha256 (hex) of the weights, byte for byte; of several files, of their hashes.

    Raises:
        UserError: As `weight_files`.
    """
    hashes = [sha256_of(path) for path in weight_files(folder)]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256(" ".join(hashes).encode("ascii")).hexdigest()


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError.field(
        str(path),
        expected="a whole safetensors file",
        got=f"an unreadable or truncated one ({error})",
        fix="fetch it again",
    )
