"""A planted data set, prepared as a run would, with made-up text vectors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from llmgnn_jax.config import (
    Config,
    FusionConfig,
    GraphConfig,
    ModelName,
    TrainConfig,
    replace,
)
from llmgnn_jax.data.splits import split_by_rule
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.evaluation.question import question_of
from llmgnn_jax.graph.structure import build
from llmgnn_jax.models.features import Features, build_text_features
from llmgnn_jax.models.recommender import ModelSpec, RecommenderModel, create
from llmgnn_jax.training.optimizer import build_optimizer
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.state import TrainData, TrainState, create_state
from llmgnn_jax.training.step import Program, build_program
from llmgnn_jax.training.train_data import train_data

# Every value is written out: tests must not move when a default does.
CONFIG = Config(
    recipe="test",
    seed=0,
    graph=GraphConfig(
        layer="lightgcn",
        num_layers=2,
        embedding_dim=4,
        init_scale=0.1,
        backend="csr",
        spare_users=2,
        spare_items=3,
        spare_edges=20,
    ),
    fusion=FusionConfig(
        activation="leaky_relu",
        anchor=0.3,
        learning_rate_scale=0.1,
        modality_dropout=0.25,
    ),
    train=TrainConfig(
        loss="sampled_softmax",
        negatives="all",
        num_negatives=5,
        batch_size=32,
        learning_rate=0.05,
        half_life=500,
        l2=1e-3,
        weight_decay=0.0,
        steps_per_call=4,
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Small:
    """A model before its first step, and what it trains on."""

    config: Config
    spec: ModelSpec
    definition: nnx.GraphDef[RecommenderModel]
    params: dict[str, Any]
    optimizer: optax.GradientTransformation
    data: TrainData
    prepared: Prepared

    def program(self) -> Program:
        return build_program(self.definition, self.optimizer, self.config)

    def state(self) -> TrainState:
        """A new one at each call: a program takes it away."""
        params = jax.tree.map(jnp.copy, self.params)
        return create_state(params, self.optimizer, seed=self.config.seed)


def _small(
    sides: ModelName = "fused",
    *,
    item_vectors: np.ndarray | None = None,
    **changes: Any,
) -> Small:
    config = replace(CONFIG, **changes)
    dataset = synthetic(
        num_users=18, num_items=15, num_interactions=140, num_clusters=3, seed=1
    )
    split = split_by_rule(dataset, rule=config.data.split, seed=0)
    train = split.training()
    history = train.csr()
    graph = build(
        train,
        self_loops=config.graph.layer == "gcn",
        spare_users=config.graph.spare_users,
        spare_items=config.graph.spare_items,
        spare_edges=config.graph.spare_edges,
        buckets=config.graph.backend == "bucketed",
    )
    if item_vectors is None:
        # The cluster, blurred.
        noise = np.random.default_rng(0).normal(size=(15, 6))
        item_vectors = np.eye(6)[np.arange(15) % 3] + 0.2 * noise
    norms = np.linalg.norm(item_vectors, axis=1, keepdims=True)
    item_vectors = (item_vectors / norms).astype(np.float32)
    text = build_text_features(
        item_vectors=item_vectors,
        item_texts=train.item_texts,
        history=history,
        user_vectors=None,
        user_texts=None,
        user_capacity=graph.user_capacity,
        item_capacity=graph.item_capacity,
    )
    prepared = Prepared(
        config=config,
        dataset=dataset,
        split=split,
        train=train,
        history=history,
        on_valid=question_of(split, "valid"),
        graph=graph,
        features=Features(graph=graph, text=text),
        encoder=None,
        encoded=None,
    )
    spec = ModelSpec.of(
        config,
        sides,
        graph=graph,
        text_dim=item_vectors.shape[1],
        backend=prepared.backend,
    )
    definition, params = create(spec, seed=config.seed)
    return Small(
        config=config,
        spec=spec,
        definition=definition,
        params=params,
        optimizer=build_optimizer(config),
        data=train_data(prepared, text=spec.uses_text),
        prepared=prepared,
    )


@pytest.fixture(scope="session")
def small() -> Callable[..., Small]:
    """(sides, **{dotted field: value}) -> a small model that is ready to train."""
    return _small
