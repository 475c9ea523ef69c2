"""Data sets by name or folder."""

from pathlib import Path

from llmgnn_jax import assets
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.movielens import FILES as MOVIELENS_FILES
from llmgnn_jax.data.sources.movielens import read_movielens_100k
from llmgnn_jax.data.sources.recbole import read_recbole
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError

SYNTHETIC = "synthetic"
# The assets that are data sets; the others are read by other rooms.
NAMES = ("ml-100k",)


def load(source: str | Path) -> Dataset:
    """Loads "ml-100k", "synthetic", or a folder.

    A folder holds RecBole atomic files or the official MovieLens-100K layout.

    Raises:
        UserError: If the name or folder is unknown, the asset cannot be had, or the
            files are malformed.
    """
    source = str(source)
    if source == SYNTHETIC:
        return synthetic()
    if source in NAMES:
        return read_folder(fetch(source), name=source)
    folder = Path(source).expanduser()
    if folder.is_dir():
        return read_folder(folder)
    accepted = (*NAMES, SYNTHETIC)
    raise UserError.field(
        "dataset",
        expected=f"one of {', '.join(accepted)}, or a folder of data files",
        got=repr(source),
        fix=did_you_mean(source, accepted),
    )


def fetch(name: str) -> Path:
    """The folder of any asset, fetched if need be, its content checked.

    Raises:
        UserError: If the name is unknown or no mirror served it.
    """
    return assets.fetch(name, digest=_content_hash if name in NAMES else None)


def read_folder(folder: Path, *, name: str | None = None) -> Dataset:
    """Reads a folder in whichever of the known layouts it is.

    Args:
        folder: The data files.
        name: Of the dataset; that of the files or of the folder if not given.

    Raises:
        UserError: If it is no known layout, or the files are malformed.
    """
    if all((folder / file).is_file() for file in MOVIELENS_FILES):
        return read_movielens_100k(folder, name=name)
    if any(folder.glob("*.inter")):
        return read_recbole(folder, name=name)
    raise UserError.field(
        str(folder),
        expected=f"a file NAME.inter, or {', '.join(MOVIELENS_FILES)}",
        got=", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing",
    )


def _content_hash(folder: Path) -> str:
    return read_folder(folder).content_hash()
