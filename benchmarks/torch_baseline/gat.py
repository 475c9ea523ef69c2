"""GATConv forward and backward: PyG's, on each of its inputs, and one by hand.

Shapes: N nodes, E edges, H heads, F width of a head.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from benchmarks.harness import Task, Unavailable
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.attention import Edges, attend
from benchmarks.torch_baseline.device import DEVICE, numpy, peak_mb, tensor, wait
from benchmarks.torch_baseline.products import edge_index, sparse_tensor

PARAMETERS = ("kernel", "sender_attention", "receiver_attention", "bias")
_SLOPE = 0.2


def setup(inputs: Inputs, *, path: str) -> Task:
    """One of `PATHS`; the edges hold their self-loops already."""
    forward, parameters = PATHS[path](inputs)
    nodes = tensor(inputs["nodes"]).requires_grad_()
    cotangent = tensor(inputs["cotangent"])
    leaves = [nodes, *parameters.values()]

    def once() -> torch.Tensor:
        for leaf in leaves:
            leaf.grad = None
        out = forward(nodes)
        out.backward(cotangent)
        return out

    def run() -> None:
        once()
        wait()

    def outputs() -> dict[str, np.ndarray]:
        found = {"out": numpy(once())}
        for name, leaf in {"nodes": nodes, **parameters}.items():
            assert leaf.grad is not None
            gradient = numpy(leaf.grad)
            # torch's Linear holds its matrix transposed.
            if name == "kernel" and path != "by_hand":
                gradient = gradient.T
            found[f"gradient_{name}"] = gradient.reshape(inputs[name].shape).copy()
        return found

    return Task(run=run, outputs=outputs, device_peak_mb=peak_mb())


def _pyg(inputs: Inputs, edges: Any) -> tuple[Callable, Mapping[str, Any]]:
    from torch_geometric.nn import GATConv

    heads, width = inputs["sender_attention"].shape
    layer = GATConv(
        inputs["nodes"].shape[1],
        width,
        heads=heads,
        add_self_loops=False,
        negative_slope=_SLOPE,
    ).to(DEVICE)
    parameters = dict(
        zip(
            PARAMETERS,
            (layer.lin.weight, layer.att_src, layer.att_dst, layer.bias),
            strict=True,
        )
    )
    with torch.no_grad():
        for name, parameter in parameters.items():
            values = tensor(inputs[name])
            values = values.T if name == "kernel" else values
            parameter.copy_(values.reshape(parameter.shape))
    return lambda nodes: layer(nodes, edges), parameters


def _edge_index(inputs: Inputs) -> tuple[Callable, Mapping[str, Any]]:
    return _pyg(inputs, edge_index(inputs))


def _sparse_tensor(inputs: Inputs) -> tuple[Callable, Mapping[str, Any]]:
    matrix = sparse_tensor(inputs, torch.float32).set_value(None)
    matrix.fill_cache_()
    return _pyg(inputs, matrix)


def _sorted_edge_index(inputs: Inputs) -> tuple[Callable, Mapping[str, Any]]:
    from torch_geometric import EdgeIndex

    num_nodes = int(inputs["num_nodes"])
    edges = EdgeIndex(
        edge_index(inputs), sparse_size=(num_nodes, num_nodes), sort_order="col"
    )
    edges.fill_cache_()
    return _pyg(inputs, edges)


def _by_hand(inputs: Inputs) -> tuple[Callable, Mapping[str, Any]]:
    if DEVICE.type != "cpu":
        raise Unavailable("the hand-written path uses kernels of torch's CPU backend")
    edges = Edges.of(inputs)
    parameters = {name: torch.nn.Parameter(tensor(inputs[name])) for name in PARAMETERS}
    kernel, sent, received, bias = parameters.values()
    width = sent.shape[1]

    def forward(nodes: torch.Tensor) -> torch.Tensor:
        # Heads first: each head's table is a block of its own, small and contiguous.
        values_HNF = torch.stack((nodes @ kernel).split(width, dim=1))
        sent_NH = torch.einsum("hnf,hf->nh", values_HNF, sent).contiguous()
        received_NH = torch.einsum("hnf,hf->nh", values_HNF, received).contiguous()
        out_HNF = attend(values_HNF, sent_NH, received_NH, edges, slope=_SLOPE)
        return torch.cat(out_HNF.unbind(), dim=1) + bias

    return forward, parameters


PATHS = {
    "edge_index": _edge_index,
    "sparse_tensor": _sparse_tensor,
    "sorted_edge_index": _sorted_edge_index,
    "by_hand": _by_hand,
}
