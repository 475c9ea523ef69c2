"""The ridge regression of all items on one another, through whichever side is smaller.

Shapes: U users, I items, K columns.
"""

import numpy as np
import scipy.linalg
import scipy.sparse


class RidgeInverse:
    """P = (Y^T Y + l2 1)^-1 of a (U, I) matrix Y, without forming it where U < I.

    There P = (1 - Y^T (Y Y^T + l2 1)^-1 Y) / l2 (Woodbury), which costs U^2 I and I^2 U
    where an inverse costs 2 I^3. All in float64: where l2 is small, float32 loses
    digits to the condition number.

    Args:
        rows_UI: Y.
        l2: Above 0.

    Attributes:
        diagonal_I: (I,) of P.
    """

    def __init__(self, rows_UI: scipy.sparse.csr_array, *, l2: float) -> None:
        rows_UI = rows_UI.astype(np.float64)
        num_users, num_items = rows_UI.shape
        self._l2, self._rows_UI = l2, None
        if num_users < num_items:
            gram_UU = (rows_UI @ rows_UI.T).toarray()
            gram_UU[np.diag_indices_from(gram_UU)] += l2
            self._rows_UI = rows_UI.toarray()
            factor = scipy.linalg.cho_factor(gram_UU, overwrite_a=True)
            self._solved_UI = scipy.linalg.cho_solve(factor, self._rows_UI)
            explained_I = np.einsum("ui,ui->i", self._rows_UI, self._solved_UI)
            self.diagonal_I = (1.0 - explained_I) / l2
            return
        gram_II = (rows_UI.T @ rows_UI).toarray()
        gram_II[np.diag_indices_from(gram_II)] += l2
        self._inverse_II = np.linalg.inv(gram_II)
        self.diagonal_I = np.diag(self._inverse_II).copy()

    def __matmul__(self, vectors_IK: np.ndarray) -> np.ndarray:
        """(I, K), P times them."""
        if self._rows_UI is None:
            return self._inverse_II @ vectors_IK
        explained_IK = self._rows_UI.T @ (self._solved_UI @ vectors_IK)
        return (vectors_IK - explained_IK) / self._l2

    def weights(self) -> np.ndarray:
        """(I, I) weights with zero diagonal that best rebuild Y: -P_ij / P_jj.

        Source: Steck, "Embarrassingly shallow autoencoders for sparse data" (2019), eq.
        8.
        """
        if self._rows_UI is None:
            weights_II = -self._inverse_II / self.diagonal_I
        else:
            weights_II = self._rows_UI.T @ (self._solved_UI / self.diagonal_I)
            weights_II /= self._l2
        np.fill_diagonal(weights_II, 0.0)
        return weights_II
