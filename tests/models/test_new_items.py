"""Items that come after training: by text, by users, and with no shape changed."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.new_items import with_new_items
from llmgnn_jax.models.recommender import ModelSpec, create
from llmgnn_jax.models.scoring import Scorer

MakeFeatures = Callable[..., Features]
MakeSpec = Callable[..., ModelSpec]

NOBODY = np.zeros(0, np.int64)


def scorer_of(made: Features, spec: MakeSpec, **changes: Any) -> tuple[Scorer, Any]:
    model_spec = spec(made, **changes)
    definition, params = create(model_spec, seed=0)
    rng = np.random.default_rng(3)
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            leaf
            if "embedding" in jax.tree_util.keystr(path)
            else leaf + 0.1 * rng.normal(size=leaf.shape).astype(np.float32)
        ),
        params,
    )
    return Scorer(definition, model_spec), params


def texts_of(made: Features, count: int) -> np.ndarray:
    assert made.text is not None
    drawn = np.random.default_rng(0).normal(size=(count, made.text.item_IT.shape[1]))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def test_each_is_what_is_known_of_it(features: MakeFeatures, spec: MakeSpec) -> None:
    made = features(spare_items=4, spare_edges=20)
    scorer, params = scorer_of(made, spec)
    users_before, items_before = map(np.asarray, scorer.vectors(params, made))
    texts = texts_of(made, 3)
    texts[2] = 0.0  # Users alone.
    had_by = [NOBODY, np.array([0, 3]), np.array([1])]
    extended = with_new_items(made, had_by=had_by, text_BT=texts, filter_BK=None)
    first = int(made.graph.num_items)
    assert int(extended.graph.num_items) == first + 3
    users, items = map(np.asarray, scorer.vectors(params, extended))
    np.testing.assert_array_equal(users[:6], users_before[:6])
    np.testing.assert_array_equal(items[:first], items_before[:first])
    assert scorer._vectors._cache_size() == 1

    # By hand: the users' vectors of each layer, over the roots of both degrees.
    graph = made.graph
    table = np.asarray(params["node_embedding"], np.float64)
    matrix = np.zeros((graph.num_nodes, graph.num_nodes))
    used = int(graph.plan.num_edges)
    senders, receivers = graph.graph.senders[:used], graph.graph.receivers[:used]
    matrix[receivers, senders] = graph.graph.edges["weight"][:used]
    layers = [table]
    for _ in range(scorer.spec.num_layers):
        layers.append(matrix @ layers[-1])
    degrees = np.asarray(graph.degrees, np.float64)
    for number, users_of in enumerate(had_by):
        graph_D = np.zeros(table.shape[1])
        for user in users_of:
            weight = (max(degrees[user], 1.0) * len(users_of)) ** -0.5
            graph_D += weight * sum(layer[user] for layer in layers[:-1])
        graph_D /= scorer.spec.num_layers + 1
        if not len(users_of):
            graph_D = np.asarray(params["null_graph"], np.float64)
        text_D = np.asarray(params["null_text"], np.float64)
        if texts[number].any():
            text_D = texts[number] @ np.asarray(params["text_projection"], np.float64)
        fusion = {
            name: np.asarray(p, np.float64) for name, p in params["fusion"].items()
        }
        hidden = np.concatenate([graph_D, text_D]) @ fusion["kernel"] + fusion["bias"]
        hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
        expected = hidden @ fusion["output_kernel"] + fusion["output_bias"]
        np.testing.assert_allclose(
            items[first + number], expected, rtol=1e-4, atol=1e-5
        )


def test_one_after_another_is_as_all_at_once(
    features: MakeFeatures, spec: MakeSpec
) -> None:
    made = features(spare_items=4, spare_edges=20)
    scorer, params = scorer_of(made, spec)
    texts = texts_of(made, 2)
    had_by = [np.array([2, 4]), np.array([0])]
    together = with_new_items(made, had_by=had_by, text_BT=texts, filter_BK=None)
    apart = made
    for users, text in zip(had_by, texts, strict=True):
        apart = with_new_items(
            apart, had_by=[users], text_BT=text[None], filter_BK=None
        )
    for one, other in zip(
        scorer.vectors(params, together), scorer.vectors(params, apart), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_no_room_is_a_clear_error(features: MakeFeatures) -> None:
    made = features(spare_items=2, spare_edges=20)
    room = made.graph.layout.item_slots - int(made.graph.num_items)
    with pytest.raises(UserError, match=r"--graph\.spare-items") as caught:
        with_new_items(
            made,
            had_by=[NOBODY] * (room + 1),
            text_BT=texts_of(made, room + 1),
            filter_BK=None,
        )
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"--graph\.spare-edges"):
        with_new_items(
            features(spare_items=2, spare_edges=1),
            had_by=[np.arange(6)],
            text_BT=texts_of(made, 1),
            filter_BK=None,
        )
