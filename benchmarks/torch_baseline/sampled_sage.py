"""Sampled GraphSAGE training in PyG: NeighborLoader, two SAGEConv, Adam.

Shapes: S batches, B seeds, N nodes of a block, D width.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.harness import Task, Unavailable
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.device import DEVICE, numpy, peak_mb, tensor, wait

# Of a block: node vectors, (2, E) edges sorted by hop, seeds -> (B, D).
Forward = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


def loader_classes() -> tuple[Any, Any]:
    """PyG's `Data` and `NeighborLoader`.

    Raises:
        Unavailable: Without torch-sparse, which the loader samples by.
    """
    try:
        import torch_sparse  # noqa: F401
        from torch_geometric.data import Data
        from torch_geometric.loader import NeighborLoader
    except (ImportError, OSError) as error:
        raise Unavailable(
            "NeighborLoader needs torch-sparse: pip install --no-build-isolation "
            "torch-sparse torch-scatter"
        ) from error
    return Data, NeighborLoader


def setup(
    inputs: Inputs,
    *,
    fanouts: list[int],
    learning_rate: float,
    replace: bool,
    num_workers: int,
    workers_gather: bool = False,
    forward: Literal["plain", "trimmed", "bags"] = "trimmed",
) -> Task:
    """One run is a pass of the loader over all of `seeds`."""
    data_class, loader_class = loader_classes()
    convolutions = _layers(inputs)
    parameters = [p for layer in convolutions for p in layer.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate, fused=True)
    embed = FORWARDS[forward](*convolutions)
    seeds = torch.from_numpy(np.array(inputs["seeds"], np.int64))
    targets = tensor(inputs["targets"])
    ends = [
        torch.from_numpy(np.array(inputs[e], np.int64))
        for e in ("senders", "receivers")
    ]
    loader = loader_class(
        data_class(
            x=torch.from_numpy(np.array(inputs["nodes"])),
            edge_index=torch.stack(ends),
        ),
        num_neighbors=fanouts,
        replace=replace,
        input_nodes=seeds.reshape(-1),
        batch_size=seeds.shape[1],
        is_sorted=True,
        num_workers=num_workers,
        filter_per_worker=workers_gather,
        persistent_workers=num_workers > 0,
        prefetch_factor=4 if num_workers else None,
    )

    def loss_of(
        nodes: torch.Tensor, edges: torch.Tensor, seed_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        out = embed(nodes, edges, len(seed_ids))
        return F.mse_loss(out, targets[seed_ids]), out

    def run() -> None:
        for batch in loader:
            batch = batch.to(DEVICE)
            optimizer.zero_grad(set_to_none=True)
            seed_ids = batch.n_id[: batch.batch_size]
            loss, _ = loss_of(batch.x, batch.edge_index, seed_ids)
            loss.backward()
            optimizer.step()
        wait()

    def outputs() -> dict[str, np.ndarray]:
        _check_forward(embed, plain(*convolutions), next(iter(loader)).to(DEVICE))
        node_ids, edges = _block(inputs, len(fanouts))
        nodes = tensor(inputs["nodes"])[node_ids]
        loss, out = loss_of(nodes, edges, seeds[0].to(DEVICE))
        gradients = torch.autograd.grad(loss, parameters)
        found = {"out": numpy(out)}
        names = [
            f"gradient_{name}_{number}"
            for number in range(2)
            for name in ("neighbours", "bias", "root")
        ]
        for name, values in zip(names, gradients, strict=True):
            found[name] = numpy(values if values.dim() == 1 else values.T).copy()
        return found

    return Task(
        run=run,
        outputs=outputs,
        units=seeds.numel(),
        notes={"num_workers": num_workers, "forward": forward},
        device_peak_mb=peak_mb(),
    )


def plain(first: torch.nn.Module, last: torch.nn.Module) -> Forward:
    """Both layers over the whole block: PyG's introductory example."""

    def forward(nodes: torch.Tensor, edges: torch.Tensor, seeds: int) -> torch.Tensor:
        return last(first(nodes, edges).relu(), edges)[:seeds]

    return forward


