"""Citation graphs with the Planetoid split: NAME.npz, or ind.NAME.* as published.

Yang, Cohen and Salakhutdinov, "Revisiting Semi-Supervised Learning with Graph
Embeddings" (2016): a few labels of each class to train on, the next 500 nodes to
validate, 1,000 nodes to test.

NAME.npz holds the same as plain arrays: `x_indptr`, `x_indices`, `x_data`, `x_shape`
(features in CSR form), `y` (the class of each node, -1 for none), `edges` (M, 2),
`train_idx`, `val_idx` and `test_idx`.
"""

from pathlib import Path

import numpy as np
import scipy.sparse

from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.data.sources.files import open_file
from llmgnn_jax.data.sources.planetoid_raw import read_raw
from llmgnn_jax.errors import UserError, excerpt, in_a_line

RULE = "planetoid"

_KEYS = (
    *("x_indptr", "x_indices", "x_data", "x_shape"),
    *("y", "edges", "train_idx", "val_idx", "test_idx"),
)


def is_planetoid(folder: Path) -> bool:
    """Whether a folder holds one of the two layouts."""
    return bool(_npz_files(folder) or _raw_names(folder))


def read_planetoid(folder: Path | str, *, name: str | None = None) -> NodeSplit:
    """Reads a citation graph and its published split.

    Nothing that a file says is run: arrays are read with `allow_pickle=False`, and of
    the ind.NAME.* files, which are pickles, only numbers are taken (`planetoid_raw`).

    Args:
        folder: Holds one NAME.npz, or ind.NAME.graph and its like.
        name: The dataset's name; NAME if not given.

    Raises:
        UserError: If there is none, or it is malformed.
    """
    folder = Path(folder)
    files, raw = _npz_files(folder), _raw_names(folder)
    if len(files) == 1:
        return _read_npz(files[0], name or files[0].stem)
    if not files and len(raw) == 1:
        arrays = read_raw(folder, raw[0])
        return _split(folder, name or raw[0], arrays)
    found = [path.name for path in files] + [f"ind.{one}.*" for one in raw]
    raise UserError.field(
        str(folder),
        expected="one NAME.npz, or the files ind.NAME.* of one NAME",
        got=", ".join(found) or "none",
    )


def _npz_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npz"))


def _raw_names(folder: Path) -> list[str]:
    return sorted(
        path.name.removeprefix("ind.").removesuffix(".graph")
        for path in folder.glob("ind.*.graph")
    )


def _read_npz(path: Path, name: str) -> NodeSplit:
    try:
        # np.load leaves a file open that it cannot read, if it opens it itself.
        with open_file(path) as file, np.load(file, allow_pickle=False) as opened:
            if missing := [key for key in _KEYS if key not in opened]:
                raise UserError.field(
                    path.name,
                    expected="the arrays " + ", ".join(_KEYS),
                    got="no " + ", ".join(missing),
                )
            arrays = {key: opened[key] for key in _KEYS}
    except UserError:
        raise
    except ValueError as error:
        # An array of objects is a pickle, which is not opened.
        raise UserError.field(
            path.name, expected="arrays of numbers", got=excerpt(error)
        ) from error
    except Exception as error:  # A broken archive may raise anything.
        raise UserError.field(
            path.name, expected="a whole npz file", got=in_a_line(error)
        ) from error
    return _split(path, name, arrays)


def _split(path: Path, name: str, arrays: dict[str, np.ndarray]) -> NodeSplit:
    """The arrays of an npz file as a split, each fault under the file's name."""
    try:
        # SciPy would cut fractions off, and take whatever NaN becomes.
        for key in ("x_indptr", "x_indices", "x_shape"):
            if arrays[key].dtype.kind not in "iu":
                raise UserError.field(
                    key, expected="integers", got=f"dtype {arrays[key].dtype}"
                )
        features = scipy.sparse.csr_array(
            (arrays["x_data"], arrays["x_indices"], arrays["x_indptr"]),
            shape=tuple(arrays["x_shape"].tolist()),
        )
        labels = arrays["y"]
        dataset = NodeDataset(
            name=name,
            features=features,
            labels=labels,
            edges=arrays["edges"],
            class_names=tuple(map(str, range(_num_classes(labels)))),
        )
        return NodeSplit(
            dataset=dataset,
            rule=RULE,
            train=arrays["train_idx"],
            valid=arrays["val_idx"],
            test=arrays["test_idx"],
        )
    except UserError as error:
        raise UserError(f"{path.name}: {error}") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError.field(
            f"{path.name}: x", expected="features in CSR form", got=excerpt(error)
        ) from error


def _num_classes(labels: np.ndarray) -> int:
    """One more than the largest label; labels that are no integers are refused later.

    Raises:
        UserError: If a label is no smaller than the number of nodes: as many names of
            classes as a damaged file may ask for would fill the memory.
    """
    if labels.dtype.kind not in "iu":
        return 1
    largest = int(labels.max(initial=0))
    if largest >= max(1, labels.size):
        raise UserError.field(
            "y",
            expected=f"classes below the number of nodes, {labels.size}",
            got=largest,
        )
    return largest + 1
