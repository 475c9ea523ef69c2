"""LightGCN's propagation in PyTorch: table -> mean over the layers, differentiable.

Shapes: N nodes, D width, L layers. A is symmetric: its transpose is itself, which
autograd does not know.
"""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.device import DEVICE
from benchmarks.torch_baseline.products import (
    PRODUCTS,
    Product,
    edge_index,
    sparse_tensor,
)

# (N, D) -> (N, D)
Propagation = Callable[[torch.Tensor], torch.Tensor]


def by_autograd(product: Product, num_layers: int) -> Propagation:
    """(1 / (L + 1)) sum over l of A^l X; autograd transposes the matrix."""

    def propagate(table: torch.Tensor) -> torch.Tensor:
        total = layer = table
        for _ in range(num_layers):
            layer = product(layer)
            total = total + layer
        return total / (num_layers + 1)

    return propagate


def by_hand(product: Product, num_layers: int) -> Propagation:
    """The same with a backward of its own: the polynomial is symmetric as A is.

    X + A (X + A (X + A X)) needs as many products as there are layers, in both
    directions, and keeps nothing for the backward.
    """

    def horner(table: torch.Tensor) -> torch.Tensor:
        total = product(table)
        for _ in range(num_layers - 1):
            total = product(total.add_(table))
        return total.add_(table).div_(num_layers + 1)

    class Propagate(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, table: torch.Tensor) -> torch.Tensor:
            return horner(table)

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            return horner(gradient)

    return Propagate.apply


def plain(product: str) -> Callable[[Inputs, int], Propagation]:
    """Autograd through one of `PRODUCTS`."""
    return lambda inputs, num_layers: by_autograd(
        PRODUCTS[product](inputs, torch.float32), num_layers
    )


def own_backward(product: str) -> Callable[[Inputs, int], Propagation]:
    """One of `PRODUCTS`, with the backward that knows that A is symmetric."""
    return lambda inputs, num_layers: by_hand(
        PRODUCTS[product](inputs, torch.float32), num_layers
    )


def pyg_edge_index(inputs: Inputs, num_layers: int) -> Propagation:
    """PyG's LightGCN as its documentation has it: normalised in each layer's call."""
    return _pyg(inputs, num_layers, edge_index(inputs), normalize=True)


def pyg_sparse_tensor(inputs: Inputs, num_layers: int) -> Propagation:
    """PyG's LightGCN on a SparseTensor, normalised once, its caches filled."""
    matrix = sparse_tensor(inputs, torch.float32)
    matrix.fill_cache_()
    return _pyg(inputs, num_layers, matrix, normalize=False)


def _pyg(inputs: Inputs, num_layers: int, edges: Any, *, normalize: bool) -> Any:
    from torch_geometric.nn.models import LightGCN

    num_nodes, width = inputs["table"].shape
    model = LightGCN(num_nodes, width, num_layers, normalize=normalize).to(DEVICE)

    def propagate(table: torch.Tensor) -> torch.Tensor:
        # Its parameter is the table that the optimizer holds.
        model.embedding.weight = table
        return model.get_embedding(edges)

    return propagate


PROPAGATIONS: dict[str, Callable[[Inputs, int], Propagation]] = {
    "coo": plain("coo"),
    "csr": plain("csr"),
    "csr_own_backward": own_backward("csr"),
    "csr_reduce_own_backward": own_backward("csr_reduce"),
    "bags": plain("bags"),
    "bags_own_backward": own_backward("bags"),
    "pyg_edge_index": pyg_edge_index,
    "pyg_sparse_tensor": pyg_sparse_tensor,
}
