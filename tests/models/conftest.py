"""A train part in which every special case occurs, and features of it."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.graph.structure import build
from llmgnn_jax.models.features import Features, build_text_features
from llmgnn_jax.models.recommender import ModelSpec

TEXT_DIM = 5
# User 1 has one item, user 3 none, user 4 a profile text; item 2 has no text, item 5
# no interaction.
USERS = (0, 0, 0, 1, 2, 2, 4, 4, 5, 5, 5)
ITEMS = (0, 1, 2, 3, 2, 4, 0, 3, 1, 3, 4)
ITEM_TEXTS = ("a", "b", "  ", "d", "e", "f", "g")
USER_TEXTS = ("", "", "", "", "profile", " ")


@pytest.fixture
def train() -> TrainSplit:
    return TrainSplit(
        num_users=6,
        num_items=7,
        users=np.asarray(USERS, np.int32),
        items=np.asarray(ITEMS, np.int32),
        values=np.ones(len(USERS), np.float32),
        timestamps=np.zeros(len(USERS), np.int64),
        item_texts=ITEM_TEXTS,
        user_texts=USER_TEXTS,
    )


@pytest.fixture
def item_vectors() -> np.ndarray:
    """(7, T) of unit length, item 2's too: an encoder gives one even of no text."""
    vectors = np.random.default_rng(0).normal(size=(7, TEXT_DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def user_vectors() -> np.ndarray:
    vectors = np.random.default_rng(1).normal(size=(6, TEXT_DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def features(
    train: TrainSplit, item_vectors: np.ndarray, user_vectors: np.ndarray
) -> Callable[..., Features]:
    """(self_loops=, profiles=, spare_users=, ...) -> the features of `train`."""

    def make(
        *,
        self_loops: bool = False,
        profiles: bool = True,
        spare_users: int = 2,
        spare_items: int = 1,
        spare_edges: int = 12,
    ) -> Features:
        graph = build(
            train,
            self_loops=self_loops,
            spare_users=spare_users,
            spare_items=spare_items,
            spare_edges=spare_edges,
        )
        text = build_text_features(
            item_vectors=item_vectors,
            item_texts=train.item_texts,
            history=train.csr(),
            user_vectors=user_vectors if profiles else None,
            user_texts=train.user_texts if profiles else None,
            user_capacity=graph.user_capacity,
            item_capacity=graph.item_capacity,
        )
        return Features(graph=graph, text=text)

    return make


@pytest.fixture
def spec() -> Callable[..., ModelSpec]:
    """(features, **changes) -> a small model of it."""

    def make(features: Features, **changes: object) -> ModelSpec:
        graph = features.graph
        fields = SimpleNamespace(
            sides="fused",
            user_capacity=graph.user_capacity,
            item_capacity=graph.item_capacity,
            num_users=int(graph.num_users),
            num_items=int(graph.num_items),
            text_dim=TEXT_DIM,
            layer="lightgcn",
            num_layers=2,
            embedding_dim=3,
            init="normal",
            init_scale=0.5,
            backend="csr",
            activation="leaky_relu",
        )
        return ModelSpec(**(vars(fields) | changes))

    return make
