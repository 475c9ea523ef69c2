"""PyTorch Geometric's `Data`: a graph of labelled nodes."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from llmgnn_jax.data.node_dataset import UNLABELLED, NodeDataset, NodeSplit
from llmgnn_jax.data.sources.node_edges import undirected
from llmgnn_jax.data.sources.tensors import as_numpy
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)

MASKS = {"train": "train_mask", "valid": "val_mask", "test": "test_mask"}
_READ = {"x", "y", "edge_index", "class_names", *MASKS.values()}


def nodes_from_pyg(
    data: Any, *, name: str = "pyg", class_names: Sequence[str] | None = None
) -> NodeDataset | NodeSplit:
    """Reads `x`, `edge_index`, `y` and, where there are any, the masks.

    Edges are undirected; those of a node with itself are left out, counted in a
    warning. Labels below 0, and NaN, stand for none.

    Args:
        data: A `Data`.
        name: The dataset's name.
        class_names: The classes by their numbers; `data.class_names`, else the numbers.

    Returns:
        A `NodeSplit` if there is a `train_mask`, else a `NodeDataset`.

    Raises:
        UserError: If one of the three is missing or of another shape, or a mask has
            several columns.
    """
    for field in ("x", "edge_index", "y"):
        if data.get(field) is None:
            raise UserError.field(
                f"data.{field}",
                expected="a tensor",
                got="none",
                fix="a graph of labelled nodes has x, edge_index and y",
            )
    features, ends = as_numpy(data["x"]), as_numpy(data["edge_index"])
    labels = as_numpy(data["y"])
    size = len(features)
    if labels.shape not in ((size,), (size, 1)):
        raise UserError.field(
            "data.y",
            expected=f"a class for each of {size} nodes",
            got=f"shape {labels.shape}",
            fix="several labels a node are not read: keep one column",
        )
    labels = np.where(np.isnan(labels) | (labels < 0), UNLABELLED, labels)
    if (labels != labels.astype(np.int64)).any():
        raise UserError.field(
            "data.y", expected="whole numbers, a class each", got=labels.dtype
        )
    labels = labels.reshape(size).astype(np.int64)
    names = class_names or data.get("class_names")
    if names is None:
        names = map(str, range(int(labels.max(initial=0)) + 1))
    if ends.ndim != 2 or len(ends) != 2:
        raise UserError.field(
            "data.edge_index", expected="shape (2, edges)", got=f"shape {ends.shape}"
        )
    if others := sorted(set(data.keys()) - _READ):
        logger.warning("data: not read: %s", ", ".join(others))
    dataset = NodeDataset(
        name=name,
        features=features,
        labels=labels,
        edges=undirected(ends.T.astype(np.int64)),
        class_names=tuple(names),
    )
    masks = {part: data.get(field) for part, field in MASKS.items()}
    if masks["train"] is None:
        return dataset
    return NodeSplit(
        dataset=dataset,
        rule="masks",
        train=_nodes(masks["train"], MASKS["train"], size),
        valid=_nodes(masks["valid"], MASKS["valid"], size),
        test=_nodes(masks["test"], MASKS["test"], size),
    )


def _nodes(mask: Any, field: str, size: int) -> np.ndarray:
    if mask is None:
        return np.zeros(0, np.int64)
    flags = as_numpy(mask)
    if flags.shape != (size,) or flags.dtype != bool:
        raise UserError.field(
            f"data.{field}",
            expected=f"{size} booleans",
            got=f"shape {flags.shape} of {flags.dtype}",
            fix=f"choose one of several splits: data.{field}[:, 0]",
        )
    return np.flatnonzero(flags)
