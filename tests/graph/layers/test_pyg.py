"""Every layer against PyTorch Geometric on the same weights, values and gradients."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.graph.layers import (
    EdgeList,
    GATLayer,
    GATv2Layer,
    GCNLayer,
    RGCNLayer,
    SAGELayer,
    gcn_weights,
)
from llmgnn_jax.graph.plan import sorted_graph

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is absent")


@pytest.fixture(scope="module")
def convolutions(torch: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "torch_geometric.nn", reason="PyTorch is absent: its torch_geometric"
        )


# Their name of a parameter -> ours, and whether theirs is its transpose.
Names = dict[str, tuple[str, bool]]
GCN: Names = {"lin.weight": ("kernel", True), "bias": ("bias", False)}
SAGE: Names = {
    "lin_l.weight": ("kernel", True),
    "lin_l.bias": ("bias", False),
    "lin_r.weight": ("root_kernel", True),
    "lin.weight": ("pool_kernel", True),
    "lin.bias": ("pool_bias", False),
}
GAT: Names = {
    "lin.weight": ("kernel", True),
    "att_src": ("sender_attention", False),
    "att_dst": ("receiver_attention", False),
    "lin_edge.weight": ("edge_kernel", True),
    "att_edge": ("edge_attention", False),
    "res.weight": ("residual_kernel", True),
    "bias": ("bias", False),
}
GATV2: Names = {
    "lin_l.weight": ("sender_kernel", True),
    "lin_l.bias": ("sender_bias", False),
    "lin_r.weight": ("receiver_kernel", True),
    "lin_r.bias": ("receiver_bias", False),
    "att": ("attention", False),
    "lin_edge.weight": ("edge_kernel", True),
    "res.weight": ("residual_kernel", True),
    "bias": ("bias", False),
}
RGCN: Names = {
    "weight": ("kernels", False),
    "comp": ("coefficients", False),
    "root": ("root_kernel", False),
    "bias": ("bias", False),
}
Compare = Callable[..., None]


@pytest.fixture
def compare(torch: Any, hard: Callable[..., Any], drawn: Callable[..., Any]) -> Compare:
    """(layer, peer, names, edges=, case=, peer_case=): same values, same gradients.

    Gradients are those of all parameters, of the nodes and of the edges' features. The
    peer is told the ends of its edges and what they hold under the names in `edges`.
    """

    def run(
        layer: nnx.Module,
        peer: Any,
        names: Names,
        *,
        edges: tuple[str, ...] = (),
        case: Any = None,
        peer_case: Any = None,
    ) -> None:
        case = case or hard()
        peer_case = peer_case or case
        definition, params = drawn(layer)
        assert {name for name, _ in names.values()} >= set(params)
        peer_params = dict(peer.named_parameters())
        assert len(peer_params) == len(params)
        for name, theirs in peer_params.items():
            ours, transposed = names[name]
            value = np.array(params[ours])
            value = value.T if transposed else value.reshape(theirs.shape)
            theirs.data = torch.tensor(value)

        neighbours = case.neighbours("csr")
        features = case.graph.edges["features"]

        def total(
            nodes: jax.Array, features: jax.Array, params: dict
        ) -> tuple[jax.Array, jax.Array]:
            held = {**case.graph.edges, "features": features}
            graph = case.graph._replace(nodes=nodes, edges=held)
            out = nnx.merge(definition, params)(graph, neighbours=neighbours).nodes
            return jnp.sum(jnp.tanh(out)), out

        (_, out), (nodes_gradient, features_gradient, gradients) = jax.jit(
            jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True)
        )(case.graph.nodes, features, params)

        ends = torch.tensor(np.stack(peer_case.ends).astype(np.int64))
        nodes = torch.tensor(np.array(case.graph.nodes), requires_grad=True)
        told = {
            name: torch.tensor(np.array(peer_case.graph.edges[name])) for name in edges
        }
        if "features" in told:
            told["features"].requires_grad_()
        if "relation" in told:
            told["relation"] = told["relation"].long()
        expected = peer(nodes, ends, *told.values())
        expected.tanh().sum().backward()

        def near(left: Any, right: Any) -> None:
            np.testing.assert_allclose(left, right, rtol=2e-5, atol=2e-5)

        near(out, expected.detach().numpy())
        near(nodes_gradient, nodes.grad.numpy())
        if "features" in told:
            near(features_gradient, told["features"].grad.numpy())
        for name, theirs in peer_params.items():
            ours, transposed = names[name]
            gradient = theirs.grad.numpy()
            gradient = gradient.T if transposed else gradient
            near(gradients[ours], gradient.reshape(gradients[ours].shape))

    return run


@pytest.mark.parametrize("self_loops", ["missing", "none"])
def test_gcn(
    compare: Compare, hard: Callable[..., Any], convolutions: Any, self_loops: Any
) -> None:
    """They normalise inside the layer, we before."""
    case = hard()
    senders, receivers = case.ends
    # Of several self-edges of a node they keep the last alone.
    loops = np.flatnonzero(senders == receivers)
    _, first = np.unique(senders[loops], return_index=True)
    keep = np.setdiff1d(np.arange(len(senders)), np.delete(loops, first))
    raw = EdgeList(
        senders=senders[keep],
        receivers=receivers[keep],
        edges={"weight": case.of_edges("weight")[keep].astype(np.float32)},
    )
    normalised = gcn_weights(
        raw.senders,
        raw.receivers,
        case.num_nodes,
        weights=raw.edges["weight"],
        self_loops=self_loops,
    )

    def on(edges: EdgeList) -> Any:
        num_edges = len(edges.senders)
        held = {**edges.edges, "features": np.zeros((num_edges, 1), np.float32)}
        graph, plan = sorted_graph(
            edges.senders, edges.receivers, case.num_nodes, edges=held
        )
        graph = graph._replace(nodes=case.graph.nodes)
        return replace(case, graph=graph, plan=plan, num_edges=num_edges)

    compare(
        GCNLayer(4, 3, rngs=nnx.Rngs(0)),
        convolutions.GCNConv(4, 3, add_self_loops=self_loops == "missing"),
        GCN,
        edges=("weight",),
        case=on(normalised),
        peer_case=on(raw),
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"aggregator": "mean"}, {"aggr": "mean"}),
        (
            {"aggregator": "mean", "normalise": True},
            {"aggr": "mean", "normalize": True},
        ),
        ({"aggregator": "max"}, {"aggr": "max"}),
        ({"aggregator": "max", "root": False}, {"aggr": "max", "root_weight": False}),
        ({"aggregator": "pool"}, {"aggr": "max", "project": True}),
    ],
)
def test_sage(compare: Compare, convolutions: Any, ours: dict, theirs: dict) -> None:
    layer = SAGELayer(4, 3, rngs=nnx.Rngs(0), **ours)
    compare(layer, convolutions.SAGEConv(4, 3, **theirs), SAGE)


@pytest.mark.parametrize("kind", ["gat", "gatv2"])
@pytest.mark.parametrize(
    "options",
    [
        {"heads": 1},
        {"heads": 3, "negative_slope": 0.1},
        {"heads": 2, "edge_dim": 3, "residual": True},
        {"heads": 2, "edge_dim": 3, "concat": False, "residual": True},
    ],
)
def test_attention(
    compare: Compare, convolutions: Any, kind: str, options: dict
) -> None:
    first = kind == "gat"
    layer = (GATLayer if first else GATv2Layer)(4, 2, rngs=nnx.Rngs(0), **options)
    peer = (convolutions.GATConv if first else convolutions.GATv2Conv)(
        4, 2, add_self_loops=False, **options
    )
    edges = ("features",) if "edge_dim" in options else ()
    compare(layer, peer, GAT if first else GATV2, edges=edges)


@pytest.mark.parametrize("num_bases", [None, 2])
def test_rgcn(compare: Compare, convolutions: Any, num_bases: int | None) -> None:
    layer = RGCNLayer(4, 3, num_relations=3, num_bases=num_bases, rngs=nnx.Rngs(0))
    peer = convolutions.RGCNConv(4, 3, 3, num_bases=num_bases)
    compare(layer, peer, RGCN, edges=("relation",))
