"""A model before and after training: how it is set up, and how it is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optax
from flax import nnx

from llmgnn_jax.config import Config, ModelName
from llmgnn_jax.errors import UserError
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.rating import create_rating
from llmgnn_jax.models.recommender import ModelSpec, RecommenderModel, create
from llmgnn_jax.models.scoring import Scorer
from llmgnn_jax.text.interface import Encoder
from llmgnn_jax.training.checkpoint import CheckpointFolder
from llmgnn_jax.training.first_vectors import first_vectors
from llmgnn_jax.training.optimizer import build_optimizer
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.snapshot import Progress, Snapshot
from llmgnn_jax.training.state import (
    NODE_TABLE,
    TEXT_ENCODER,
    copy_params,
    create_state,
    split_params,
)
from llmgnn_jax.training.trained_text import TrainedText, trained_text


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """A model at its best validation.

    Attributes:
        name: "graph", "text" or "fused".
        scorer: Gives vectors and rankings.
        params: Its best parameters.
        step: Steps taken.
        best_step: The step of the best validation.
        seconds: Of training, with compilation and validation.
        features: What it reads: the run's own, or with the vectors of the encoder that
            was trained with it.
        encoder: Reads texts for it; None where it has no text side.
    """

    name: ModelName
    scorer: Scorer
    params: Any
    features: Features
    encoder: Encoder | None
    step: int
    best_step: int
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class TunedModel:
    """A model whose hyper-parameters were searched for.

    Attributes:
        model: Trained with those that were chosen.
        budget: What was searched, see `evaluation.search_budget`.
        seconds: Of the search and of the training.
    """

    model: TrainedModel
    budget: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Setup:
    """A model as it is before the first step.

    Attributes:
        definition: Its static half.
        spec: Which model.
        text: Its text encoder, if that is trained with it.
        optimizer: As configured.
        snapshot: Initial state; also the template of its checkpoints.
    """

    definition: nnx.GraphDef[RecommenderModel]
    spec: ModelSpec
    text: TrainedText | None
    optimizer: optax.GradientTransformation
    snapshot: Snapshot


def set_up(name: ModelName, prepared: Prepared, *, trains: bool = True) -> Setup:
    """The model, its optimizer and its initial state, from the run's seed.

    Args:
        name: Which model.
        prepared: The run's data.
        trains: Whether training may begin with it; else it is a template of what was
            trained, and its values do not matter.
    """
    config = prepared.config
    spec = ModelSpec.of(
        config,
        name,
        graph=prepared.graph,
        text_dim=prepared.text_dim,
        backend=prepared.backend,
    )
    if config.task == "rating":
        mean = float(np.mean(prepared.train.values, dtype=np.float64))
        definition, params = create_rating(spec, mean=mean, seed=config.seed)
    else:
        definition, params = create(spec, seed=config.seed)
    if trains and spec.uses_graph:
        nodes = first_vectors(spec, prepared, params[NODE_TABLE])
        params = {**params, NODE_TABLE: nodes}
    text = trained_text(prepared) if spec.uses_text else None
    stored = None
    if text is not None:
        params = {**params, TEXT_ENCODER: text.start}
        # A copy, as of the parameters: the state is given away in each call.
        stored = copy_params(prepared.features.text)
    optimizer = build_optimizer(config)
    place = prepared.strategy.place
    state = place(
        create_state(copy_params(params), optimizer, seed=config.seed, text=stored)
    )
    return Setup(
        definition=definition,
        spec=spec,
        text=text,
        optimizer=optimizer,
        # None are best yet, and a second copy of all would take its place in memory.
        snapshot=Snapshot(state=state, best_params=state.params, progress=Progress()),
    )


def load_trained(name: ModelName, prepared: Prepared, *, folder: Path) -> TrainedModel:
    """A trained model from the newest checkpoint of a run.

    Raises:
        UserError: If there is none, or it cannot be read.
    """
    setup = set_up(name, prepared, trains=False)
    snapshot = newest_snapshot(
        folder / "checkpoints" / name, setup.snapshot, prepared.config
    )
    return trained(name, setup, snapshot, prepared)


def newest_snapshot(folder: Path, template: Snapshot, config: Config) -> Snapshot:
    """What the newest checkpoint of a model holds.

    Args:
        folder: `checkpoints/<model>`.
        template: A snapshot of the same shapes, types and placement.
        config: Of the run.

    Raises:
        UserError: If there is none, or it cannot be read.
    """
    snapshot = None
    if folder.is_dir():  # To read a run writes nothing into it.
        with CheckpointFolder(folder, keep=config.train.keep_checkpoints) as kept:
            snapshot = kept.restore(template)
    if snapshot is None:
        raise UserError.field(
            str(folder),
            expected="a checkpoint",
            got="none",
            fix="train it, or go on with --resume",
        )
    return snapshot


def trained(
    name: ModelName, setup: Setup, snapshot: Snapshot, prepared: Prepared
) -> TrainedModel:
    """What a snapshot says of a model."""
    params, best_step = best_params(snapshot)
    params = prepared.strategy.gathered(params)
    features = prepared.features
    encoder = prepared.encoder if setup.spec.uses_text else None
    if setup.text is not None:
        params, of_encoder = split_params(params)
        encoder = setup.text.encoder(of_encoder, prepared)
        features = setup.text.stored_features(encoder, prepared)
    return TrainedModel(
        name=name,
        scorer=Scorer(setup.definition, setup.spec),
        params=params,
        features=features,
        encoder=encoder,
        step=int(snapshot.state.step),
        best_step=best_step,
        seconds=snapshot.progress.seconds,
    )


def best_params(snapshot: Snapshot) -> tuple[Any, int]:
    """The parameters to keep, and the step that they come from."""
    progress = snapshot.progress
    # Before the first validation the newest parameters are the best there are.
    if not progress.best_step or progress.end_value > progress.best_value:
        return snapshot.state.params, int(snapshot.state.step)
    return snapshot.best_params, progress.best_step
