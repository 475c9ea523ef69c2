"""Every way that we know to multiply a sparse matrix with node vectors in PyTorch.

Shapes: N nodes, E edges, D width. A[v, u] is the weight of the edge from u to v.

Measured on the CPU, from slow to fast: edge lists (gather, scale, scatter) by an order
of magnitude, COO, CSR (MKL), `torch.sparse.mm(..., "sum")` and torch-sparse, and
`embedding_bag`, which is no graph operation by name: a node is a bag of its neighbours,
the edge weights are its per-sample weights, and FBGEMM's kernel prefetches rows.
"""

import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmarks.harness import Unavailable
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.device import DEVICE, tensor

# (N, D) -> (N, D)
Product = Callable[[torch.Tensor], torch.Tensor]

# "beta state", and that invariants are not checked.
warnings.filterwarnings("ignore", message=".*[Ss]parse (CSR|invariant).*")


def coo(inputs: Inputs, dtype: torch.dtype) -> Product:
    """A coalesced COO tensor: what LightGCN's reference code does."""
    matrix = _coo(inputs, dtype)
    return lambda nodes: torch.sparse.mm(matrix, nodes)


def csr(inputs: Inputs, dtype: torch.dtype) -> Product:
    """A CSR tensor; MKL reads int32 indices as they are and converts int64."""
    matrix = csr_matrix(inputs, dtype)
    return lambda nodes: matrix @ nodes


def csr_reduce(inputs: Inputs, dtype: torch.dtype) -> Product:
    """torch.sparse.mm with a reduction: ATen's own kernel, which PyG brought in.

    Its gradient is wrong with int32 indices at this size (torch 2.13): int64 here.
    """
    matrix = csr_matrix(inputs, dtype, indices=torch.int64)
    return lambda nodes: torch.sparse.mm(matrix, nodes, "sum")


def bags(inputs: Inputs, dtype: torch.dtype) -> Product:
    """torch.nn.functional.embedding_bag over neighbours, weighted."""
    senders = tensor(inputs["senders"])
    offsets = tensor(inputs["indptr"], torch.int32)
    weights = tensor(inputs["weights"], dtype)

    def product(nodes: torch.Tensor) -> torch.Tensor:
        return F.embedding_bag(
            senders,
            nodes,
            offsets,
            mode="sum",
            per_sample_weights=weights,
            include_last_offset=True,
        )

    return product


def edge_list_compiled(inputs: Inputs, dtype: torch.dtype) -> Product:
    """Gather, scale and index_add in one kernel of torch.compile."""
    senders = tensor(inputs["senders"], torch.int64)
    receivers = tensor(inputs["receivers"], torch.int64)
    weights = tensor(inputs["weights"], dtype)[:, None]

    def product(nodes: torch.Tensor) -> torch.Tensor:
        messages = nodes[senders] * weights
        return torch.zeros_like(nodes).index_add(0, receivers, messages)

    return torch.compile(product)


def segment_reduce(inputs: Inputs, dtype: torch.dtype) -> Product:
    """Gather and scale, then `torch.segment_reduce` over sorted edges."""
    senders = tensor(inputs["senders"], torch.int64)
    weights = tensor(inputs["weights"], dtype)[:, None]
    offsets = tensor(inputs["indptr"], torch.int64)

    def product(nodes: torch.Tensor) -> torch.Tensor:
        messages = nodes[senders] * weights
        return torch.segment_reduce(messages, "sum", offsets=offsets, initial=0)

    return product


def torch_sparse_product(inputs: Inputs, dtype: torch.dtype) -> Product:
    """torch-sparse's SparseTensor, its CSR made and its weights normalised once."""
    matrix = sparse_tensor(inputs, dtype)
    import torch_sparse

    return lambda nodes: torch_sparse.matmul(matrix, nodes)


def lgconv_edge_index(inputs: Inputs, dtype: torch.dtype) -> Product:
    """PyG's LGConv on an edge_index: normalises in each call, as it does by default."""
    from torch_geometric.nn import LGConv

    layer, edges = LGConv().to(DEVICE), edge_index(inputs)
    return lambda nodes: layer(nodes, edges)


def lgconv_sparse_tensor(inputs: Inputs, dtype: torch.dtype) -> Product:
    """PyG's LGConv on a SparseTensor that is normalised once."""
    from torch_geometric.nn import LGConv

    layer, matrix = LGConv(normalize=False).to(DEVICE), sparse_tensor(inputs, dtype)
    return lambda nodes: layer(nodes, matrix)


def edge_index_matmul(inputs: Inputs, dtype: torch.dtype) -> Product:
    """PyG's EdgeIndex, sorted and with its caches filled, times the nodes."""
    from torch_geometric import EdgeIndex

    num_nodes = int(inputs["num_nodes"])
    edges = EdgeIndex(
        edge_index(inputs),
        sparse_size=(num_nodes, num_nodes),
        sort_order="col",
        is_undirected=True,
    )
    edges.fill_cache_()
    weights = tensor(inputs["weights"], dtype)
    return lambda nodes: edges.matmul(nodes, weights, transpose=True)


PRODUCTS: dict[str, Callable[[Inputs, torch.dtype], Product]] = {
    "coo": coo,
    "csr": csr,
    "csr_reduce": csr_reduce,
    "bags": bags,
    "edge_list_compiled": edge_list_compiled,
    "segment_reduce": segment_reduce,
    "torch_sparse": torch_sparse_product,
    "lgconv_edge_index": lgconv_edge_index,
    "lgconv_sparse_tensor": lgconv_sparse_tensor,
    "edge_index_matmul": edge_index_matmul,
}


def csr_matrix(
    inputs: Inputs, dtype: torch.dtype, *, indices: torch.dtype = torch.int32
) -> torch.Tensor:
    """(N, N) CSR; int32 indices are the fastest that MKL takes."""
    num_nodes = int(inputs["num_nodes"])
    return torch.sparse_csr_tensor(
        tensor(inputs["indptr"], indices),
        tensor(inputs["senders"], indices),
        tensor(inputs["weights"], dtype),
        (num_nodes, num_nodes),
    )


def edge_index(inputs: Inputs) -> torch.Tensor:
    """(2, E) int64, PyG's: senders, receivers."""
    return torch.stack(
        [tensor(inputs[end], torch.int64) for end in ("senders", "receivers")]
    )


def sparse_tensor(inputs: Inputs, dtype: torch.dtype) -> "torch_sparse.SparseTensor":  # type: ignore[name-defined]  # noqa: F821
    """torch-sparse's matrix with the normalised weights.

    Raises:
        Unavailable: If torch-sparse is not there: it is built from source.
    """
    try:
        from torch_sparse import SparseTensor
    except (ImportError, OSError) as error:
        raise Unavailable(
            "torch-sparse is not installed: pip install --no-build-isolation "
            "torch-sparse torch-scatter"
        ) from error
    num_nodes = int(inputs["num_nodes"])
    return SparseTensor(
        row=tensor(inputs["receivers"], torch.int64),
        col=tensor(inputs["senders"], torch.int64),
        value=tensor(inputs["weights"], dtype),
        sparse_sizes=(num_nodes, num_nodes),
        is_sorted=True,
    )


def _coo(inputs: Inputs, dtype: torch.dtype) -> torch.Tensor:
    num_nodes = int(inputs["num_nodes"])
    ends = [tensor(inputs[end], torch.int64) for end in ("receivers", "senders")]
    matrix = torch.sparse_coo_tensor(
        torch.stack(ends),
        tensor(inputs["weights"], dtype),
        (num_nodes, num_nodes),
        check_invariants=False,
    )
    return matrix.coalesce()
