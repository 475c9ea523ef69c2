"""LightGCN's sums over sampled neighbours in PyTorch: of trees, and of PyG's blocks.

Shapes: R seeds, T places of a seed's tree, M rows that are read, E edges, D width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.torch_baseline.neighbours import Tree, distinct
from benchmarks.torch_baseline.sampled_sage import loader_classes

# (M, D) rows -> (R, D) sums of the seeds, and (R, D) the seeds' own rows.
Sums = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a step has drawn.

    Attributes:
        nodes_M: (M,) int64 nodes whose vectors are read; None: the table itself is.
        repeats: Whether a node may be there twice.
        sums: The mean of the layers, at the seeds, and their id vectors.
    """

    nodes_M: torch.Tensor | None
    repeats: bool = False
    sums: Sums


def in_place(tree: Tree) -> Drawn:
    """One `embedding_bag` of the table: the layers of LightGCN are linear."""
    return Drawn(
        nodes_M=None,
        sums=lambda table: _Bags.apply(table, tree.nodes_RT, tree.weights_RT),
    )


def of_distinct(tree: Tree, num_nodes: int) -> Drawn:
    """As `in_place`, of the different rows alone, gathered first."""
    nodes_M, places_RT = distinct(tree.nodes_RT, num_nodes)
    return Drawn(
        nodes_M=nodes_M,
        sums=lambda rows: _Bags.apply(rows, places_RT, tree.weights_RT),
    )


class _Bags(torch.autograd.Function):
    """A bag a tree, and the seeds' own rows, with one gradient of the rows for both:
    autograd would make two arrays of their size and add them up."""

    @staticmethod
    def forward(
        ctx: Any, rows: torch.Tensor, ids_RT: torch.Tensor, weights_RT: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.save_for_backward(ids_RT, weights_RT)
        ctx.num_rows = len(rows)
        sums = F.embedding_bag(ids_RT, rows, mode="sum", per_sample_weights=weights_RT)
        return sums, rows.index_select(0, ids_RT[:, 0])

    @staticmethod
    def backward(
        ctx: Any, of_sums_RD: torch.Tensor, of_own_RD: torch.Tensor
    ) -> tuple[torch.Tensor, None, None]:
        ids_RT, weights_RT = ctx.saved_tensors
        bags, size = ids_RT.shape
        numbers_R = torch.arange(bags, device=ids_RT.device)
        gradient = torch.ops.aten._embedding_bag_dense_backward(
            of_sums_RD.contiguous(),
            ids_RT.reshape(-1),
            numbers_R.repeat_interleave(size),
            torch.full_like(numbers_R, size),
            torch.empty_like(numbers_R),
            ctx.num_rows,
            False,
            0,
            weights_RT.reshape(-1),
        )
        return gradient.index_add_(0, ids_RT[:, 0], of_own_RD), None, None


def of_block(
    nodes_M: torch.Tensor,
    edges_2E: torch.Tensor,
    num_seeds: int,
    *,
    scale_N: torch.Tensor,
    forward: str,
    repeats: bool = False,
) -> Drawn:
    """Layer by layer over a block of PyG, its seeds first and its edges by hop.

    Args:
        nodes_M: The block's nodes.
        edges_2E: Senders and receivers, places among them.
        num_seeds: R.
        scale_N: sqrt(d_v) of all nodes.
        forward: A key of `FORWARDS`.
        repeats: Whether a node is there more than once.
    """
    senders, receivers = edges_2E
    drawn_M = torch.bincount(receivers, minlength=len(nodes_M))
    of_nodes_M = scale_N[nodes_M]
    share_M = of_nodes_M / drawn_M.clamp(min=1)
    weights_E = share_M[receivers] / of_nodes_M[senders]
    sums = FORWARDS[forward]
    return Drawn(
        nodes_M=nodes_M,
        repeats=repeats,
        sums=lambda rows: (
            sums(rows, edges_2E, weights_E, num_seeds),
            rows[:num_seeds],
        ),
    )


def _plain(
    rows: torch.Tensor, edges_2E: torch.Tensor, weights_E: torch.Tensor, seeds: int
) -> torch.Tensor:
    """Both layers over the whole block, by `LGConv`."""
    from torch_geometric.nn import LGConv

    layer = LGConv(normalize=False)
    first = layer(rows, edges_2E, weights_E)
    last = layer(first, edges_2E, weights_E)
    return (rows[:seeds] + first[:seeds] + last[:seeds]) / 3


def _trimmed_bags(
    rows: torch.Tensor, edges_2E: torch.Tensor, weights_E: torch.Tensor, seeds: int
) -> torch.Tensor:
    """Each layer computes the nodes that are heard later alone, by `embedding_bag`:
    edges are sorted by receiver."""
    senders, receivers = edges_2E
    near = int(torch.searchsorted(receivers, seeds))
    heard = max(seeds, int(senders[:near].max()) + 1) if near else seeds

    def layer(values: torch.Tensor, edges: int, count: int) -> torch.Tensor:
        numbers = torch.arange(count, device=receivers.device)
        offsets = torch.searchsorted(receivers[:edges], numbers)
        return F.embedding_bag(
            senders[:edges],
            values,
            offsets,
            mode="sum",
            per_sample_weights=weights_E[:edges],
        )

    first = layer(rows, len(senders), heard)
    return (rows[:seeds] + first[:seeds] + layer(first, near, seeds)) / 3


FORWARDS = {"plain": _plain, "bags": _trimmed_bags}


def block_of_hops(
    seeds_R: np.ndarray, hops: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """A drawn tree as PyG has a block: (M,) nodes, that repeat, and (2, E) edges."""
    nodes, senders, receivers = [seeds_R], [], []
    parents_W, first = np.arange(len(seeds_R)), len(seeds_R)
    for nodes_WF, mask_WF in hops:
        places_WF = np.full(nodes_WF.shape, -1)
        places_WF[mask_WF] = first + np.arange(mask_WF.sum())
        senders.append(places_WF[mask_WF])
        receivers.append(np.broadcast_to(parents_W[:, None], mask_WF.shape)[mask_WF])
        nodes.append(nodes_WF[mask_WF])
        first += int(mask_WF.sum())
        parents_W = places_WF.reshape(-1)
    return np.concatenate(nodes), np.stack(
        [np.concatenate(senders), np.concatenate(receivers)]
    )


def block_loader(
    *,
    senders: np.ndarray,
    receivers: np.ndarray,
    num_nodes: int,
    seeds: Sequence[np.ndarray],
    fanouts: Sequence[int],
    num_workers: int,
) -> Any:
    """A `NeighborLoader` of one block a batch of seeds, without replacement."""
    data_class, loader_class = loader_classes()
    ends = [torch.from_numpy(np.array(e, np.int64)) for e in (senders, receivers)]
    last = np.cumsum([len(batch) for batch in seeds])
    numbers = [
        range(end - len(batch), end) for batch, end in zip(seeds, last, strict=True)
    ]
    return loader_class(
        data_class(edge_index=torch.stack(ends), num_nodes=num_nodes),
        num_neighbors=list(fanouts),
        input_nodes=torch.from_numpy(np.concatenate(seeds).astype(np.int64)),
        batch_sampler=numbers,
        is_sorted=True,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        prefetch_factor=4 if num_workers else None,
    )
