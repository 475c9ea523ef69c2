"""The task "ranking": users and items, from the data to the results."""

from pathlib import Path
from typing import Any

from llmgnn_jax.config import ModelName
from llmgnn_jax.evaluation.metrics import Metrics, evaluate_rankings
from llmgnn_jax.evaluation.ranking import rank_factors
from llmgnn_jax.models.scoring import Scorer
from llmgnn_jax.training.loop import Trainee, train_model
from llmgnn_jax.training.measure import measure
from llmgnn_jax.training.prepare import Prepared, prepare, train_data
from llmgnn_jax.training.reporting import MetricsLog
from llmgnn_jax.training.step import build_program
from llmgnn_jax.training.trained import TrainedModel, load_trained, set_up, trained

# What `training.run` asks of a task.
__all__ = ["fit_model", "load_trained", "measure", "prepare"]


def fit_model(
    name: ModelName,
    prepared: Prepared,
    *,
    folder: Path,
    log: MetricsLog | None = None,
    resume: bool = False,
    profile_steps: int = 0,
) -> TrainedModel:
    """Trains one model, see `train_model`."""
    config = prepared.config
    setup = set_up(name, prepared)
    scorer = Scorer(setup.definition, setup.spec)

    def on_valid(params: Any) -> dict[str, float]:
        return validate(scorer, params, prepared).mean

    trainee = Trainee(
        name=name,
        program=build_program(setup.definition, setup.optimizer, config),
        data=train_data(prepared, text=setup.spec.uses_text),
        start=setup.snapshot,
        validate=on_valid if prepared.valid.nnz else None,
        examples_per_step=config.train.batch_size,
    )
    snapshot = train_model(
        trainee,
        config,
        folder=folder,
        log=log,
        resume=resume,
        profile_steps=profile_steps,
    )
    return trained(name, setup, snapshot)


def validate(scorer: Scorer, params: Any, prepared: Prepared) -> Metrics:
    """Ranks the validation part, train items masked."""
    evaluation, dataset = prepared.config.evaluation, prepared.dataset
    users, items = scorer.vectors(params, prepared.features)
    rankings = rank_factors(
        users[: dataset.num_users],
        items[: dataset.num_items],
        seen=prepared.history,
        k=max(evaluation.ks),
        memory_limit_mb=evaluation.memory_limit_mb,
    )
    return evaluate_rankings(
        rankings.items,
        rankings.users,
        prepared.valid,
        ks=evaluation.ks,
        num_items=dataset.num_items,
    )
