"""The checks behind `NodeDataset` and `NodeSplit`, in the manner of `validation`."""

from typing import Any

import numpy as np
import scipy.sparse

from llmgnn_jax.data.validation import read_only
from llmgnn_jax.errors import UserError


def checked_features(
    name: str, features: scipy.sparse.csr_array | np.ndarray
) -> scipy.sparse.csr_array | np.ndarray:
    """(N, F) float32 copy of finite numbers; sparse ones in canonical form.

    F may be 0, for nodes of which nothing but edges and texts is known.
    """
    is_sparse = scipy.sparse.issparse(features)
    array: Any = features if is_sparse else np.asarray(features)
    if array.ndim != 2 or not array.shape[0]:
        raise UserError.field(
            name, expected="shape (nodes, features)", got=f"shape {array.shape}"
        )
    if array.dtype.kind not in "fiub":
        raise UserError.field(name, expected="numbers", got=f"dtype {array.dtype}")
    # A value above the float32 range becomes inf here and is refused below.
    with np.errstate(over="ignore"):
        if not is_sparse:
            dense = array.astype(np.float32)
            _check_finite(name, dense)
            return read_only(dense)
        sparse = scipy.sparse.csr_array(array, copy=True).astype(np.float32)
    try:
        check_csr(sparse)
    except ValueError as error:
        raise UserError.field(name, expected="a CSR matrix", got=error) from None
    sparse.sum_duplicates()
    sparse.eliminate_zeros()
    _check_finite(name, sparse.data)
    for part in (sparse.indptr, sparse.indices, sparse.data):
        read_only(part)
    return sparse


def check_csr(matrix: scipy.sparse.csr_array) -> None:
    """Passes if a CSR matrix is one: SciPy's compiled code takes it at its word.

    Raises:
        ValueError: If it is none.
    """
    # SciPy checks no further where the last of them says that there is nothing.
    if (np.diff(matrix.indptr) < 0).any():
        raise ValueError("indptr must not fall")
    matrix.check_format(full_check=True)


def _check_finite(name: str, values: np.ndarray) -> None:
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise UserError.field(
            name,
            expected="finite numbers",
            got=f"{values[wrong][0]} and {int(wrong.sum()) - 1} more like it",
            fix="drop the nodes or fill the values in",
        )


def checked_labels(labels: np.ndarray, num_nodes: int, num_classes: int) -> np.ndarray:
    """(N,) int32 copy of classes in [0, C), -1 for none."""
    array = _integers("labels", labels, (num_nodes,))
    wrong = (array < -1) | (array >= num_classes)
    if wrong.any():
        node = int(wrong.argmax())
        raise UserError.field(
            f"labels[{node}]",
            expected=f"a class in [0, {num_classes}), or -1 for none",
            got=array[node],
        )
    return read_only(array.astype(np.int32))


def checked_edges(edges: np.ndarray, num_nodes: int) -> np.ndarray:
    """(M, 2) int32 copy, sorted: each undirected edge once, the smaller node first."""
    array = _integers("edges", edges, (len(np.atleast_1d(edges)), 2))
    for wrong, expected in (
        ((array < 0) | (array >= num_nodes), f"nodes in [0, {num_nodes})"),
        (array[:, :1] >= array[:, 1:], "the smaller node first, and no self-loop"),
    ):
        rows = wrong.any(axis=1)
        if rows.any():
            row = int(rows.argmax())
            raise UserError.field(
                f"edges[{row}]", expected=expected, got=tuple(array[row].tolist())
            )
    keys = array[:, 0].astype(np.int64) * num_nodes + array[:, 1]
    order = np.argsort(keys, kind="stable")
    repeated = np.flatnonzero(np.diff(keys[order]) == 0)
    if len(repeated):
        row = int(order[repeated[0] + 1])
        raise UserError.field(
            f"edges[{row}]",
            expected="each edge once",
            got=f"{tuple(array[row].tolist())} again",
            fix="drop the duplicates",
        )
    return read_only(array[order].astype(np.int32))


def checked_nodes(part: str, nodes: np.ndarray, num_nodes: int) -> np.ndarray:
    """(n,) int64 copy of distinct nodes, ascending."""
    array = np.sort(_integers(f"split.{part}", nodes, (len(np.atleast_1d(nodes)),)))
    if len(array) and not 0 <= array[0] <= array[-1] < num_nodes:
        raise UserError.field(
            f"split.{part}",
            expected=f"nodes in [0, {num_nodes})",
            got=array[0] if array[0] < 0 else array[-1],
        )
    if (array[1:] == array[:-1]).any():
        raise UserError.field(
            f"split.{part}",
            expected="each node once",
            got=f"{array[1:][array[1:] == array[:-1]][0]} again",
        )
    return read_only(array.astype(np.int64))


def _integers(name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(values)
    if array.shape != shape:
        raise UserError.field(name, expected=f"shape {shape}", got=array.shape)
    if array.dtype.kind not in "iu" and array.size:
        raise UserError.field(name, expected="integers", got=f"dtype {array.dtype}")
    return array
