"""Data sets by name or folder."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from llmgnn_jax import assets
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.hashing import ContentHasher
from llmgnn_jax.data.node_dataset import NodeSplit
from llmgnn_jax.data.sources.amazon import is_amazon, read_amazon
from llmgnn_jax.data.sources.lastfm import FILES as LASTFM_FILES
from llmgnn_jax.data.sources.lastfm import read_lastfm
from llmgnn_jax.data.sources.lightgcn import FILES as LIGHTGCN_FILES
from llmgnn_jax.data.sources.lightgcn import read_lightgcn
from llmgnn_jax.data.sources.movielens import FILES as MOVIELENS_FILES
from llmgnn_jax.data.sources.movielens import read_movielens_100k
from llmgnn_jax.data.sources.movielens_csv import FILES as MOVIELENS_CSV_FILES
from llmgnn_jax.data.sources.movielens_csv import read_movielens_csv
from llmgnn_jax.data.sources.planetoid import is_planetoid, read_planetoid
from llmgnn_jax.data.sources.recbole import read_recbole
from llmgnn_jax.data.splits import split_published
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError

SYNTHETIC = "synthetic"
# The assets that are data sets; the others are read by other rooms.
NAMES = ("ml-100k", "gowalla")
NODE_NAMES = ("cora",)
# The files that a layout is known by -> what reads it.
_LAYOUTS: Mapping[tuple[str, ...], Callable[..., Dataset]] = {
    MOVIELENS_FILES: read_movielens_100k,
    MOVIELENS_CSV_FILES: read_movielens_csv,
    LASTFM_FILES: read_lastfm,
    LIGHTGCN_FILES: read_lightgcn,
}


def load(source: str | Path) -> Dataset:
    """Loads "ml-100k", "gowalla", "synthetic", or a folder.

    A folder holds RecBole atomic files, MovieLens in an official layout (that of 100K,
    or the CSV files of ml-latest-small and its like), Amazon reviews of 2018, Last.fm
    of HetRec 2011, or train.txt and test.txt as LightGCN has them.

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
    raise _unknown(source, (*NAMES, SYNTHETIC), others=NODE_NAMES)


def load_nodes(source: str | Path) -> NodeSplit:
    """Loads a graph of labelled nodes with its published split: "cora", or a folder.

    A folder holds NAME.npz or the files ind.NAME.*, see `sources.planetoid`.

    Raises:
        UserError: As `load`.
    """
    source = str(source)
    if source in NODE_NAMES:
        return read_planetoid(fetch(source), name=source)
    folder = Path(source).expanduser()
    if folder.is_dir():
        return read_planetoid(folder)
    raise _unknown(source, NODE_NAMES, others=(*NAMES, SYNTHETIC))


def load_any(source: str | Path) -> Dataset | NodeSplit:
    """Loads what `load` loads, or else what `load_nodes` does.

    Raises:
        UserError: As they do.
    """
    folder = Path(source).expanduser()
    if str(source) in NODE_NAMES or (folder.is_dir() and is_planetoid(folder)):
        return load_nodes(source)
    return load(source)


def fetch(name: str) -> Path:
    """The folder of any asset, fetched if need be, its content checked.

    Raises:
        UserError: If the name is unknown or no mirror served it.
    """
    digests: dict[str, Callable[[Path], str]] = {
        **dict.fromkeys(NAMES, _content_hash),
        **dict.fromkeys(NODE_NAMES, _node_content_hash),
    }
    return assets.fetch(name, digest=digests.get(name))


def read_folder(folder: Path, *, name: str | None = None) -> Dataset:
    """Reads a folder in whichever of the known layouts it is.

    Args:
        folder: The data files.
        name: Of the dataset; that of the files or of the folder if not given.

    Raises:
        UserError: If it is no known layout, or the files are malformed.
    """
    if any(folder.glob("*.inter")) and not _has(folder, MOVIELENS_FILES):
        return read_recbole(folder, name=name)
    for files, read in _LAYOUTS.items():
        if _has(folder, files):
            return read(folder, name=name)
    if is_amazon(folder):
        return read_amazon(folder, name=name)
    if is_planetoid(folder):
        raise UserError.field(
            str(folder),
            expected="interactions of users with items",
            got="a graph of labelled nodes",
        )
    raise UserError.field(
        str(folder),
        expected="a file NAME.inter, or NAME_5.json.gz and meta_NAME.json.gz, or "
        + ", or ".join(", ".join(files) for files in _LAYOUTS),
        got=", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing",
    )


def _has(folder: Path, files: Iterable[str]) -> bool:
    return all((folder / file).is_file() for file in files)


def _content_hash(folder: Path) -> str:
    """Of the data and, where they come in parts, of which rows are held out."""
    dataset = read_folder(folder)
    if dataset.published_test is None:
        return dataset.content_hash()
    parts = split_published(dataset, seed=0, valid_share=0)
    return _joint_hash(dataset.content_hash(), parts.split_hash)


def _node_content_hash(folder: Path) -> str:
    split = read_planetoid(folder)
    return _joint_hash(split.dataset.content_hash(), split.split_hash)


def _joint_hash(*hashes: str) -> str:
    return ContentHasher("published-1").strings(hashes).hexdigest()


def _unknown(
    source: str, accepted: tuple[str, ...], *, others: tuple[str, ...]
) -> UserError:
    """The error for a name that is no data set of the kind that is wanted."""
    return UserError.field(
        "dataset",
        expected=f"one of {', '.join(accepted)}, or a folder of data files",
        got=repr(source),
        fix="that is a data set of another kind"
        if source in others
        else did_you_mean(source, accepted),
    )
