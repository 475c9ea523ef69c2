"""Edges from nodes to themselves, added on the host before a graph is planned.

Shapes: N nodes, E edges, L of them added.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

# "all": each node gets one, A + I as published; "missing": only nodes that have none
# (what PyTorch Geometric does); "none": the edges are taken as they are.
SelfLoops = Literal["all", "missing", "none"]


@dataclass(frozen=True, kw_only=True, eq=False)
class EdgeList:
    """Directed edges in any order, as `plan.sorted_graph` takes them.

    Attributes:
        senders: (E,) node numbers.
        receivers: (E,).
        edges: What they hold, arrays with E rows.
    """

    senders: np.ndarray
    receivers: np.ndarray
    edges: dict[str, np.ndarray] = field(default_factory=dict)


def with_self_loops(
    senders: np.ndarray,
    receivers: np.ndarray,
    num_nodes: int,
    *,
    edges: Mapping[str, np.ndarray] | None = None,
    self_loops: SelfLoops = "missing",
) -> EdgeList:
    """Adds edges from nodes to themselves.

    Args:
        senders: (E,) node numbers.
        receivers: (E,).
        num_nodes: N.
        edges: What the edges hold: "weight" (E,) is 1 on the new ones, all else, such
            as "features" (E, F), is there the mean over the node's incoming edges, 0
            without any. Whole numbers, such as "relation", have no mean.
        self_loops: Which nodes get one.

    Returns:
        E + L edges, the new ones last.

    Raises:
        ValueError: If an edge holds whole numbers beside its weight.
    """
    senders, receivers = np.asarray(senders), np.asarray(receivers)
    held = {name: np.asarray(values) for name, values in (edges or {}).items()}
    loops = np.arange(num_nodes) if self_loops != "none" else np.arange(0)
    if self_loops == "missing":
        loops = np.setdiff1d(loops, receivers[senders == receivers])
    for name, values in held.items():
        if name == "weight":
            new = np.ones(len(loops), values.dtype)
        elif np.issubdtype(values.dtype, np.floating):
            new = _means(values, receivers, num_nodes)[loops]
        else:
            raise ValueError(
                f"edges[{name!r}]: expected floating point, to take its mean, "
                f"got {values.dtype}"
            )
        held[name] = np.concatenate([values, new])
    return EdgeList(
        senders=np.concatenate([senders, loops]),
        receivers=np.concatenate([receivers, loops]),
        edges=held,
    )


def _means(values: np.ndarray, receivers: np.ndarray, num_nodes: int) -> np.ndarray:
    """(E, ...) -> (N, ...), over each node's incoming edges."""
    sums = np.zeros((num_nodes, *values.shape[1:]))
    np.add.at(sums, receivers, values)
    counts = np.maximum(np.bincount(receivers, minlength=num_nodes), 1)
    means = sums / counts.reshape(-1, *[1] * (values.ndim - 1))
    return means.astype(values.dtype)
