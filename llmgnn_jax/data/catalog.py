"""Data sets by name or folder."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from llmgnn_jax import assets
from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.config.held_out import SplitRule
from llmgnn_jax.data import memory
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.hashing import ContentHasher
from llmgnn_jax.data.layouts import (
    holds_nodes,
    holds_table,
    is_lastfm,
    read_folder,
    read_nodes,
)
from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.data.node_splits import NodeSizes, split_nodes
from llmgnn_jax.data.shop import shop
from llmgnn_jax.data.sources.lastfm import GROUPS as LASTFM_GROUPS
from llmgnn_jax.data.sources.lastfm import read_lastfm
from llmgnn_jax.data.sources.mapping import MAPPING, read_mapping
from llmgnn_jax.data.sources.table_file import TABLES, ending_of
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
    path = _path_of(source)
    if target == LASTFM_GROUPS and is_lastfm(path):
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
    path = _path_of(source)
    is_asset = source in (*DRAWN, *NAMES)
    if not is_asset and (ending_of(path) or holds_table(path)):
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
        return read_nodes(fetch(source), name=source)
    folder = _path_of(source)
    if folder.is_dir():
        return read_nodes(folder)
    raise _unknown(source, NODE_NAMES, others=(*NAMES, *DRAWN))


def _path_of(source: str | Path) -> Path:
    """The path, or that of its name below the folder that `LLMGNN_SHARED` names.

    Raises:
        UserError: As `named_path`, or for an empty name, which would stand for the
            folder that the command runs in.
    """
    if not str(source).strip():
        raise UserError.field(
            "data.source",
            expected="a name, a file or a folder",
            got="an empty text",
            fix="for the folder that you are in it is .",
        )
    path = named_path(source)
    shared = os.environ.get(SHARED)
    if shared and not path.exists():
        below = named_path(shared) / path
        if below.exists():
            return below
    return path


def is_there(source: str) -> bool:
    """Whether a source is a name, in memory, or a file or folder that can be found."""
    names = (*NAMES, *DRAWN, *NODE_NAMES)
    return source in names or memory.is_memory(source) or _path_of(source).exists()


def load_any(
    source: str | Path, *, columns: Sequence[str] = (), seed: int = 0
) -> Dataset | NodeSplit:
    """Loads what `load` loads, or else what `load_nodes` does.

    Args:
        source: As of either.
        columns: As of `load`.
        seed: Of the split, for nodes that come without one.

    Raises:
        UserError: As they do.
    """
    folder = _path_of(source)
    if str(source) in NODE_NAMES or (folder.is_dir() and holds_nodes(folder)):
        if columns:
            raise _no_columns(columns, str(source))
        loaded = _loaded_nodes(str(source))
        if isinstance(loaded, NodeSplit):
            return loaded
        return split_nodes(loaded, seed=seed)
    return load(source, columns=columns)


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


def _content_hash(folder: Path) -> str:
    """Of the data and, where they come in parts, of which rows are held out."""
    dataset = read_folder(folder)
    if dataset.published_test is None:
        return dataset.content_hash()
    parts = split_published(dataset, seed=0, valid_share=0)
    return _joint_hash(dataset.content_hash(), parts.split_hash)


def _node_content_hash(folder: Path) -> str:
    loaded = read_nodes(folder)
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
    expected = f"one of {', '.join(accepted)}, {files}or a folder of data files"
    if source not in others and _path_of(source).is_file():
        raise UserError.field(
            "dataset",
            expected=expected,
            got=f"{source!r}, a file of another ending",
            fix="the ending says what is in a file: name it .csv, .tsv or .jsonl (an "
            "object a line) if it is that, or write it as one of them"
            if files
            else "give the folder that it lies in",
        )
    return UserError.field(
        "dataset",
        expected=expected,
        got=repr(source),
        fix="that is a data set of another kind"
        if source in others
        else did_you_mean(source, accepted)
        or f"give its path, or set {SHARED} to the folder that it lies in",
    )
