"""Data sets by name or folder."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from llmgnn_jax import assets
from llmgnn_jax.config.held_out import SplitRule
from llmgnn_jax.data import memory
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.hashing import ContentHasher
from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.data.node_splits import NodeSizes, split_nodes
from llmgnn_jax.data.shop import shop
from llmgnn_jax.data.sources.amazon import is_amazon, read_amazon
from llmgnn_jax.data.sources.amazon_2023 import is_amazon_2023, read_amazon_2023
from llmgnn_jax.data.sources.amazon_splits import (
    is_amazon_splits,
    read_amazon_splits,
)
from llmgnn_jax.data.sources.cane import FILES as CANE_FILES
from llmgnn_jax.data.sources.cane import read_cane
from llmgnn_jax.data.sources.lastfm import FILES as LASTFM_FILES
from llmgnn_jax.data.sources.lastfm import GROUPS as LASTFM_GROUPS
from llmgnn_jax.data.sources.lastfm import read_lastfm
from llmgnn_jax.data.sources.lightgcn import FILES as LIGHTGCN_FILES
from llmgnn_jax.data.sources.lightgcn import read_lightgcn
from llmgnn_jax.data.sources.mapping import MAPPING, read_mapping
from llmgnn_jax.data.sources.movielens import FILES as MOVIELENS_FILES
from llmgnn_jax.data.sources.movielens import read_movielens_100k
from llmgnn_jax.data.sources.movielens_csv import FILES as MOVIELENS_CSV_FILES
from llmgnn_jax.data.sources.movielens_csv import read_movielens_csv
from llmgnn_jax.data.sources.movielens_dat import FILES as MOVIELENS_DAT_FILES
from llmgnn_jax.data.sources.movielens_dat import read_movielens_dat
from llmgnn_jax.data.sources.planetoid import is_planetoid, read_planetoid
from llmgnn_jax.data.sources.recbole import read_recbole
from llmgnn_jax.data.sources.table_file import PARQUET, TABLES, ending_of
from llmgnn_jax.data.sources.table_source import read_table
from llmgnn_jax.data.splits import split_published
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.data.targets import INTERACTIONS, with_target
from llmgnn_jax.errors import UserError

# Drawn, from nothing but a seed.
DRAWN: Mapping[str, Callable[[], Dataset]] = {"synthetic": synthetic, "shop": shop}
SHARED = "LLMGNN_SHARED"
"""Environment variable: a folder of data sets that cannot be fetched by name."""
# The assets that are data sets; the others are read by other rooms.
NAMES = ("ml-100k", "ml-100k-recbole", "gowalla")
NODE_NAMES = ("cora", "cora-text")
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


def load(
    source: str | Path,
    *,
    columns: Sequence[str] = (),
    target: str = INTERACTIONS,
    dataset: memory.Held | None = None,
) -> Dataset:
    """What is learned from a source: its interactions, or links of another kind.

    Args:
        source: As `load_interactions` takes it.
        columns: Likewise.
        target: "interactions", or the name of a relation from users, see
            `targets.with_target`. Last.fm has "friends" and "groups".
        dataset: What is in memory, for a source that says so (`memory`).

    Raises:
        UserError: As `load_interactions`, if there is no such relation, or if the
            source is in memory and this is not it.
    """
    held = memory.interactions(str(source), dataset)
    if held is not None:
        if columns:
            raise _no_columns(columns, f"a data set in memory, {held.name}")
        return with_target(held, target)
    path = _below_shared(Path(source).expanduser())
    if target == LASTFM_GROUPS and _has(path, LASTFM_FILES):
        return with_target(read_lastfm(path, groups=True), target)
    return with_target(load_interactions(source, columns=columns), target)


def load_interactions(source: str | Path, *, columns: Sequence[str] = ()) -> Dataset:
    """Loads a data set by name, a table, a mapping or a folder.

    Names are "ml-100k", "ml-100k-recbole", "gowalla", "synthetic" and "shop". A table
    is a file of interactions (`sources.table_source`), or Parquet files in a
    folder; a mapping is a TOML file that says what is in which files
    (`sources.mapping`). Any other folder holds RecBole atomic files, MovieLens in an
    official layout (that of 100K, of 1M and 10M, or the CSV files of ml-latest-small
    and its like), Amazon reviews of 2018 or 2023, Last.fm of HetRec 2011, or train.txt
    and test.txt as LightGCN has them. What is not here is looked for below the folder
    that the environment's LLMGNN_SHARED names.

    Args:
        source: Which.
        columns: ROLE=COLUMN, for the columns of a table that have no usual name.

    Raises:
        UserError: If the name or folder is unknown, the asset cannot be had, the files
            are malformed, or columns are named where there is no table.
    """
    source = str(source)
    path = _below_shared(Path(source).expanduser())
    is_asset = source in (*DRAWN, *NAMES)
    if not is_asset and (ending_of(path) or _holds_table(path)):
        return read_table(path, columns=columns)
    if columns:
        of_mapping = "a file .toml names columns itself"
        raise _no_columns(columns, source, of_mapping * (path.suffix == MAPPING))
    if source in DRAWN:
        return DRAWN[source]()
    if source in NAMES:
        return read_folder(fetch(source))
    if path.suffix == MAPPING and not path.is_dir():
        return read_mapping(path)
    if path.is_dir():
        return read_folder(path)
    files = f"a table ({', '.join(TABLES)}), a mapping ({MAPPING}), "
    raise _unknown(source, (*NAMES, *DRAWN), others=NODE_NAMES, files=files)


def load_nodes(
    source: str | Path,
    *,
    rule: SplitRule = "published",
    seed: int = 0,
    sizes: NodeSizes | None = None,
    dataset: memory.Held | None = None,
) -> NodeSplit:
    """Loads a graph of labelled nodes and splits it: "cora", "cora-text", or a folder.

    A folder holds NAME.npz or the files ind.NAME.* (`sources.planetoid`), which come
    with a split, or data.txt, group.txt and graph.txt (`sources.cane`), which do not.

    Args:
        source: The name or the folder.
        rule: "published", the split that the data come with, or "random".
        seed: Of the draw, for "random".
        sizes: Of its parts, see `split_nodes`.
        dataset: As for `load`.

    Raises:
        UserError: As `load`; for data without a split where the published one is wanted
            or too few nodes to draw from; or for a rule that is of interactions.
    """
    loaded = memory.nodes(str(source), dataset) or _loaded_nodes(str(source))
    of_nodes = loaded.dataset if isinstance(loaded, NodeSplit) else loaded
    if rule == "random":
        return split_nodes(of_nodes, seed=seed, sizes=sizes)
    if rule == "published" and isinstance(loaded, NodeSplit):
        return loaded
    raise UserError.field(
        f"data.split {rule!r}",
        expected="published or random, for nodes"
        if isinstance(loaded, NodeSplit)
        else "random",
        got=f"{of_nodes.name}, which comes without a split"
        if rule == "published"
        else "a rule of interactions",
        fix="add --data.split random",
    )


def _loaded_nodes(source: str) -> NodeDataset | NodeSplit:
    if source in NODE_NAMES:
        return _read_nodes(fetch(source), name=source)
    folder = _below_shared(Path(source).expanduser())
    if folder.is_dir():
        return _read_nodes(folder)
    raise _unknown(source, NODE_NAMES, others=(*NAMES, *DRAWN))


def _read_nodes(folder: Path, *, name: str | None = None) -> NodeDataset | NodeSplit:
    if _has(folder, CANE_FILES):
        return read_cane(folder, name=name)
    return read_planetoid(folder, name=name)


def _below_shared(path: Path) -> Path:
    """The path, or that of its name below the folder that `LLMGNN_SHARED` names."""
    shared = os.environ.get(SHARED)
    if shared and not path.exists():
        below = Path(shared).expanduser() / path
        if below.exists():
            return below
    return path


def load_any(source: str | Path, *, seed: int = 0) -> Dataset | NodeSplit:
    """Loads what `load` loads, or else what `load_nodes` does.

    Args:
        source: As of either.
        seed: Of the split, for nodes that come without one.

    Raises:
        UserError: As they do.
    """
    folder = _below_shared(Path(source).expanduser())
    if str(source) in NODE_NAMES or (folder.is_dir() and _holds_nodes(folder)):
        loaded = _loaded_nodes(str(source))
        if isinstance(loaded, NodeSplit):
            return loaded
        return split_nodes(loaded, seed=seed)
    return load(source)


def _holds_nodes(folder: Path) -> bool:
    return is_planetoid(folder) or _has(folder, CANE_FILES)


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
    read = _layout_of(folder)
    if read is not None:
        return read(folder, name=name)
    if _holds_nodes(folder):
        raise UserError.field(
            str(folder),
            expected="interactions of users with items",
            got="a graph of labelled nodes",
        )
    raise UserError.field(
        str(folder),
        expected="a file NAME.inter, or NAME_5.json.gz and meta_NAME.json.gz, or "
        "NAME.jsonl.gz and meta_NAME.jsonl.gz, or NAME.train.csv and its like, or "
        + ", or ".join(", ".join(files) for files in _LAYOUTS),
        got=", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing",
    )


def _layout_of(folder: Path) -> Callable[..., Dataset] | None:
    """What reads a folder, by its files; None where they are of no known layout."""
    if any(folder.glob("*.inter")) and not _has(folder, MOVIELENS_FILES):
        return read_recbole
    known = (read for files, read in _LAYOUTS.items() if _has(folder, files))
    others = (read for holds, read in _NAMED_LAYOUTS if holds(folder))
    return next(known, None) or next(others, None)


def _holds_table(folder: Path) -> bool:
    """Whether a folder is a table in pieces, as Spark writes it."""
    return (
        folder.is_dir()
        and any(folder.glob(f"*{PARQUET}"))
        and _layout_of(folder) is None
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
    loaded = _read_nodes(folder)
    if isinstance(loaded, NodeDataset):
        return loaded.content_hash()
    return _joint_hash(loaded.dataset.content_hash(), loaded.split_hash)


def _joint_hash(*hashes: str) -> str:
    return ContentHasher("published-1").strings(hashes).hexdigest()


def _no_columns(columns: Sequence[str], source: str, fix: str = "") -> UserError:
    return UserError.field(
        "--data.columns",
        expected=f"none but with a table ({', '.join(TABLES)})",
        got=f"{' '.join(columns)} with {source}",
        fix=fix,
    )


def _unknown(
    source: str, accepted: tuple[str, ...], *, others: tuple[str, ...], files: str = ""
) -> UserError:
    """The error for a name that is no data set of the kind that is wanted."""
    return UserError.field(
        "dataset",
        expected=f"one of {', '.join(accepted)}, {files}or a folder of data files",
        got=repr(source),
        fix="that is a data set of another kind"
        if source in others
        else did_you_mean(source, accepted)
        or f"give its path, or set {SHARED} to the folder that it lies in",
    )
