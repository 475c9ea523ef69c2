"""Row-wise Adagrad on the rows of a table that a step reads, in PyTorch.

Shapes: N rows of the table, M that are read, D width.
"""

import torch

from benchmarks.torch_baseline.neighbours import distinct

# As in FBGEMM, and in ours.
_EPS = 1e-8


class RowwiseAdagrad:
    """Touches no other row: `llmgnn_jax.training.rowwise` leaves them alone too.

    Args:
        table: (N, D), changed in place.
        learning_rate: Of every step.
    """

    def __init__(self, table: torch.Tensor, learning_rate: float) -> None:
        self._table = table.detach()
        self._squares_N = torch.zeros(len(table), device=table.device)
        self._rate = learning_rate

    def step(
        self, nodes_M: torch.Tensor, gradient_MD: torch.Tensor, *, repeats: bool
    ) -> None:
        """Of the rows `nodes_M`, some of which may be there twice if `repeats`."""
        if repeats:
            nodes_M, places = distinct(nodes_M, len(self._table))
            total = gradient_MD.new_zeros(len(nodes_M), gradient_MD.shape[1])
            gradient_MD = total.index_add_(0, places, gradient_MD)
        squares_M = self._squares_N[nodes_M] + gradient_MD.square().mean(dim=1)
        self._squares_N[nodes_M] = squares_M
        scale_M1 = (-self._rate / (squares_M.sqrt() + _EPS))[:, None]
        self._table.index_add_(0, nodes_M, gradient_MD.mul_(scale_M1))
