"""Data that the caller of a run holds in memory, in the place of a source that is read.

    run = fit(config, dataset=dataset)
    Recommender.load(run.folder, dataset=dataset)

The source of such a run is `memory:NAME@HASH`: the data set's name, which is for
people, and the first 16 hex digits of the hash of its content, which has to be the same
whenever the run is resumed, evaluated or loaded.
"""

from typing import TypeAlias

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.hashing import ContentHasher
from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.errors import UserError

Held: TypeAlias = Dataset | NodeDataset | NodeSplit
_PREFIX = "memory:"
_FIX = (
    "in Python, give it as dataset=... to Recommender.load, evaluate or fit; commands "
    "read files alone"
)


def source_of(dataset: Held) -> str:
    """What a run that is given a data set says of its source."""
    if isinstance(dataset, NodeSplit):
        name = dataset.dataset.name
        hashes = [dataset.dataset.content_hash(), dataset.split_hash]
        content = ContentHasher("held-1").strings(hashes).hexdigest()
    elif isinstance(dataset, Dataset | NodeDataset):
        name, content = dataset.name, dataset.content_hash()
    else:
        raise _wrong("a Dataset, a NodeDataset or a NodeSplit", dataset)
    return f"{_PREFIX}{name}@{content[:16]}"


def is_memory(source: object) -> bool:
    """Whether a run says that its data were held in memory."""
    return isinstance(source, str) and source.startswith(_PREFIX)


def check_same(source: str, now: object) -> None:
    """Passes only if a run of data in memory is given the same again.

    Args:
        source: What the run says.
        now: The source of what is given; None for nothing.

    Raises:
        UserError: If nothing is given, or data of another content.
    """
    if isinstance(now, str) and is_memory(now) and _content(now) == _content(source):
        return
    raise UserError.field(
        f"data.source {source!r}",
        expected="the data set of that content, which the run was given in memory",
        got="none" if now is None else repr(now),
        fix=_FIX,
    )


def interactions(source: str, dataset: Held | None) -> Dataset | None:
    """The data set in place of a source of interactions; None where one is to be read.

    Raises:
        UserError: If the source is one in memory and this is not it, or the other way
            round.
    """
    if not _stands_in(source, dataset):
        return None
    if not isinstance(dataset, Dataset):
        raise _wrong("a Dataset, whose interactions are learned from", dataset)
    return dataset


def nodes(source: str, dataset: Held | None) -> NodeDataset | NodeSplit | None:
    """Likewise, of labelled nodes."""
    if not _stands_in(source, dataset):
        return None
    if not isinstance(dataset, NodeDataset | NodeSplit):
        raise _wrong(
            "a NodeDataset or a NodeSplit, whose nodes are classified", dataset
        )
    return dataset


def _stands_in(source: str, dataset: Held | None) -> bool:
    if dataset is None and not is_memory(source):
        return False
    if not is_memory(source):
        raise UserError.field(
            "dataset", expected=f"none: the run reads {source!r}", got="one in memory"
        )
    check_same(source, None if dataset is None else source_of(dataset))
    return True


def _content(source: str) -> str:
    return source.rpartition("@")[2]


def _wrong(expected: str, dataset: object) -> UserError:
    return UserError.field(
        "dataset", expected=expected, got=f"one {type(dataset).__name__}"
    )
