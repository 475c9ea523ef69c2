"""GAT and GATv2 against slow loops."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.layers import GATLayer, GATv2Layer

Layer = GATLayer | GATv2Layer
Params = Mapping[str, np.ndarray]
both = pytest.mark.parametrize("kind", [GATLayer, GATv2Layer])


def leaky(x: np.ndarray | float, slope: float) -> np.ndarray | float:
    return np.where(x > 0, x, slope * x)


def gat_logit(
    layer: Layer,
    params: Params,
    h_v: np.ndarray,
    h_u: np.ndarray,
    e: np.ndarray,
    columns: slice,
    head: int,
) -> float:
    """LeakyReLU(a . [W h_v ; W h_u ; W_e e]), Veličković et al. 2018, eq. 3."""
    kernel = params["kernel"][:, columns]
    logit = (h_v @ kernel) @ params["receiver_attention"][head]
    logit += (h_u @ kernel) @ params["sender_attention"][head]
    if layer.edge_dim:
        told = e @ params["edge_kernel"][:, columns]
        logit += told @ params["edge_attention"][head]
    return leaky(logit, layer.negative_slope)


def gatv2_logit(
    layer: Layer,
    params: Params,
    h_v: np.ndarray,
    h_u: np.ndarray,
    e: np.ndarray,
    columns: slice,
    head: int,
) -> float:
    """a . LeakyReLU(W [h_v ; h_u ; e]), Brody et al. 2022, eq. 7."""
    met = h_v @ params["receiver_kernel"][:, columns] + params["receiver_bias"][columns]
    met = met + h_u @ params["sender_kernel"][:, columns]
    met = met + params["sender_bias"][columns]
    if layer.edge_dim:
        met = met + e @ params["edge_kernel"][:, columns]
    return leaky(met, layer.negative_slope) @ params["attention"][head]


def loop_of(layer: Layer, keep: np.ndarray | None = None) -> Callable[..., np.ndarray]:
    first = isinstance(layer, GATLayer)

    def loop(nodes: np.ndarray, params: Params, case: Any) -> np.ndarray:
        senders, receivers = case.ends
        features = case.of_edges("features")
        if first:
            values, logit = nodes @ params["kernel"], gat_logit
        else:
            values = nodes @ params["sender_kernel"] + params["sender_bias"]
            logit = gatv2_logit
        width = values.shape[1] // layer.heads
        heads = []
        for head in range(layer.heads):
            columns = slice(head * width, (head + 1) * width)
            out = np.zeros((len(nodes), width))
            for node in range(len(nodes)):
                into = np.flatnonzero(receivers == node)
                logits = np.array(
                    [
                        logit(
                            *(layer, params, nodes[node], nodes[senders[edge]]),
                            *(features[edge], columns, head),
                        )
                        for edge in into
                    ]
                )
                powers = np.exp(logits)
                for edge, power in zip(into, powers, strict=True):
                    share = power / powers.sum()
                    if keep is not None:
                        share = share * keep[edge, head]
                    out[node] += share * values[senders[edge], columns]
            heads.append(out)
        joined = np.concatenate(heads, 1) if layer.concat else np.mean(heads, axis=0)
        joined = joined + params["bias"]
        return joined + nodes @ params["residual_kernel"] if layer.residual else joined

    return loop


@pytest.mark.slow
@both
@pytest.mark.parametrize(
    "options",
    [
        {"heads": 1},
        {"heads": 3, "edge_dim": 3},
        {"heads": 2, "edge_dim": 3, "concat": False, "residual": True},
        {"heads": 2, "negative_slope": 0.05, "residual": True},
    ],
    ids=["one head", "edges", "mean", "residual"],
)
def test_values_and_gradients(
    hard: Callable[..., Any],
    agrees: Callable[..., None],
    backend: Backend,
    kind: type[Layer],
    options: dict,
) -> None:
    layer = kind(4, 2, rngs=nnx.Rngs(0), **options)
    agrees(layer, hard(padding_edges=2, padding_nodes=1), loop_of(layer), backend)


@both
def test_dropped_shares(
    hard: Callable[..., Any], drawn: Callable[..., Any], kind: type[Layer]
) -> None:
    case = hard()
    layer = kind(4, 2, heads=2, rngs=nnx.Rngs(0))
    definition, params = drawn(layer)
    keep = np.random.default_rng(0).choice([0.0, 2.0], (case.num_edges, 2))

    def out(keep: jax.Array) -> jax.Array:
        merged = nnx.merge(definition, params)
        return merged(case.graph, neighbours=case.neighbours(), keep_EH=keep).nodes

    doubles = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    nodes = np.asarray(case.graph.nodes, np.float64)
    expected = loop_of(layer, keep)(nodes, doubles, case)
    got = jax.jit(out)(jnp.asarray(keep, jnp.float32))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(got - out(jnp.ones_like(keep, jnp.float32))).max() > 0.1


def test_gat_makes_no_vector_an_edge(
    hard: Callable[..., Any], drawn: Callable[..., Any]
) -> None:
    """Its logits come from scores of nodes; those of GATv2 cannot."""
    case = hard()
    neighbours = case.neighbours("csr")

    def largest(kind: type[Layer]) -> int:
        definition, params = drawn(kind(4, 7, heads=3, edge_dim=3, rngs=nnx.Rngs(0)))

        def out(nodes: jax.Array, params: dict) -> jax.Array:
            graph = case.graph._replace(nodes=nodes)
            return nnx.merge(definition, params)(graph, neighbours=neighbours).nodes

        jaxpr = jax.make_jaxpr(out)(case.graph.nodes, params)
        return max(var.aval.size for eqn in jaxpr.eqns for var in eqn.outvars)

    assert largest(GATLayer) < case.num_edges * 3 * 7 <= largest(GATv2Layer)


@both
def test_missing_edge_features_are_named(
    hard: Callable[..., Any], kind: type[Layer]
) -> None:
    case = hard()
    layer = kind(4, 2, edge_dim=5, rngs=nnx.Rngs(0))
    message = r'edges\["features"\]: expected \(E, 5\), got '
    with pytest.raises(ValueError, match=message + r"\(\d+, 3\)"):
        layer(case.graph, neighbours=case.neighbours())
    bare = case.graph._replace(edges=None)
    with pytest.raises(ValueError, match=message + "none"):
        layer(bare, neighbours=case.neighbours())
