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
        start = params["node_embedding"]
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
            name = "text_projection"
            if side == "user" and spec.towers == "two":
                name = "user_text_projection"
            projected = np.asarray(stored, np.float64) @ params[name]
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


@pytest.mark.parametrize(
    ("sides", "layer", "changes"),
    [
        *((sides, layer, {}) for sides, layer in SIDES_AND_LAYERS),
        *((sides, "lightgcn", {"num_layers": 0}) for sides in ("graph", "fused")),
        *((sides, "lightgcn", {"towers": "two"}) for sides in ("text", "fused")),
    ],
)
def test_vectors_equal_a_dense_computation(
    features: MakeFeatures,
    spec: MakeSpec,
    sides: str,
    layer: str,
    changes: dict[str, Any],
) -> None:
    made = features(self_loops=layer == "gcn")
    model_spec = spec(made, sides=sides, layer=layer, **changes)
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
    names = {"graph": {"node_embedding"}}
    names["text"] = {"text_projection", "null_text"}
    names["fused"] = names["graph"] | names["text"] | {"null_graph", "fusion"}
    gcn = {"gcn_0", "gcn_1"} if layer == "gcn" else set()
    assert set(params) == names[sides] | gcn


def test_two_towers_start_alike(features: MakeFeatures, spec: MakeSpec) -> None:
    made = features()
    shared, two = (
        create(spec(made, sides="text", towers=towers), seed=0)[1]
        for towers in ("shared", "two")
    )
    assert two.keys() - shared.keys() == {"user_text_projection"}
    np.testing.assert_array_equal(two["user_text_projection"], two["text_projection"])
    np.testing.assert_array_equal(two["text_projection"], shared["text_projection"])


@pytest.mark.parametrize("backend", ["csr", "native"])
def test_without_layers_a_batch_has_its_id_vectors(
    features: MakeFeatures, spec: MakeSpec, backend: str
) -> None:
    model_spec = spec(features(), sides="graph", num_layers=0, backend=backend)
    definition, params = create(model_spec, seed=0)
    nodes_R = jnp.asarray([3, 0, 3])

    def total(params: Params) -> jax.Array:
        model: RecommenderModel = nnx.merge(definition, params)
        return model.propagate_to(features().graph, nodes_R)[0].sum()

    gradient_ND = jax.grad(total)(params)["node_embedding"]
    times_N = np.bincount(nodes_R, minlength=len(gradient_ND))
    np.testing.assert_array_equal(gradient_ND[:, 0], times_N)


def test_initial_parameters_follow_the_seed(
    features: MakeFeatures, spec: MakeSpec
) -> None:
    model_spec = spec(features(), embedding_dim=64)
    same, again, other = (create(model_spec, seed=seed)[1] for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, same, again)
    # Users are nodes 0 to 5 of 8 slots, items 8 to 14.
    for part in (slice(0, 6), slice(8, 15)):
        drawn = same["node_embedding"][part]
        assert (drawn != other["node_embedding"][part]).all()
        assert float(drawn.std()) == pytest.approx(0.5, rel=0.15)
    assert (same["node_embedding"][:6] != same["node_embedding"][8:14]).all()
    assert (same["text_projection"] != other["text_projection"]).any()


def test_xavier_fills_its_bounds(features: MakeFeatures, spec: MakeSpec) -> None:
    model_spec = spec(features(), embedding_dim=64, init="xavier", init_scale=0.0)
    nodes = np.asarray(create(model_spec, seed=0)[1]["node_embedding"])
    for part, rows in ((nodes[:6], 6), (nodes[8:15], 7)):
        bound = (6 / (rows + 64)) ** 0.5
        assert 0.98 * bound < np.abs(part).max() <= bound
        assert part.std() == pytest.approx(bound / 3**0.5, rel=0.1)
        assert abs(part.mean()) < 0.1 * bound
    assert not nodes[6:8].any()
    assert not nodes[15:].any()


def test_spare_slots_start_at_zero(features: MakeFeatures, spec: MakeSpec) -> None:
    made = features(spare_users=3, spare_items=2)
    _, params = create(spec(made), seed=0)
    nodes = params["node_embedding"]
    assert nodes.shape == (9 + 9 + 1, 3)
    users, items = made.graph.split_nodes(nodes)
    assert users.shape == items.shape == (9, 3)
    assert users[:6].all()
    assert items[:7].all()
    assert not users[6:].any()
    assert not items[7:].any()
    assert not nodes[-1].any()  # jraph's padding node


