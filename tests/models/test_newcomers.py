"""Users folded in after training: against a dense computation, in rounds, refused."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.structure import SupportEdges, extend
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.newcomers import fold_in_users
from llmgnn_jax.models.recommender import ModelSpec, create
from llmgnn_jax.models.scoring import Scorer

MakeFeatures = Callable[..., Features]
MakeSpec = Callable[..., ModelSpec]

# A repeated item, one without text (2), one without interactions (5).
HISTORIES = [np.asarray(h) for h in ([0, 3, 3], [2], [1, 2, 4, 5], [6])]


def scorer_of(
    made: Features, spec: MakeSpec, **changes: Any
) -> tuple[Scorer, dict[str, Any]]:
    model_spec = spec(made, **changes)
    definition, params = create(model_spec, seed=0)
    rng = np.random.default_rng(3)

    def moved(path: tuple, leaf: jax.Array) -> jax.Array:
        # Spare id vectors stay 0, as they do in training: no batch row has them.
        if "embedding" in jax.tree_util.keystr(path):
            return leaf
        return leaf + jnp.asarray(0.1 * rng.normal(size=leaf.shape), jnp.float32)

    params = jax.tree_util.tree_map_with_path(moved, params)
    return Scorer(definition, model_spec), params


def dense_newcomer(
    params: dict[str, Any], made: Features, items: list[int], spec: ModelSpec
) -> np.ndarray:
    """The fused LightGCN or GCN vector of one newcomer, in float64 by hand."""
    params = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
    graph = made.graph
    first_item, num_nodes = graph.user_capacity, graph.num_nodes
    newcomer = int(graph.num_users)
    matrix = np.zeros((num_nodes, num_nodes))
    for sender, receiver, weight in zip(
        np.asarray(graph.graph.senders).tolist(),
        np.asarray(graph.graph.receivers).tolist(),
        np.asarray(graph.graph.edges["weight"]).tolist(),
        strict=True,
    ):
        matrix[receiver, sender] += weight
    own_degree = len(items) + graph.self_loops
    for item in items:
        degree = max(float(graph.degrees[first_item + item]), 1.0)
        matrix[newcomer, first_item + item] = (own_degree * degree) ** -0.5
    if graph.self_loops:
        matrix[newcomer, newcomer] = 1 / own_degree
    start = params["node_embedding"]
    if spec.layer == "lightgcn":
        out = (start + matrix @ start + matrix @ matrix @ start) / 3
    else:
        first, second = params["gcn_0"], params["gcn_1"]
        hidden = np.maximum(matrix @ start @ first["kernel"] + first["bias"], 0)
        out = matrix @ hidden @ second["kernel"] + second["bias"]
    assert made.text is not None
    read = [i for i in items if bool(made.text.item_known_I[i])]
    if read:
        mean = np.mean(np.asarray(made.text.item_IT, np.float64)[read], axis=0)
        text = mean / np.linalg.norm(mean) @ params["text_projection"]
    else:
        text = params["null_text"]
    fusion = params["fusion"]
    hidden = np.concatenate([out[newcomer], text]) @ fusion["kernel"] + fusion["bias"]
    hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
    return hidden @ fusion["output_kernel"] + fusion["output_bias"]


@pytest.mark.parametrize("layer", ["lightgcn", "gcn"])
def test_equals_a_dense_computation_and_one_at_a_time(
    features: MakeFeatures, spec: MakeSpec, layer: str
) -> None:
    made = features(self_loops=layer == "gcn", spare_users=5, spare_edges=20)
    scorer, params = scorer_of(made, spec, layer=layer)
    together = fold_in_users(scorer, params, made, histories=HISTORIES)
    assert together.shape == (4, 6)
    for number, history in enumerate(HISTORIES):
        (alone,) = fold_in_users(scorer, params, made, histories=[history])
        np.testing.assert_array_equal(alone, together[number])
        expected = dense_newcomer(
            params, made, sorted(set(history.tolist())), scorer.spec
        )
        np.testing.assert_allclose(alone, expected, rtol=1e-4, atol=1e-5)
    # Whoever came in, one compiled program served.
    scorer.vectors(params, made)
    assert scorer._vectors._cache_size() == 1


def test_what_was_trained_stays_as_it_was(
    features: MakeFeatures, spec: MakeSpec
) -> None:
    made = features(spare_users=2)
    scorer, params = scorer_of(made, spec)
    users, items = scorer.vectors(params, made)
    graph = extend(
        made.graph,
        SupportEdges(users=np.asarray([6, 6, 7]), items=np.asarray([0, 3, 1])),
    )
    extended_users, extended_items = scorer.vectors(
        params, Features(graph=graph, text=made.text)
    )
    np.testing.assert_array_equal(extended_items, items)
    np.testing.assert_array_equal(extended_users[:6], users[:6])
    assert (extended_users[6:8] != users[6:8]).any(axis=1).all()


class Degrees:
    """A scorer whose vectors are the users' degrees."""

    spec = SimpleNamespace(sides="graph", num_layers=1, filter_rank=0)

    def __init__(self) -> None:
        self.calls = 0

    def vectors(self, _: object, features: Features) -> tuple[jax.Array, None]:
        self.calls += 1
        return features.graph.split_nodes(features.graph.degrees[:, None])[0], None


@pytest.mark.parametrize(
    ("spare_users", "spare_edges", "rounds"),
    [(5, 20, 1), (2, 20, 2), (1, 20, 4), (5, 5, 3), (5, 8, 2)],
)
def test_as_many_rounds_as_the_room_asks_for(
    features: MakeFeatures, spare_users: int, spare_edges: int, rounds: int
) -> None:
    made = features(spare_users=spare_users, spare_edges=spare_edges)
    scorer: Any = Degrees()
    # Sizes 2, 1, 4, 1; one spare edge stays free.
    degrees = fold_in_users(scorer, None, made, histories=HISTORIES)
    assert degrees.tolist() == [[2], [1], [4], [1]]
    assert scorer.calls == rounds


def test_room_for_self_loops_is_counted(features: MakeFeatures) -> None:
    # Two newcomers with one item each: 4 edges, and one stays free.
    scorer: Any = Degrees()
    made = features(self_loops=True, spare_users=2, spare_edges=4)
    pair = [np.asarray([0]), np.asarray([1])]
    assert fold_in_users(scorer, None, made, histories=pair).tolist() == [[2], [2]]
    assert scorer.calls == 2


@pytest.mark.parametrize(
    ("room", "message"),
    [
        ({"spare_users": 0}, "got 0 spare users and 11 spare edges"),
        ({"spare_edges": 4}, "a user and its 4 edges, got 2 spare users and 3"),
    ],
)
def test_no_room_is_a_clear_error(
    features: MakeFeatures, room: dict[str, int], message: str
) -> None:
    scorer: Any = Degrees()
    with pytest.raises(UserError, match=message) as caught:
        fold_in_users(scorer, None, features(**room), histories=HISTORIES)
    assert "--graph.spare-users and --graph.spare-edges" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whom_id_vectors_alone_describe_cannot_be_folded_in(
    features: MakeFeatures, spec: MakeSpec
) -> None:
    made = features()
    scorer, params = scorer_of(made, spec, sides="graph", num_layers=0)
    with pytest.raises(UserError, match="num_layers: expected 1 or more"):
        fold_in_users(scorer, params, made, histories=HISTORIES)
    # Its text is a mean over its items, layers or none.
    scorer, params = scorer_of(made, spec, num_layers=0)
    assert fold_in_users(scorer, params, made, histories=HISTORIES).any(axis=1).all()
