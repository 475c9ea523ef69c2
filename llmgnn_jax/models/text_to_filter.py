"""What a filter would say of an item that nobody had yet, from its text alone.

Shapes: N items that are learned from, B items that are asked for, T width of a text
vector, K width of a filter's vectors.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

MAX_ITEMS = 10_000
"""Most items that are learned from: an (N, N) matrix in float64 is 800 MB."""

_AT_ONCE = 1_000
"""Texts that are asked for at a time, with a kernel value for each of N."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TextToFilter:
    """Kernel ridge regression from text vectors to a filter's item vectors.

    With c the cosine of two texts after what all have in common is taken away, the
    kernel is exp(s (c - 1)): texts are alike if they are near, and what is far says
    little. A linear map has to fit all texts by one set of T numbers.

    Attributes:
        center_T: Mean of the texts that were learned from.
        texts_NT: These, centred, of unit length.
        weights_NK: Of the kernel's values.
        mean_K: Mean of the vectors: what is said of a text like no other.
        sharpness: s.
    """

    center_T: np.ndarray
    texts_NT: np.ndarray
    weights_NK: np.ndarray
    mean_K: np.ndarray
    sharpness: float

    @classmethod
    def fit(
        cls,
        texts_NT: np.ndarray,
        vectors_NK: np.ndarray,
        *,
        l2: float,
        sharpness: float,
    ) -> "TextToFilter":
        """Learns from items that have both.

        Args:
            texts_NT: (N, T), none of them 0.
            vectors_NK: (N, K).
            l2: Of the regression; an item's own kernel value is 1.
            sharpness: s.
        """
        center_T = texts_NT.mean(axis=0, dtype=np.float64)
        apart_NT = _unit(texts_NT - center_T)
        kernel_NN = _kernel(apart_NT, apart_NT, sharpness)
        kernel_NN[np.diag_indices_from(kernel_NN)] += l2
        mean_K = vectors_NK.mean(axis=0, dtype=np.float64)
        factor = scipy.linalg.cho_factor(kernel_NN, overwrite_a=True)
        weights_NK = scipy.linalg.cho_solve(factor, vectors_NK - mean_K)
        return cls(
            center_T=center_T,
            texts_NT=apart_NT.astype(np.float32),
            weights_NK=weights_NK.astype(np.float32),
            mean_K=mean_K.astype(np.float32),
            sharpness=sharpness,
        )

    def __call__(self, texts_BT: np.ndarray) -> np.ndarray:
        """(B, K) float32 vectors of (B, T) texts."""
        apart_BT = _unit(texts_BT - self.center_T).astype(np.float32)
        said_BK = np.empty((len(texts_BT), len(self.mean_K)), np.float32)
        for first in range(0, len(texts_BT), _AT_ONCE):
            rows = slice(first, first + _AT_ONCE)
            kernel_CN = _kernel(apart_BT[rows], self.texts_NT, self.sharpness)
            said_BK[rows] = self.mean_K + kernel_CN @ self.weights_NK
        return said_BK


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


def _kernel(left: np.ndarray, right: np.ndarray, sharpness: float) -> np.ndarray:
    return np.exp(sharpness * (left @ right.T - 1.0))
