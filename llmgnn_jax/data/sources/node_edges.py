"""Edges of a graph in memory, in any order and direction, to those of `NodeDataset`."""

import logging

import numpy as np

logger = logging.getLogger(__name__)


def undirected(ends: np.ndarray) -> np.ndarray:
    """(M', 2) int64: each pair once, the smaller node first.

    Edges of a node with itself are left out, counted in a warning: self-loops are what
    a layer adds.

    Args:
        ends: (M, 2) nodes.
    """
    loops = ends[:, 0] == ends[:, 1]
    if count := int(loops.sum()):
        logger.warning("graph: %d edges of a node with itself left out", count)
    return np.unique(np.sort(ends[~loops], axis=1), axis=0)
