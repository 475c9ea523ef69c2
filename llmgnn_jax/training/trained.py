"""A model before and after training: how it is set up, and how it is loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from llmgnn_jax.config import ModelName
from llmgnn_jax.errors import UserError
from llmgnn_jax.models.recommender import ModelSpec, RecommenderModel, create
from llmgnn_jax.models.scoring import Scorer
from llmgnn_jax.training.checkpoint import CheckpointFolder, Progress, Snapshot
from llmgnn_jax.training.optimizer import build_optimizer
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.state import create_state


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
    """

    name: ModelName
    scorer: Scorer
    params: Any
    step: int
    best_step: int
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Setup:
    """A model as it is before the first step.

    Attributes:
        definition: Its static half.
        spec: Which model.
        optimizer: As configured.
        snapshot: Initial state; also the template of its checkpoints.
    """

    definition: nnx.GraphDef[RecommenderModel]
    spec: ModelSpec
    optimizer: optax.GradientTransformation
    snapshot: Snapshot


def set_up(name: ModelName, prepared: Prepared) -> Setup:
    """The model, its optimizer and its initial state, from the run's seed."""
    config = prepared.config
    spec = ModelSpec.of(
        config,
        name,
        graph=prepared.graph,
        text_dim=prepared.text_dim,
        backend=prepared.backend,
    )
    definition, params = create(spec, seed=config.seed)
    optimizer = build_optimizer(config)
    return Setup(
        definition=definition,
        spec=spec,
        optimizer=optimizer,
        snapshot=Snapshot(
            state=create_state(params, optimizer, seed=config.seed),
            best_params=copy_params(params),
            progress=Progress(),
        ),
    )


def load_trained(name: ModelName, prepared: Prepared, *, folder: Path) -> TrainedModel:
    """A trained model from the newest checkpoint of a run.

    Raises:
        UserError: If there is none, or it cannot be read.
    """
    setup = set_up(name, prepared)
    where = folder / "checkpoints" / name
    snapshot = None
    if where.is_dir():  # To read a run writes nothing into it.
        keep = prepared.config.train.keep_checkpoints
        with CheckpointFolder(where, keep=keep) as kept:
            snapshot = kept.restore(setup.snapshot)
    if snapshot is None:
        raise UserError.field(
            str(where),
            expected="a checkpoint",
            got="none",
            fix="train it, or go on with --resume",
        )
    return trained(name, setup, snapshot)


def trained(name: ModelName, setup: Setup, snapshot: Snapshot) -> TrainedModel:
    """What a snapshot says of a model."""
    progress = snapshot.progress
    step = int(snapshot.state.step)
    # Before the first validation the newest parameters are the best there are.
    newest = not progress.best_step or progress.end_value > progress.best_value
    return TrainedModel(
        name=name,
        scorer=Scorer(setup.definition, setup.spec),
        params=snapshot.state.params if newest else snapshot.best_params,
        step=step,
        best_step=step if newest else progress.best_step,
        seconds=progress.seconds,
    )


def copy_params(params: Any) -> Any:
    """Parameters of their own, where those that they come from are donated."""
    return jax.tree.map(jnp.copy, params)
