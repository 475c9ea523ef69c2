"""R-GCN against a slow loop, and several relations joined into one graph."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.aggregate import Backend
from llmgnn_jax.graph.layers import Relation, RGCNLayer, join_relations
from llmgnn_jax.graph.neighbourhood import LocalNeighbourhood


def loop_of(layer: RGCNLayer) -> Callable[..., np.ndarray]:
    def loop(
        nodes: np.ndarray, params: Mapping[str, np.ndarray], case: Any
    ) -> np.ndarray:
        senders, receivers = case.ends
        kinds, weights = case.of_edges("relation"), case.of_edges("weight")
        kernels = params["kernels"]
        if layer.num_bases is not None:
            kernels = np.einsum("rb,bde->rde", params["coefficients"], kernels)
        out = np.tile(params["bias"], (len(nodes), 1))
        if layer.root:
            out += nodes @ params["root_kernel"]
        for node in range(len(nodes)):
            for kind in range(layer.num_relations):
                into = np.flatnonzero((receivers == node) & (kinds == kind))
                for edge in into:
                    scale = 1 / len(into)
                    if layer.normalisation == "weight":
                        scale = weights[edge]
                    out[node] += scale * (nodes[senders[edge]] @ kernels[kind])
        return out

    return loop


@pytest.mark.slow
@pytest.mark.parametrize(
    ("out_dim", "options"),
    [
        (3, {}),
        (6, {"normalisation": "weight", "root": False}),
        (3, {"num_bases": 2}),
        (6, {"num_bases": 4, "normalisation": "weight"}),
    ],
)
def test_values_and_gradients(
    hard: Callable[..., Any],
    agrees: Callable[..., None],
    backend: Backend,
    out_dim: int,
    options: dict,
) -> None:
    layer = RGCNLayer(4, out_dim, num_relations=3, rngs=nnx.Rngs(0), **options)
    agrees(layer, hard(padding_edges=2, padding_nodes=1), loop_of(layer), backend)


@pytest.mark.parametrize("num_bases", [None, 2])
def test_no_array_is_a_vector_an_edge(
    hard: Callable[..., Any], drawn: Callable[..., Any], num_bases: int | None
) -> None:
    case = hard()
    layer = RGCNLayer(4, 40, num_relations=3, num_bases=num_bases, rngs=nnx.Rngs(0))
    definition, params = drawn(layer)
    neighbours = case.neighbours("csr")

    def total(nodes: jax.Array, params: dict) -> jax.Array:
        graph = case.graph._replace(nodes=nodes)
        return nnx.merge(definition, params)(graph, neighbours=neighbours).nodes.sum()

    jaxpr = jax.make_jaxpr(total)(case.graph.nodes, params)
    sizes = [var.aval.size for eqn in jaxpr.eqns for var in eqn.outvars]
    assert max(sizes) <= max(case.num_nodes * 40, 4 * 40 * 3)
    assert max(sizes) < case.num_edges * 40


def likes(**changes: Any) -> Relation:
    fields: dict[str, Any] = {
        "name": "likes",
        "senders": np.array([1, 1, 0]),
        "receivers": np.array([0, 2, 2]),
        "sender_kind": "item",
        "receiver_kind": "user",
        "reverse": "own",
    }
    return Relation(**{**fields, **changes})


FRIENDS = Relation(
    name="friends",
    senders=np.array([0, 1]),
    receivers=np.array([1, 2]),
    sender_kind="user",
    receiver_kind="user",
    weights=np.array([3.0, 1.0]),
    reverse="same",
)
GENRES = Relation(
    name="genre of",
    senders=np.array([0, 0, 1]),
    receivers=np.array([0, 1, 1]),
    sender_kind="entity",
    receiver_kind="item",
)
KINDS = {"user": 3, "item": 2, "entity": 2}


def test_join() -> None:
    joined = join_relations([likes(), FRIENDS, GENRES], num_nodes=KINDS)
    assert joined.relations == ("likes", "likes (reverse)", "friends", "genre of")
    assert dict(joined.first_node) == {"user": 0, "item": 3, "entity": 5}
    graph = joined.graph
    assert graph.n_node.tolist() == [7]
    got = sorted(
        zip(
            graph.receivers.tolist(),
            graph.senders.tolist(),
            [joined.relations[kind] for kind in graph.edges["relation"].tolist()],
            graph.edges["weight"].tolist(),
            strict=True,
        )
    )
    assert got == sorted(
        [
            (0, 4, "likes", 1.0),
            (2, 4, "likes", 0.5),
            (2, 3, "likes", 0.5),
            (4, 0, "likes (reverse)", 0.5),
            (4, 2, "likes (reverse)", 0.5),
            (3, 2, "likes (reverse)", 1.0),
            (1, 0, "friends", 0.75),
            (1, 2, "friends", 0.25),
            (0, 1, "friends", 1.0),
            (2, 1, "friends", 1.0),
            (3, 5, "genre of", 1.0),
            (4, 5, "genre of", 0.5),
            (4, 6, "genre of", 0.5),
        ]
    )
    assert (np.diff(graph.receivers) >= 0).all()


def test_join_keeps_weights_if_asked() -> None:
    joined = join_relations([FRIENDS], num_nodes=KINDS, normalise=False)
    assert joined.graph.edges["weight"].tolist() == [3, 3, 1, 1]


def test_counted_and_joined_normalisation_agree() -> None:
    """Without weights of its own an edge has 1 / c_vr, so both layers are the same."""
    joined = join_relations([likes(), GENRES], num_nodes=KINDS)
    layers = [
        RGCNLayer(4, 4, num_relations=3, normalisation=kind, rngs=nnx.Rngs(0))
        for kind in ("count", "weight")
    ]
    rng = np.random.default_rng(0)
    nodes = jnp.asarray(rng.normal(size=(7, 4)), jnp.float32)
    neighbours = LocalNeighbourhood(plan=joined.plan, backend="segment")
    counted, given = (
        layer(joined.graph._replace(nodes=nodes), neighbours=neighbours).nodes
        for layer in layers
    )
    np.testing.assert_allclose(counted, given, rtol=1e-6, atol=1e-6)
    assert np.abs(counted).max() > 0.1


def test_nothing_to_join() -> None:
    joined = join_relations([], num_nodes=KINDS)
    assert joined.graph.senders.shape == (0,)
    assert joined.graph.n_node.tolist() == [7]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sender_kind": "film"}, "likes.senders: expected one of the kinds user, "),
        (
            {"senders": np.array([1, 1, 2])},
            r"likes.senders: expected numbers in \[0, 2",
        ),
        ({"receivers": np.array([-1, 0, 0])}, r"likes.receivers: .* got -1 to 0"),
        ({"receivers": np.array([1])}, "likes: expected as many .* got 3, 1 and 3"),
        ({"weights": np.array([1.0, 0.0, 1.0])}, "likes.weights: .* above 0, got 0.0"),
        ({"weights": np.array([1.0, np.nan, 1.0])}, "likes.weights: .* got nan"),
        ({"name": "genre of"}, "relation.name: .* got 'genre of' twice"),
    ],
)
def test_wrong_relations_are_named(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        join_relations([likes(**changes), GENRES], num_nodes=KINDS)
