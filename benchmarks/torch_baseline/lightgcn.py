"""LightGCN's propagation in PyTorch: what a batch's nodes get of it, differentiable.

Shapes: N nodes, D width, L layers, R rows of a batch, E edges. A is symmetric: its
transpose is itself, which autograd does not know.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.device import DEVICE, tensor
from benchmarks.torch_baseline.products import (
    PRODUCTS,
    Product,
    edge_index,
    sparse_tensor,
)

# (N, D) -> (N, D)
Propagation = Callable[[torch.Tensor], torch.Tensor]
# (N, D) and (R,) nodes -> (R, D) propagated and (R, D) of the table itself
RowsOf = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


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


def batch_alone(inputs: Inputs, num_layers: int) -> RowsOf:
    """`embedding_bag` as in `by_hand`, the last layer of the batch's nodes alone.

    In the forward pass, that is: in the backward the gradient that a batch has is made
    dense, since no kernel of torch's reads a few rows of a table by another's numbers.
    The gradient of the table's own rows is added where the last product ends.
    """
    product = PRODUCTS["bags"](inputs, torch.float32)
    senders = tensor(inputs["senders"], torch.int32)
    indptr = tensor(inputs["indptr"], torch.int64)
    weights = tensor(inputs["weights"], torch.float32)

    def last_layer(nodes: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        counts = indptr[rows + 1] - indptr[rows]
        offsets = F.pad(counts.cumsum(0), (1, 0))
        edges = torch.arange(int(offsets[-1]), device=rows.device)
        edges += (indptr[rows] - offsets[:-1]).repeat_interleave(counts)
        return F.embedding_bag(
            senders.index_select(0, edges),
            nodes,
            offsets.int(),
            mode="sum",
            per_sample_weights=weights.index_select(0, edges),
            include_last_offset=True,
        )

    class Propagate(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, table: torch.Tensor, rows: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            ctx.save_for_backward(rows)
            ctx.shape = table.shape
            own, layer = table.index_select(0, rows), table
            total = own.clone()
            for _ in range(num_layers - 1):
                layer = product(layer)
                total += layer.index_select(0, rows)
            return total.add_(last_layer(layer, rows)).div_(num_layers + 1), own

        @staticmethod
        def backward(
            ctx: Any, gradient: torch.Tensor, of_own: torch.Tensor
        ) -> tuple[torch.Tensor, None]:
            (rows,) = ctx.saved_tensors
            gradient = gradient / (num_layers + 1)
            flow = gradient.new_zeros(ctx.shape).index_add_(0, rows, gradient)
            for layer in range(num_layers):
                flow = product(flow)
                ends = layer + 1 == num_layers
                flow.index_add_(0, rows, gradient + of_own if ends else gradient)
            return flow, None

    return Propagate.apply


def of_rows(
    propagation: Callable[[Inputs, int], Propagation],
) -> Callable[[Inputs, int], RowsOf]:
    """All nodes are propagated, then the batch's are picked."""

    def build(inputs: Inputs, num_layers: int) -> RowsOf:
        propagate = propagation(inputs, num_layers)
        return lambda table, rows: (
            F.embedding(rows, propagate(table)),
            F.embedding(rows, table),
        )

    return build


def plain(product: str) -> Callable[[Inputs, int], RowsOf]:
    """Autograd through one of `PRODUCTS`."""
    return of_rows(
        lambda inputs, num_layers: by_autograd(
            PRODUCTS[product](inputs, torch.float32), num_layers
        )
    )


def own_backward(product: str) -> Callable[[Inputs, int], RowsOf]:
    """One of `PRODUCTS`, with the backward that knows that A is symmetric."""
    return of_rows(
        lambda inputs, num_layers: by_hand(
            PRODUCTS[product](inputs, torch.float32), num_layers
        )
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


PROPAGATIONS: dict[str, Callable[[Inputs, int], RowsOf]] = {
    "coo": plain("coo"),
    "csr": plain("csr"),
    "csr_own_backward": own_backward("csr"),
    "csr_reduce_own_backward": own_backward("csr_reduce"),
    "bags": plain("bags"),
    "bags_own_backward": own_backward("bags"),
    "bags_batch_alone": batch_alone,
    "pyg_edge_index": of_rows(pyg_edge_index),
    "pyg_sparse_tensor": of_rows(pyg_sparse_tensor),
}
