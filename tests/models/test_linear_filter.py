"""A linear filter beside a model: scores are the sum of both, on every path."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.graph.item_item import FilterVectors, item_item_filter
from llmgnn_jax.graph.spectral import ideal_low_pass
from llmgnn_jax.models.features import Features, build_filter_features
from llmgnn_jax.models.newcomers import fold_in_users
from llmgnn_jax.models.recommender import ModelSpec, create
from llmgnn_jax.models.scoring import Scorer

MakeFeatures = Callable[..., Features]
MakeSpec = Callable[..., ModelSpec]
RANK, WEIGHT = 4, 2.5


@pytest.fixture(params=["item_item", "spectral"])
def vectors(train: TrainSplit, request: pytest.FixtureRequest) -> FilterVectors:
    if request.param == "spectral":
        return ideal_low_pass(train.csr(), train.num_items, rank=RANK)
    return item_item_filter(train, l2=1.0, rating_power=0.0, rank=RANK)


def filtered(made: Features, vectors: FilterVectors) -> Features:
    return dataclasses.replace(
        made,
        filter=build_filter_features(
            vectors,
            user_capacity=made.graph.user_capacity,
            item_capacity=made.graph.item_capacity,
        ),
    )


def scorers(made: Features, spec: MakeSpec, sides: str) -> tuple[Scorer, Scorer, dict]:
    """Without and with a filter, of the same parameters."""
    plain = spec(made, sides=sides)
    definition, params = create(plain, seed=0)
    wide = dataclasses.replace(plain, filter_rank=RANK, filter_weight=WEIGHT)
    definition_of_wide, same = create(wide, seed=0)
    assert same.keys() == params.keys()  # It has nothing to learn.
    return Scorer(definition, plain), Scorer(definition_of_wide, wide), params


@pytest.mark.parametrize("sides", ["graph", "fused"])
def test_scores_are_the_models_and_the_filters(
    features: MakeFeatures, spec: MakeSpec, vectors: FilterVectors, sides: str
) -> None:
    made = filtered(features(), vectors)
    plain, wide, params = scorers(made, spec, sides)
    users, items = plain.vectors(params, made)
    both_users, both_items = wide.vectors(params, made)
    assert both_users.shape[1] == users.shape[1] + RANK
    difference = np.asarray(both_users @ both_items.T - users @ items.T)
    expected = np.zeros_like(difference)
    expected[:6, :7] = WEIGHT * vectors.user_UK @ vectors.item_IK.T
    np.testing.assert_allclose(difference, expected, atol=1e-4)


def test_newcomers_are_filtered_by_their_items(
    features: MakeFeatures, spec: MakeSpec, vectors: FilterVectors
) -> None:
    made = filtered(features(spare_users=3, spare_edges=20), vectors)
    plain, wide, params = scorers(made, spec, "fused")
    histories = [np.array(items) for items in ([0, 3, 3], [2], [6, 1])]
    folded = fold_in_users(wide, params, made, histories=histories)
    without = fold_in_users(plain, params, made, histories=histories)
    np.testing.assert_array_equal(folded[:, : without.shape[1]], without)
    sums = [vectors.read_IK[np.unique(items)].sum(axis=0) for items in histories]
    np.testing.assert_allclose(
        folded[:, without.shape[1] :], WEIGHT**0.5 * np.stack(sums), rtol=1e-5
    )


def test_a_user_folded_in_is_filtered_as_it_was_in_training(
    features: MakeFeatures, spec: MakeSpec, vectors: FilterVectors, train: TrainSplit
) -> None:
    made = filtered(features(), vectors)
    _, wide, params = scorers(made, spec, "fused")
    users, _ = wide.vectors(params, made)
    (again,) = fold_in_users(
        wide, params, made, histories=[train.items[train.users == 5]]
    )
    np.testing.assert_allclose(again[-RANK:], users[5, -RANK:], rtol=1e-5)


def test_whoever_has_no_history_is_not_filtered(
    features: MakeFeatures, spec: MakeSpec, vectors: FilterVectors
) -> None:
    made = filtered(features(), vectors)
    plain, wide, params = scorers(made, spec, "fused")
    text_BT = jnp.ones((2, plain.spec.text_dim))
    read, plainly = (
        wide.text_vectors(params, text_BT),
        plain.text_vectors(params, text_BT),
    )
    assert read.shape == (2, plainly.shape[1] + RANK)
    np.testing.assert_allclose(read[:, :-RANK], plainly, rtol=1e-6)
    assert (read[:, -RANK:] == 0).all()


def test_more_spare_slots_change_no_score(
    features: MakeFeatures, spec: MakeSpec, vectors: FilterVectors
) -> None:
    scores = []
    for spare in (1, 9):
        made = filtered(features(spare_users=spare, spare_items=spare), vectors)
        assert made.filter is not None
        users, items = made.filter.user_UK[:6], made.filter.item_IK[:7]
        assert (made.filter.user_UK[6:] == 0).all()
        assert (made.filter.item_IK[7:] == 0).all()
        scores.append(np.asarray(users @ items.T))
    np.testing.assert_array_equal(*scores)
