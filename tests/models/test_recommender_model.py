"""The model: its parameters, its null vectors, and all of it against NumPy."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.config import Config, GraphConfig
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.recommender import ModelSpec, RecommenderModel, create
from llmgnn_jax.models.scoring import Scorer

MakeFeatures = Callable[..., Features]
MakeSpec = Callable[..., ModelSpec]
Params = dict[str, Any]

SIDES_AND_LAYERS = [
    ("graph", "lightgcn"),
    ("graph", "gcn"),
    ("text", "lightgcn"),
    ("fused", "lightgcn"),
    ("fused", "gcn"),
]


def with_noise(params: Params) -> Params:
    """Every parameter moved, so that none is 0 by its initial value."""
    rng = np.random.default_rng(5)
    return jax.tree.map(
        lambda p: p + jnp.asarray(0.1 * rng.normal(size=p.shape), jnp.float32), params
    )


def dense_graph(features: Features) -> np.ndarray:
    inner = features.graph.graph
    matrix = np.zeros((features.graph.num_nodes,) * 2)
    for s, r, w in zip(
        *map(np.asarray, (inner.senders, inner.receivers)),
        np.asarray(inner.edges["weight"]),
        strict=True,
    ):
        matrix[r, s] += w
    return matrix


def reference_vectors(
    params: Params, features: Features, spec: ModelSpec
) -> tuple[np.ndarray, np.ndarray]:
    """Every slot's vector in float64."""
    params = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
    slots = {"user": spec.user_capacity, "item": spec.item_capacity}
    sides: dict[str, list[np.ndarray]] = {"user": [], "item": []}
    if spec.sides != "text":
        matrix = dense_graph(features)
        start = np.concatenate(
            [
                params["user_embedding"],
                params["item_embedding"],
                np.zeros((1, spec.embedding_dim)),
            ]
        )
        if spec.layer == "lightgcn":
            powers = [
                np.linalg.matrix_power(matrix, n) @ start
                for n in range(spec.num_layers + 1)
            ]
            out = sum(powers) / len(powers)
        else:
            out = start
            for number in range(spec.num_layers):
                layer = params[f"gcn_{number}"]
                out = matrix @ out @ layer["kernel"] + layer["bias"]
                if number + 1 < spec.num_layers:
                    out = np.maximum(out, 0)
        ends = {"user": 0, "item": spec.user_capacity}
        connected = (matrix - np.diag(np.diag(matrix))).any(axis=1)
        for side, count in slots.items():
            rows = slice(ends[side], ends[side] + count)
            vectors = out[rows]
            if spec.sides == "fused":
                vectors = np.where(connected[rows, None], vectors, params["null_graph"])
            sides[side].append(vectors)
    if spec.sides != "graph":
        assert features.text is not None
        text, known = features.text.of_users(jnp.arange(spec.user_capacity))
        inputs = {
            "user": (text, known),
            "item": (features.text.item_IT, features.text.item_known_I),
        }
        for side, (stored, is_known) in inputs.items():
            projected = np.asarray(stored, np.float64) @ params["text_projection"]
            sides[side].append(
                np.where(np.asarray(is_known)[:, None], projected, params["null_text"])
            )
    if spec.sides != "fused":
        return sides["user"][0], sides["item"][0]
    fusion = params["fusion"]
    results = []
    for side in ("user", "item"):
        hidden = np.concatenate(sides[side], axis=1) @ fusion["kernel"] + fusion["bias"]
        hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
        results.append(hidden @ fusion["output_kernel"] + fusion["output_bias"])
    return results[0], results[1]


@pytest.mark.parametrize(("sides", "layer"), SIDES_AND_LAYERS)
def test_vectors_equal_a_dense_computation(
    features: MakeFeatures, spec: MakeSpec, sides: str, layer: str
) -> None:
    made = features(self_loops=layer == "gcn")
    model_spec = spec(made, sides=sides, layer=layer)
    definition, params = create(model_spec, seed=0)
    params = with_noise(params)
    ours = Scorer(definition, model_spec).vectors(params, made)
    for left, right in zip(
        ours, reference_vectors(params, made, model_spec), strict=True
    ):
        assert left.shape == right.shape
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("sides", "layer"), SIDES_AND_LAYERS)
def test_a_model_is_a_pure_dict_of_parameters(
    features: MakeFeatures, spec: MakeSpec, sides: str, layer: str
) -> None:
    model_spec = spec(features(), sides=sides, layer=layer)
    model = RecommenderModel(model_spec, rngs=nnx.Rngs(0))
    _, found, rest = nnx.split(model, nnx.Param, ...)  # type: ignore[misc]
    assert jax.tree.leaves(rest) == []
    _, params = create(model_spec, seed=0)
    assert len(jax.tree.leaves(found)) == len(jax.tree.leaves(params))

    def check(tree: object) -> None:
        if type(tree) is dict:
            assert isinstance(tree, Mapping)
            assert all(type(key) is str for key in tree)
            for value in tree.values():
                check(value)
        else:
            assert isinstance(tree, jax.Array)
            assert tree.dtype == jnp.float32

    check(params)
    names = {"graph": {"user_embedding", "item_embedding"}}
    names["text"] = {"text_projection", "null_text"}
    names["fused"] = names["graph"] | names["text"] | {"null_graph", "fusion"}
    gcn = {"gcn_0", "gcn_1"} if layer == "gcn" else set()
    assert set(params) == names[sides] | gcn