@pytest.mark.parametrize("layer", ["lightgcn", "gcn"])
@pytest.mark.parametrize("backend", ["csr", "bucketed"])
def test_some_nodes_vectors_are_those_of_all(
    features: MakeFeatures, spec: MakeSpec, layer: str, backend: str
) -> None:
    made = features(self_loops=layer == "gcn")
    definition, params = create(
        spec(made, sides="graph", layer=layer, backend=backend), seed=0
    )
    params = with_noise(params)
    # A user, an item (twice), a user without edges.
    nodes = jnp.asarray([0, 9, 9, 3], jnp.int32)

    @jax.jit
    def both(params: Params) -> tuple[jax.Array, ...]:
        model: RecommenderModel = nnx.merge(definition, params)
        final, ego = model.propagate_to(made.graph, nodes)
        users, items = model.propagate(made.graph)
        return final, ego, users, items

    final, ego, users, items = both(params)
    expected = jnp.stack([users[0], items[1], items[1], users[3]])
    np.testing.assert_allclose(final, expected, rtol=1e-6)
    np.testing.assert_array_equal(ego, params["node_embedding"][nodes])

    def of_some(params: Params) -> jax.Array:
        model: RecommenderModel = nnx.merge(definition, params)
        final, ego = model.propagate_to(made.graph, nodes)
        return jnp.sum(jnp.tanh(final)) + jnp.sum(ego**2)

    def of_all(params: Params) -> jax.Array:
        model: RecommenderModel = nnx.merge(definition, params)
        whole = made.graph.join_nodes(*model.propagate(made.graph))
        ego = params["node_embedding"][nodes]
        return jnp.sum(jnp.tanh(whole[nodes])) + jnp.sum(ego**2)

    jax.tree.map(
        lambda left, right: np.testing.assert_allclose(
            left, right, rtol=1e-5, atol=1e-6
        ),
        jax.grad(of_some)(params),
        jax.grad(of_all)(params),
    )


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
            of="user",
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


@pytest.mark.parametrize("layer", ["lightgcn", "gcn"])
def test_the_graph_side_scores_by_the_cosine_over_the_temperature(
    features: MakeFeatures, spec: MakeSpec, layer: str
) -> None:
    made = features(spare_users=3)
    plain, cosine = (
        spec(made, sides="graph", layer=layer, temperature=temperature)
        for temperature in (0.0, 0.25)
    )
    definition, params = create(plain, seed=0)
    users_UD, items_ID = nnx.merge(definition, params).all_vectors(made)
    lengths_U1 = np.linalg.norm(users_UD, axis=1, keepdims=True)
    lengths_I1 = np.linalg.norm(items_ID, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        expected_UI = (users_UD @ items_ID.T) / (lengths_U1 * lengths_I1.T) / 0.25
    # Spare slots hold 0 and score 0.
    expected_UI = np.nan_to_num(expected_UI)

    model = nnx.merge(create(cosine, seed=0)[0], params)
    users_UD, items_ID = model.all_vectors(made)
    np.testing.assert_allclose(users_UD @ items_ID.T, expected_UI, atol=1e-4)
    nodes_R = jnp.asarray([3, 0, 3])
    final_RD, ego_RD = model.propagate_to(made.graph, nodes_R)
    np.testing.assert_allclose(final_RD, users_UD[nodes_R], atol=1e-6)
    np.testing.assert_array_equal(ego_RD, params["node_embedding"][nodes_R])


def test_spec_of_a_configuration(features: MakeFeatures) -> None:
    made = features(spare_users=3)
    config = Config(
        recipe="test",
        graph=GraphConfig(
            layer="gcn",
            num_layers=4,
            embedding_dim=9,
            init="xavier",
            init_scale=0.7,
            temperature=0.2,
        ),
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
        init="xavier",
        init_scale=0.7,
        temperature=0.2,
        backend="segment",
        activation=config.fusion.activation,
    )
    assert not made_spec.uses_graph
    assert made_spec.uses_text
    hash(made_spec)
