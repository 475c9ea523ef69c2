"""The task "node_classification": one graph, some labels, the classes of the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from llmgnn_jax.config import ModelName
from llmgnn_jax.data.node_dataset import LabelledNodes
from llmgnn_jax.evaluation.classification import evaluate_classes
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.results import ModelResult, Protocol, Results
from llmgnn_jax.graph.transductive import TransductiveGraph
from llmgnn_jax.models.node_tasks import (
    NodeClassifier,
    NodeClassifierSpec,
    create_classifier,
)
from llmgnn_jax.training.loop import Trainee, train_model
from llmgnn_jax.training.node_data import PreparedNodes
from llmgnn_jax.training.node_data import prepare_nodes as prepare
from llmgnn_jax.training.node_step import build_node_program
from llmgnn_jax.training.optimizer import build_optimizer
from llmgnn_jax.training.reporting import MetricsLog
from llmgnn_jax.training.snapshot import Progress, Snapshot
from llmgnn_jax.training.state import create_state
from llmgnn_jax.training.trained import best_params, newest_snapshot

# What `training.run` asks of a task.
__all__ = ["fit_model", "load_trained", "measure", "prepare"]

MASKING = "none"


class NodePredictor:
    """Runs a classifier's parameters; validation and test share its program."""

    def __init__(self, definition: nnx.GraphDef[NodeClassifier]) -> None:
        def classes(params: Any, graph: TransductiveGraph) -> jax.Array:
            logits_NC = nnx.merge(definition, params)(graph)
            return jnp.argmax(logits_NC, axis=1).astype(jnp.int32)

        self._classes = jax.jit(classes)

    def classes(self, params: Any, graph: TransductiveGraph) -> np.ndarray:
        """(N,) int32, the likeliest class of every node."""
        return np.asarray(self._classes(params, graph))


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedClassifier:
    """A classifier at its best validation.

    Attributes:
        name: Of the model.
        predictor: Gives classes.
        params: Its best parameters.
        step: Steps taken.
        best_step: The step of the best validation.
        seconds: Of training, with compilation and validation.
    """

    name: ModelName
    predictor: NodePredictor
    params: Any
    step: int
    best_step: int
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class NodeSetup:
    """A classifier as it is before the first step.

    Attributes:
        definition: Its static half.
        optimizer: As configured.
        snapshot: Initial state; also the template of its checkpoints.
    """

    definition: nnx.GraphDef[NodeClassifier]
    optimizer: optax.GradientTransformation
    snapshot: Snapshot


def set_up(name: ModelName, prepared: PreparedNodes) -> NodeSetup:
    """The model, its optimizer and its initial state, from the run's seed."""
    config, graph = prepared.config, prepared.data.graph
    spec = NodeClassifierSpec.of(
        config,
        name,
        # Which node it is says nothing beside its text.
        num_features=prepared.train.features.shape[1]
        if name == "fused"
        else graph.graph.nodes.shape[1],
        text_dim=0 if graph.texts is None else graph.texts.vectors_NT.shape[1],
        num_classes=prepared.train.num_classes,
        backend=prepared.backend,
    )
    definition, params = create_classifier(spec, seed=config.seed)
    optimizer = build_optimizer(config)
    state = create_state(params, optimizer, seed=config.seed)
    return NodeSetup(
        definition=definition,
        optimizer=optimizer,
        snapshot=Snapshot(state=state, best_params=state.params, progress=Progress()),
    )


def fit_model(
    name: ModelName,
    prepared: PreparedNodes,
    *,
    folder: Path,
    log: MetricsLog | None = None,
    resume: bool = False,
    profile_steps: int = 0,
) -> TrainedClassifier:
    """Trains a classifier, see `train_model`."""
    config, data = prepared.config, prepared.data
    setup = set_up(name, prepared)
    predictor = NodePredictor(setup.definition)

    def on_valid(params: Any, graph: Any) -> dict[str, float]:
        return _judge(predictor.classes(params, graph), prepared.valid, prepared)

    trainee = Trainee(
        name=name,
        program=build_node_program(setup.definition, setup.optimizer, config),
        data=data,
        start=setup.snapshot,
        features=lambda _: data.graph,
        validate=on_valid,
        examples_per_step=len(data.nodes_T),
    )
    snapshot = train_model(
        trainee,
        config,
        folder=folder,
        log=log,
        resume=resume,
        profile_steps=profile_steps,
    )
    return _trained(name, predictor, snapshot)


def load_trained(
    name: ModelName, prepared: PreparedNodes, *, folder: Path
) -> TrainedClassifier:
    """A trained classifier from the newest checkpoint of a run.

    Raises:
        UserError: If there is none, or it cannot be read.
    """
    setup = set_up(name, prepared)
    where = folder / "checkpoints" / name
    snapshot = newest_snapshot(where, setup.snapshot, prepared.config)
    return _trained(name, NodePredictor(setup.definition), snapshot)


def measure(
    prepared: PreparedNodes, models: Sequence[TrainedClassifier], *, command: str
) -> Results:
    """Classifies every node and reads the test part, once."""
    config, split = prepared.config, prepared.split
    test = split.held_out("test")
    rows: dict[str, ModelResult] = {}
    for model in models:
        classes = model.predictor.classes(model.params, prepared.data.graph)
        rows[model.name] = ModelResult(
            valid=_judge(classes, prepared.valid, prepared),
            test=_judge(classes, test, prepared),
            seconds=model.seconds,
            budget={"steps": model.step, "best_step": model.best_step},
        )
    return Results(
        protocol=Protocol(
            task=config.task,
            dataset=split.dataset.name,
            split_name=split.name,
            filters=[],
            k=[],
            masking=MASKING,
            fingerprint=split.fingerprint(metric=config.evaluation.metric),
            split_hash=split.split_hash,
            metric=config.evaluation.metric,
        ),
        models=rows,
        environment=environment(),
        command=command,
        device=device(),
    )


def _judge(
    classes: np.ndarray, part: LabelledNodes, prepared: PreparedNodes
) -> dict[str, float]:
    return evaluate_classes(
        classes[part.nodes], part.labels, num_classes=prepared.train.num_classes
    )


def _trained(
    name: ModelName, predictor: NodePredictor, snapshot: Snapshot
) -> TrainedClassifier:
    params, best_step = best_params(snapshot)
    return TrainedClassifier(
        name=name,
        predictor=predictor,
        params=params,
        step=int(snapshot.state.step),
        best_step=best_step,
        seconds=snapshot.progress.seconds,
    )
