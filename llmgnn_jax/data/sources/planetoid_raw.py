"""The files ind.NAME.* as Planetoid publishes them: pickles of Python 2.

A pickle can name any function to be called. Here every name that these files use leads
to a stand-in below, which stores what it is given; any other name is refused. So no
code but this file's runs, whoever wrote the pickle.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from llmgnn_jax.data.node_validation import check_csr
from llmgnn_jax.data.sources.files import open_file, unreadable
from llmgnn_jax.errors import UserError, in_a_line

_NUM_VALID = 500
_NUMBERS = ("i4", "i8", "f4", "f8")


class _State:
    """Stands in for an object: keeps arguments and state, whatever they are."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> np.ndarray:
        """The numbers, if it stands for a NumPy array of them."""
        _, shape, dtype, by_column, raw = self.state
        kind, order = dtype.arguments[0], dtype.state[1]
        if kind not in _NUMBERS or order not in ("<", ">"):
            raise ValueError(f"an array of {order}{kind}")
        flat = np.frombuffer(raw.encode("latin-1"), np.dtype(f"{order}{kind}"))
        return flat.reshape(shape, order="F" if by_column else "C")

    def sparse(self) -> scipy.sparse.csr_array:
        """The matrix, if it stands for a SciPy CSR matrix."""
        parts = (self.state[key].array() for key in ("data", "indices", "indptr"))
        matrix = scipy.sparse.csr_array(tuple(parts), shape=self.state["_shape"])
        check_csr(matrix)
        return matrix

    def one_hot(self) -> np.ndarray:
        """(n, C): the classes of nodes, if it stands for such an array."""
        array = self.array()
        if array.ndim != 2:
            raise ValueError(f"an array of shape {array.shape}")
        return array


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _State,
    ("numpy", "dtype"): _State,
    ("numpy.core.multiarray", "_reconstruct"): _State,
    ("scipy.sparse.csr", "csr_matrix"): _State,
    ("collections", "defaultdict"): lambda *_: {},
    ("__builtin__", "list"): _State,
}


# The one written in Python: to the one in C four bytes of a damaged file may say that
# its memo has two thousand million places, and it fills them.
class _Reader(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _STAND_INS[module, name]


def read_raw(folder: Path, name: str) -> dict[str, np.ndarray]:
    """What the files of one data set say, under the names of the arrays of NAME.npz.

    A node between the published ones that is in no file (Citeseer has some) gets no
    features and no label.

    Raises:
        UserError: If a file is missing, says something else, or they do not fit.
    """
    known, tested = (
        _read(folder, name, part, _State.sparse) for part in ("allx", "tx")
    )
    known_classes, tested_classes, train_classes = (
        _read(folder, name, part, _State.one_hot) for part in ("ally", "ty", "y")
    )
    edges = _read(folder, name, "graph", _edges)
    places = _read(folder, name, "test.index", _whole_numbers)
    num_known, num_train = known.shape[0], len(train_classes)
    if (
        known.shape[1] != tested.shape[1]
        or len(known_classes) != num_known
        or known_classes.shape[1] != tested_classes.shape[1]
        or not len(places) == len(tested_classes) == tested.shape[0] > 0
        or not num_known <= places.min() <= places.max() < num_known + 10 * len(places)
        or num_train + _NUM_VALID > num_known
    ):
        raise UserError.field(
            str(folder),
            expected=f"files ind.{name}.* that fit one another",
            got=f"{num_known} rows in allx, {len(known_classes)} in ally, "
            f"{tested.shape[0]} in tx, {len(tested_classes)} in ty, {len(places)} in "
            f"test.index, {num_train} in y; {known.shape[1]} and {tested.shape[1]} "
            "features",
        )
    num_nodes = int(places.max()) + 1
    # The row of each node in allx, tx and a last, empty one.
    rows = np.full(num_nodes, num_known + len(places))
    rows[:num_known] = np.arange(num_known)
    rows[places] = num_known + np.arange(len(places))
    empty = scipy.sparse.csr_array((1, known.shape[1]), dtype=known.dtype)
    features = scipy.sparse.vstack([known, tested, empty], format="csr")[rows]
    classes = np.concatenate(
        [known_classes, tested_classes, np.zeros((1, known_classes.shape[1]))]
    )[rows]
    return {
        "x_indptr": features.indptr,
        "x_indices": features.indices,
        "x_data": features.data,
        "x_shape": np.array(features.shape),
        "y": np.where(classes.any(axis=1), classes.argmax(axis=1), -1),
        "edges": edges,
        "train_idx": np.arange(num_train),
        "val_idx": np.arange(num_train, num_train + _NUM_VALID),
        "test_idx": np.sort(places),
    }


def _read(folder: Path, name: str, part: str, taken: Callable[[Any], Any]) -> Any:
    path = folder / f"ind.{name}.{part}"
    try:
        with open_file(path) as file:
            if part == "test.index":
                return taken(file.read())
            return taken(_Reader(file, encoding="latin-1").load())
    except UserError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # A broken pickle may raise anything.
        raise UserError.field(
            path.name,
            expected="the file as Planetoid publishes it",
            got=in_a_line(error),
        ) from error


def _edges(neighbours: dict[int, list[int]]) -> np.ndarray:
    """(M, 2): each undirected edge once, without the self-loops."""
    senders = np.repeat(
        np.fromiter(neighbours, np.int64), [len(one) for one in neighbours.values()]
    )
    receivers = np.concatenate([np.array(one) for one in neighbours.values()])
    both = np.stack([senders, receivers], axis=1)
    return np.unique(np.sort(both[senders != receivers], axis=1), axis=0)


def _whole_numbers(raw: bytes) -> np.ndarray:
    words = raw.split()
    if b"_" in raw:  # Python's way of writing 1_000.
        raise ValueError(next(word for word in words if b"_" in word))
    return np.array([int(word) for word in words], np.int64)
