"""Which layout a folder of data files has, known by its files."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.data.sources.amazon import is_amazon, read_amazon
from llmgnn_jax.data.sources.amazon_2023 import is_amazon_2023, read_amazon_2023
from llmgnn_jax.data.sources.amazon_splits import (
    is_amazon_splits,
    read_amazon_splits,
)
from llmgnn_jax.data.sources.cane import FILES as CANE_FILES
from llmgnn_jax.data.sources.cane import read_cane
from llmgnn_jax.data.sources.lastfm import FILES as LASTFM_FILES
from llmgnn_jax.data.sources.lastfm import read_lastfm
from llmgnn_jax.data.sources.lightgcn import FILES as LIGHTGCN_FILES
from llmgnn_jax.data.sources.lightgcn import read_lightgcn
from llmgnn_jax.data.sources.mapping import MAPPING
from llmgnn_jax.data.sources.movielens import FILES as MOVIELENS_FILES
from llmgnn_jax.data.sources.movielens import read_movielens_100k
from llmgnn_jax.data.sources.movielens_csv import FILES as MOVIELENS_CSV_FILES
from llmgnn_jax.data.sources.movielens_csv import read_movielens_csv
from llmgnn_jax.data.sources.movielens_dat import FILES as MOVIELENS_DAT_FILES
from llmgnn_jax.data.sources.movielens_dat import read_movielens_dat
from llmgnn_jax.data.sources.parquet_files import holds_parquet
from llmgnn_jax.data.sources.planetoid import is_planetoid, read_planetoid
from llmgnn_jax.data.sources.recbole import read_recbole
from llmgnn_jax.data.sources.table_file import ending_of
from llmgnn_jax.errors import UserError, excerpt

# The files that a layout is known by -> what reads it.
_LAYOUTS: Mapping[tuple[str, ...], Callable[..., Dataset]] = {
    MOVIELENS_FILES: read_movielens_100k,
    MOVIELENS_CSV_FILES: read_movielens_csv,
    MOVIELENS_DAT_FILES: read_movielens_dat,
    LASTFM_FILES: read_lastfm,
    LIGHTGCN_FILES: read_lightgcn,
}
# Whether a folder has files with names of a pattern -> what reads them.
_NAMED_LAYOUTS: Sequence[tuple[Callable[[Path], bool], Callable[..., Dataset]]] = (
    (is_amazon, read_amazon),
    (is_amazon_2023, read_amazon_2023),
    (is_amazon_splits, read_amazon_splits),
)


def read_folder(folder: Path, *, name: str | None = None) -> Dataset:
    """Reads a folder in whichever of the known layouts it is.

    Args:
        folder: The data files.
        name: Of the dataset; that of the files or of the folder if not given.

    Raises:
        UserError: If it is no known layout, or the files are malformed.
    """
    read = _layout_of(folder)
    if read is not None:
        return read(folder, name=name)
    if holds_nodes(folder):
        raise UserError.field(
            str(folder),
            expected="interactions of users with items",
            got="a graph of labelled nodes",
        )
    files = sorted(path.name for path in folder.iterdir())
    tables = [one for one in files if ending_of(Path(one)) or one.endswith(MAPPING)]
    raise UserError.field(
        str(folder),
        expected="a file NAME.inter, or NAME_5.json.gz and meta_NAME.json.gz, or "
        "NAME.jsonl.gz and meta_NAME.jsonl.gz, or NAME.train.csv and its like, or "
        + ", or ".join(", ".join(names) for names in _LAYOUTS),
        got=excerpt(", ".join(files[:8])) or "nothing",
        fix=f"if all of it is in {tables[0]}, give that: {folder / tables[0]}"
        if tables
        else "",
    )


def holds_table(folder: Path) -> bool:
    """Whether a folder is a table in pieces, as Spark writes it."""
    return folder.is_dir() and holds_parquet(folder) and _layout_of(folder) is None


def is_lastfm(folder: Path) -> bool:
    """Whether a folder is Last.fm, which has relations that are read when asked for."""
    return _has(folder, LASTFM_FILES)


def holds_nodes(folder: Path) -> bool:
    """Whether a folder is a graph of labelled nodes."""
    return is_planetoid(folder) or _has(folder, CANE_FILES)


def read_nodes(folder: Path, *, name: str | None = None) -> NodeDataset | NodeSplit:
    """Reads a graph of labelled nodes, with a split where it comes with one.

    Args:
        folder: The data files.
        name: Of the dataset; that of the folder if not given.

    Raises:
        UserError: If the files are missing or malformed.
    """
    if _has(folder, CANE_FILES):
        return read_cane(folder, name=name)
    return read_planetoid(folder, name=name)


def _layout_of(folder: Path) -> Callable[..., Dataset] | None:
    """What reads a folder, by its files; None where they are of no known layout."""
    if any(folder.glob("*.inter")) and not _has(folder, MOVIELENS_FILES):
        return read_recbole
    known = (read for files, read in _LAYOUTS.items() if _has(folder, files))
    others = (read for holds, read in _NAMED_LAYOUTS if holds(folder))
    return next(known, None) or next(others, None)


def _has(folder: Path, files: Iterable[str]) -> bool:
    return all((folder / file).is_file() for file in files)
