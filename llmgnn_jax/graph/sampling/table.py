"""`SampleTable`: the incoming edges of each node and relation, to draw from.

Shapes: N nodes, R relations, E edges.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.sampling.words import Array

# The weights of a row are whole numbers that sum to about this: probabilities are true
# to 2**-31, and with at least 1 a neighbour the sum stays below 2**32.
TOTAL = 2**30

_FILES = ("indptr", "neighbours", "edge_ids", "cumulative")


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["indptr", "neighbours", "edge_ids", "cumulative"],
    meta_fields=["num_relations", "search_steps"],
)
@dataclass(frozen=True, kw_only=True)
class SampleTable:
    """Edges by (receiver, relation, sender); row v * R + r holds those of (v, r).

    NumPy arrays (memory-mapped ones too) are sampled from on the host, JAX arrays on
    the device.

    Attributes:
        indptr: (N * R + 1,) int32; row r has the edges indptr[r]:indptr[r + 1].
        neighbours: (E,) int32, senders, ascending within a row; one 0 without edges.
        edge_ids: (E,) int32, the position of each in the list that the table was made
            of: what the edges hold is looked up by it. None where nothing is.
        cumulative: (E,) uint32, the running sum within a row of the weights as whole
            numbers, the own one included; None without weights.
        num_relations: R.
        search_steps: Halvings that find a place in the longest row.
    """

    indptr: Array
    neighbours: Array
    edge_ids: Array | None
    cumulative: Array | None
    num_relations: int
    search_steps: int

    @classmethod
    def of_rows(cls, indptr: Array, neighbours: Array) -> "SampleTable":
        """A table of one relation to draw from uniformly, of arrays that are there."""
        return cls(
            indptr=indptr,
            neighbours=neighbours,
            edge_ids=None,
            cumulative=None,
            num_relations=1,
            search_steps=0,
        )

    @property
    def num_nodes(self) -> int:
        """N."""
        return (self.indptr.shape[0] - 1) // self.num_relations

    @property
    def on_host(self) -> bool:
        """Whether the arrays are NumPy's."""
        return isinstance(self.indptr, np.ndarray)

    def to_device(self) -> "SampleTable":
        """The table as JAX arrays on the default device."""
        return jax.tree.map(jax.numpy.asarray, self)

    def save(self, folder: Path) -> None:
        """Writes the arrays as .npy files into a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            if (values := getattr(self, name)) is not None:
                np.save(folder / f"{name}.npy", np.asarray(values))
        shape = np.asarray([self.num_relations, self.search_steps])
        np.save(folder / "shape.npy", shape)

    @classmethod
    def open(cls, folder: Path) -> "SampleTable":
        """A saved table, memory-mapped: only what is sampled is read.

        Raises:
            UserError: If the folder holds no table.
        """
        if not (folder / "shape.npy").exists():
            raise UserError.field(
                "table", expected="a folder that SampleTable.save wrote", got=folder
            )
        num_relations, search_steps = np.load(folder / "shape.npy").tolist()
        arrays = {
            name: np.load(path, mmap_mode="r")
            for name in _FILES
            if (path := folder / f"{name}.npy").exists()
        }
        return cls(
            **{"cumulative": None, **arrays},
            num_relations=num_relations,
            search_steps=search_steps,
        )


def sample_table(
    senders: np.ndarray,
    receivers: np.ndarray,
    num_nodes: int,
    *,
    relations: np.ndarray | None = None,
    num_relations: int = 1,
    weights: np.ndarray | None = None,
    ends: Literal["senders", "receivers"] = "senders",
) -> SampleTable:
    """Builds a table on the host from edges in any order.

    Args:
        senders: (E,) node numbers.
        receivers: (E,) node numbers; a node's neighbours are who sends to it.
        num_nodes: N.
        relations: (E,) in [0, num_relations); None: all 0.
        num_relations: R.
        weights: (E,) >= 0, finite: edges of a row are drawn in proportion to them. An
            edge of weight 0 is never drawn; any other weight below 2**-30 of its row's
            sum counts as that.
        ends: Which end's edges a row holds: "receivers" samples the edges that leave.

    Raises:
        UserError: If shapes differ, a number is out of range or a weight is not finite
            and >= 0, or there are 2**31 edges or rows.
    """
    if ends == "receivers":
        senders, receivers = receivers, senders
    senders, receivers = np.asarray(senders), np.asarray(receivers)
    kinds = np.zeros(len(senders), np.int64) if relations is None else relations
    kinds = np.asarray(kinds)
    for name, values, bound in (
        ("senders", senders, num_nodes),
        ("receivers", receivers, num_nodes),
        ("relations", kinds, num_relations),
    ):
        if values.shape != (len(senders),):
            raise UserError.field(
                name, expected=f"shape ({len(senders)},)", got=values.shape
            )
        if len(values) and not (values.min() >= 0 and values.max() < bound):
            raise UserError.field(
                name,
                expected=f"numbers in [0, {bound})",
                got=f"{values.min()} to {values.max()}",
            )
    if max(num_nodes * num_relations, len(senders)) >= 2**31 - 1:
        raise UserError.field(
            "graph",
            expected="fewer than 2**31 edges and fewer than 2**31 pairs of node and "
            "relation",
            got=f"{len(senders)} and {num_nodes * num_relations}",
        )
    rows = receivers.astype(np.int64) * num_relations + kinds
    order = np.lexsort((senders, rows))
    counts = np.bincount(rows, minlength=num_nodes * num_relations)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    cumulative = None
    if weights is not None:
        cumulative = _running_sums(weights, rows, order, indptr)
    # A place to read from where there is nothing to draw.
    spare = 0 if len(senders) else 1
    return SampleTable(
        indptr=indptr.astype(np.int32),
        neighbours=np.pad(senders[order].astype(np.int32), (0, spare)),
        edge_ids=np.pad(order.astype(np.int32), (0, spare)),
        cumulative=None if cumulative is None else np.pad(cumulative, (0, spare)),
        num_relations=num_relations,
        search_steps=int(counts.max(initial=0)).bit_length(),
    )


def _running_sums(
    weights: np.ndarray, rows: np.ndarray, order: np.ndarray, indptr: np.ndarray
) -> np.ndarray:
    """(E,) uint32, the running sums of whole numbers that stand for the weights."""
    weights = np.asarray(weights, np.float64)
    if weights.shape != rows.shape:
        raise UserError.field(
            "weights", expected=f"shape {rows.shape}", got=weights.shape
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        wrong = weights[~(np.isfinite(weights) & (weights >= 0))][0]
        raise UserError.field("weights", expected="finite numbers >= 0", got=wrong)
    weights, rows = weights[order], rows[order]
    # Divided by their row's largest first, so that no sum overflows.
    used = np.flatnonzero(np.diff(indptr))
    peaks = np.ones(len(indptr) - 1)
    if len(used):
        peaks[used] = np.maximum.reduceat(weights, indptr[used])
    real = weights > 0
    weights = weights / np.where(peaks > 0, peaks, 1.0)[rows]
    sums = np.bincount(rows, weights, minlength=len(indptr) - 1)
    shares = weights / np.where(sums > 0, sums, 1.0)[rows]
    units = np.where(real, np.maximum(np.rint(shares * TOTAL), 1), 0)
    running = np.concatenate([[0], np.cumsum(units.astype(np.int64))])
    return (running[1:] - running[indptr[rows]]).astype(np.uint32)