def trimmed(first: torch.nn.Module, last: torch.nn.Module) -> Forward:
    """Each layer computes only the nodes that are heard later.

    `trim_to_layer` wants counts a hop that torch-sparse's sampler does not give, but
    edges come hop by hop and only those of the first lead into seeds.
    """

    def forward(nodes: torch.Tensor, edges: torch.Tensor, seeds: int) -> torch.Tensor:
        near, heard = _first_hop(edges, seeds)
        hidden = first((nodes, nodes[:heard]), edges).relu()
        return last((hidden, hidden[:seeds]), near)

    return forward


def bags(first: torch.nn.Module, last: torch.nn.Module) -> Forward:
    """As trimmed, the mean by `embedding_bag`: edges are sorted by receiver."""

    def layer(
        conv: torch.nn.Module, nodes: torch.Tensor, edges: torch.Tensor, rows: int
    ) -> torch.Tensor:
        senders, receivers = edges
        offsets = torch.searchsorted(
            receivers, torch.arange(rows, device=receivers.device)
        )
        mean = F.embedding_bag(senders, nodes, offsets, mode="mean")
        return conv.lin_l(mean) + conv.lin_r(nodes[:rows])

    def forward(nodes: torch.Tensor, edges: torch.Tensor, seeds: int) -> torch.Tensor:
        near, heard = _first_hop(edges, seeds)
        hidden = layer(first, nodes, edges, heard).relu()
        return layer(last, hidden, near, seeds)

    return forward


FORWARDS = {"plain": plain, "trimmed": trimmed, "bags": bags}


def _check_forward(embed: Forward, wanted: Forward, batch: Any) -> None:
    """Raises if a forward relies on an order of edges that the loader does not keep."""
    block = (batch.x, batch.edge_index, batch.batch_size)
    torch.testing.assert_close(embed(*block), wanted(*block), rtol=1e-4, atol=1e-5)


def _first_hop(edges: torch.Tensor, seeds: int) -> tuple[torch.Tensor, int]:
    """The edges into seeds, and how many nodes are seeds or send over them."""
    near = edges[:, : int((edges[1] < seeds).sum())]
    heard = max(seeds, int(near[0].max()) + 1) if near.numel() else seeds
    return near, heard


def _layers(inputs: Inputs) -> tuple[torch.nn.Module, torch.nn.Module]:
    from torch_geometric.nn import SAGEConv

    layers = []
    for number in range(2):
        kernel = tensor(inputs[f"neighbours_{number}"])
        layer = SAGEConv(*kernel.shape, aggr="mean").to(DEVICE)
        with torch.no_grad():
            layer.lin_l.weight.copy_(kernel.T)
            layer.lin_l.bias.copy_(tensor(inputs[f"bias_{number}"]))
            layer.lin_r.weight.copy_(tensor(inputs[f"root_{number}"]).T)
        layers.append(layer)
    return layers[0], layers[1]


def _block(inputs: Inputs, num_hops: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The fixed tree as PyG has a block: (N,) node ids and (2, E) edges.

    Empty slots are left out, as PyG leaves them out.
    """
    seeds = np.asarray(inputs["seeds"][0])
    node_ids, senders, receivers = [seeds], [], []
    place_of, first = np.arange(len(seeds)), len(seeds)
    for number in range(num_hops):
        nodes = np.asarray(inputs[f"block_nodes_{number}"])
        mask = np.asarray(inputs[f"block_mask_{number}"])
        places = np.full(nodes.shape, -1)
        places[mask] = first + np.arange(mask.sum())
        senders.append(places[mask])
        receivers.append(np.broadcast_to(place_of[:, None], nodes.shape)[mask])
        node_ids.append(nodes[mask])
        first += int(mask.sum())
        place_of = places.reshape(-1)
    edges = np.stack([np.concatenate(senders), np.concatenate(receivers)])
    return tensor(np.concatenate(node_ids), torch.int64), tensor(edges, torch.int64)
