"""A tiny search that several tests make."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from llmgnn_jax.config import (
    Config,
    DataConfig,
    EvaluationConfig,
    GraphConfig,
    TextConfig,
    TrainConfig,
)
from llmgnn_jax.data.splits import Split, split_random
from llmgnn_jax.data.synthetic import synthetic

SPACE = {
    "train.learning_rate": (1e-3, 1e-1, "log"),
    "graph.init_scale": (0.05, 0.1, 0.2),
}


@pytest.fixture
def config() -> Config:
    """A graph model of a few steps; every value that matters is written out."""
    return Config(
        recipe="tiny",
        models=("graph",),
        data=DataConfig(source="synthetic"),
        graph=GraphConfig(
            num_layers=1,
            embedding_dim=8,
            init="normal",
            backend="csr",
            spare_users=2,
            spare_items=2,
            spare_edges=8,
        ),
        text=TextConfig(mode="frozen"),
        train=TrainConfig(
            batch_size=64,
            steps=6,
            steps_per_call=3,
            validate_every=3,
            checkpoint_every=100,
            patience=0,
        ),
        evaluation=EvaluationConfig(ks=(10,), metric="ndcg@10", baselines=False),
    )


@pytest.fixture
def space() -> dict[str, tuple]:
    return dict(SPACE)


def tampered(split: Split) -> Split:
    """The same split of data whose test rows say something else."""
    data, rows = split.dataset, split.test
    items, values, texts = (
        np.array(data.items),
        np.array(data.values),
        list(data.interaction_texts or ()),
    )
    items[rows] = np.roll(items[rows], 7)
    values[rows] = 6.0 - values[rows]
    for row in rows if texts else ():
        texts[row] = "testmarker " * 5
    changed = dataclasses.replace(
        data, items=items, values=values, interaction_texts=tuple(texts) or None
    )
    return dataclasses.replace(split, dataset=changed)


@pytest.fixture
def both() -> Callable[[], tuple[Split, Split]]:
    """A split with reviews; and one with other items, ratings and reviews in test."""

    def made() -> tuple[Split, Split]:
        whole = split_random(synthetic(reviews=True), seed=0)
        other = tampered(whole)
        assert whole.held_out("test").indices.tolist() != (
            other.held_out("test").indices.tolist()
        )
        return whole, other

    return made
