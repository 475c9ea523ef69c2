"""`Csr`: a set of (row, column) pairs, sorted by row."""

from dataclasses import dataclass

import numpy as np

from llmgnn_jax.data.distinct import among, distinct
from llmgnn_jax.data.validation import read_only


@dataclass(frozen=True, eq=False)
class Csr:
    """A set of (row, column) pairs by row: `indices[indptr[r]:indptr[r + 1]]`.

    Attributes:
        indptr: (R + 1,) int64.
        indices: (nnz,) int32, ascending and distinct within a row.
    """

    indptr: np.ndarray
    indices: np.ndarray

    @classmethod
    def from_pairs(cls, rows: np.ndarray, cols: np.ndarray, num_rows: int) -> "Csr":
        """Sorts (E,) pairs into a `Csr`; a pair that repeats is kept once.

        Raises:
            ValueError: If a row is outside [0, num_rows) or a column is negative.
        """
        rows, cols = np.asarray(rows, np.int64), np.asarray(cols, np.int64)
        if rows.shape != cols.shape or rows.ndim != 1:
            raise ValueError(f"rows {rows.shape} and cols {cols.shape}: not one (E,)")
        if rows.size and (rows.min() < 0 or rows.max() >= num_rows):
            raise ValueError(f"rows must lie in [0, {num_rows})")
        if cols.size and cols.min() < 0:
            raise ValueError("cols must not be negative")
        width = int(cols.max()) + 1 if cols.size else 1
        pairs = distinct(rows * width + cols)
        counts = np.bincount(pairs // width, minlength=num_rows)
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        return cls(
            read_only(indptr.astype(np.int64)),
            read_only((pairs % width).astype(np.int32)),
        )

    @property
    def num_rows(self) -> int:
        """Number of rows R."""
        return len(self.indptr) - 1

    @property
    def nnz(self) -> int:
        """Number of pairs."""
        return len(self.indices)

    def row(self, i: int) -> np.ndarray:
        """(n,) int32: the columns of row i, ascending; a view."""
        return self.indices[self.indptr[i] : self.indptr[i + 1]]

    def take(self, rows: np.ndarray) -> "Csr":
        """The (B,) rows that are named, repeats allowed, as a matrix of B rows."""
        starts, ends = self.indptr[rows], self.indptr[rows + 1]
        indptr = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(ends - starts, out=indptr[1:])
        if len(rows) == 1:
            return Csr(indptr=indptr, indices=self.indices[starts[0] : ends[0]])
        places = np.repeat(starts - indptr[:-1], ends - starts)
        places += np.arange(indptr[-1])
        return Csr(indptr=indptr, indices=self.indices[places])

    def counts(self) -> np.ndarray:
        """(R,) int64: the number of columns of each row."""
        return np.diff(self.indptr)

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """((nnz,) int64 rows, (nnz,) int32 columns), sorted by row, then column."""
        return np.repeat(np.arange(self.num_rows), self.counts()), self.indices

    def union(self, other: "Csr") -> "Csr":
        """The pairs that lie in either; both must have the same number of rows."""
        if self.num_rows != other.num_rows:
            raise ValueError(f"union of {self.num_rows} and {other.num_rows} rows")
        (rows, cols), (other_rows, other_cols) = self.pairs(), other.pairs()
        return Csr.from_pairs(
            np.concatenate([rows, other_rows]),
            np.concatenate([cols, other_cols]),
            self.num_rows,
        )

    def difference(self, other: "Csr") -> "Csr":
        """The pairs of this one that do not lie in the other."""
        if self.num_rows != other.num_rows:
            raise ValueError(f"difference of {self.num_rows} and {other.num_rows} rows")
        (rows, cols), (other_rows, other_cols) = self.pairs(), other.pairs()
        width = 1 + max(cols.max(initial=0), other_cols.max(initial=0)).item()
        keep = ~among(rows * width + cols, other_rows * width + other_cols)
        return Csr.from_pairs(rows[keep], cols[keep], self.num_rows)


def csr_in_pieces(
    indptr: np.ndarray, indices: np.ndarray, *, pieces: int, at_least: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Rows cut into pieces, each with offsets of its own: int32 however many there are.

    Args:
        indptr: (R + 1,), R a multiple of the pieces.
        indices: (nnz,) or more, of which indptr[-1] are read.
        pieces: S.
        at_least: Room of a piece, where its rows need less.

    Returns:
        (S (R / S + 1),) int32 offsets and (S E,) int32 indices, piece after piece, each
        filled up with 0 to the longest.
    """
    size = (len(indptr) - 1) // pieces
    assert size * pieces == len(indptr) - 1, "pieces have as many rows"
    borders = indptr[np.arange(pieces + 1) * size]
    longest = max(at_least, int(np.diff(borders).max(initial=0)))
    offsets = np.zeros((pieces, size + 1), np.int32)
    held = np.zeros((pieces, longest), np.int32)
    for piece in range(pieces):
        first, last = borders[piece], borders[piece + 1]
        offsets[piece] = indptr[piece * size : (piece + 1) * size + 1] - first
        held[piece, : last - first] = indices[first:last]
    return offsets.reshape(-1), held.reshape(-1)