def test_initial_parameters_follow_the_seed(
    features: MakeFeatures, spec: MakeSpec
) -> None:
    model_spec = spec(features(), embedding_dim=64)
    same, again, other = (create(model_spec, seed=seed)[1] for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, same, again)
    for name in ("user_embedding", "item_embedding", "text_projection"):
        assert (same[name] != other[name]).any()
    assert float(same["user_embedding"][:6].std()) == pytest.approx(0.5, rel=0.15)


def test_spare_slots_start_at_zero(features: MakeFeatures, spec: MakeSpec) -> None:
    made = features(spare_users=3, spare_items=2)
    _, params = create(spec(made), seed=0)
    assert params["user_embedding"].shape == (9, 3)
    assert params["item_embedding"].shape == (9, 3)
    assert params["user_embedding"][:6].all()
    assert params["item_embedding"][:7].all()
    assert not params["user_embedding"][6:].any()
    assert not params["item_embedding"][7:].any()


def test_null_vectors_stand_in_where_masks_say(
    features: MakeFeatures, spec: MakeSpec
) -> None:
    made = features()
    definition, params = create(spec(made, activation="identity"), seed=0)
    params = with_noise(params)
    rng = np.random.default_rng(2)
    graph, text = rng.normal(size=(4, 3)), rng.normal(size=(4, 5))
    graph_known = np.asarray([True, True, False, False])
    text_known = np.asarray([True, False, True, False])

    @jax.jit
    def merged(params: Params, graph: jax.Array, text: jax.Array) -> jax.Array:
        model: RecommenderModel = nnx.merge(definition, params)
        return model.merge(
            graph_BD=graph,
            graph_known_B=jnp.asarray(graph_known),
            text_BT=text,
            text_known_B=jnp.asarray(text_known),
        )

    arrays = jnp.asarray(graph, jnp.float32), jnp.asarray(text, jnp.float32)
    out = np.asarray(merged(params, *arrays))
    # What is not known has no influence at all, not even NaN.
    nonsense = (
        jnp.where(jnp.asarray(graph_known)[:, None], arrays[0], jnp.nan),
        jnp.where(jnp.asarray(text_known)[:, None], arrays[1], jnp.nan),
    )
    np.testing.assert_array_equal(merged(params, *nonsense), out)
    # And what is known has one, where it is known alone.
    for which, known in ((0, graph_known), (1, text_known)):
        moved = list(arrays)
        moved[which] = moved[which] + 1.0
        changed = (np.asarray(merged(params, *moved)) != out).any(axis=1)
        np.testing.assert_array_equal(changed, known)
    for name, unknown in (("null_graph", ~graph_known), ("null_text", ~text_known)):
        moved_params = params | {name: params[name] + 1.0}
        changed = (np.asarray(merged(moved_params, *arrays)) != out).any(axis=1)
        np.testing.assert_array_equal(changed, unknown)


def test_readers_are_users_without_edges(
    features: MakeFeatures, spec: MakeSpec, user_vectors: np.ndarray
) -> None:
    made = features(profiles=True)
    model_spec = spec(made)
    definition, params = create(model_spec, seed=0)
    params = with_noise(params)
    scorer = Scorer(definition, model_spec)
    read = scorer.text_vectors(params, user_vectors[4:5])
    # A user with that profile who is unconnected: the graph side is the null vector.
    fusion, text = params["fusion"], user_vectors[4] @ params["text_projection"]
    hidden = jnp.concatenate([params["null_graph"], text]) @ fusion["kernel"]
    hidden = jax.nn.leaky_relu(hidden + fusion["bias"], 0.2)
    expected = hidden @ fusion["output_kernel"] + fusion["output_bias"]
    np.testing.assert_allclose(read[0], expected, rtol=1e-4, atol=1e-5)
    graph_spec = spec(made, sides="graph")
    graph_definition, graph_params = create(graph_spec, seed=0)
    with pytest.raises(ValueError, match="graph alone cannot read a text"):
        Scorer(graph_definition, graph_spec).text_vectors(graph_params, user_vectors)


def test_spec_of_a_configuration(features: MakeFeatures) -> None:
    made = features(spare_users=3)
    config = Config(
        recipe="test",
        graph=GraphConfig(layer="gcn", num_layers=4, embedding_dim=9, init_scale=0.7),
    )
    made_spec = ModelSpec.of(
        config, "text", graph=made.graph, text_dim=5, backend="segment"
    )
    assert made_spec == ModelSpec(
        sides="text",
        user_capacity=9,
        item_capacity=8,
        num_users=6,
        num_items=7,
        text_dim=5,
        layer="gcn",
        num_layers=4,
        embedding_dim=9,
        init_scale=0.7,
        backend="segment",
        activation=config.fusion.activation,
    )
    assert not made_spec.uses_graph
    assert made_spec.uses_text
    hash(made_spec)
