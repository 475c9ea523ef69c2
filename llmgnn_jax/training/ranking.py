"""The task "ranking": users and items, from the data to the results."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax.config import ModelName
from llmgnn_jax.evaluation.metrics import Metrics
from llmgnn_jax.evaluation.pieces import rank_pieces
from llmgnn_jax.evaluation.ranker import rank_factors
from llmgnn_jax.evaluation.ranking import Rankings
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.scoring import Scorer
from llmgnn_jax.parallel.processes import numbers_of_first
from llmgnn_jax.parallel.strategy import Meshed
from llmgnn_jax.training.lists import answered, judge_of
from llmgnn_jax.training.loop import Trainee, train_model
from llmgnn_jax.training.measure import measure
from llmgnn_jax.training.prepare import Prepared, prepare
from llmgnn_jax.training.reporting import MetricsLog
from llmgnn_jax.training.train_data import train_data
from llmgnn_jax.training.trained import (
    Setup,
    TrainedModel,
    load_trained,
    set_up,
    trained,
)
from llmgnn_jax.training.trainees import place_trainee

logger = logging.getLogger(__name__)

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
    setup = set_up(name, prepared)
    config = prepared.config
    if setup.text is not None and config.train.negatives == "all":
        # It learns to tell new vectors from old ones; on ML-100K it got worse by that.
        logger.warning(
            "text.mode %s with train.negatives all: the positive's vector is new, most "
            "negatives' are stored ones; --train.negatives in_batch compares like with "
            "like",
            config.text.mode,
        )
    snapshot = train_model(
        trainee_of(name, prepared, setup),
        config,
        folder=folder,
        log=log,
        resume=resume,
        profile_steps=profile_steps,
    )
    return trained(name, setup, snapshot, prepared)


def trainee_of(name: ModelName, prepared: Prepared, setup: Setup) -> Trainee:
    """A model as the training loop sees it."""
    return place_trainee(
        name,
        prepared,
        setup,
        data=train_data(prepared, text=False),
        judged=judged if prepared.on_valid.positives.nnz else None,
    )


def judged(
    scorer: Scorer, params: Any, features: Features, prepared: Prepared
) -> dict[str, float]:
    """METRIC -> value on the validation part."""
    return numbers_of_first(validate(scorer, params, features, prepared).mean)


def validate(
    scorer: Scorer, params: Any, features: Features, prepared: Prepared
) -> Metrics:
    """Ranks the validation part, train items masked."""
    evaluation, dataset = prepared.config.evaluation, prepared.dataset
    users, items = scorer.vectors(params, features)
    strategy, question = prepared.strategy, prepared.on_valid
    if not isinstance(strategy, Meshed):
        users, items = strategy.gathered((users, items))
        users, items = users[: dataset.num_users], items[: dataset.num_items]

    def ranked(candidates: np.ndarray | None) -> Rankings:
        options: dict[str, Any] = {
            "seen": question.seen,
            "k": max(evaluation.ks),
            "candidates": candidates,
            "memory_limit_mb": evaluation.memory_limit_mb,
        }
        if not isinstance(strategy, Meshed):
            return rank_factors(users, items, **options)
        return rank_pieces(
            users,
            items,
            mesh=strategy.mesh,
            num_users=dataset.num_users,
            num_items=dataset.num_items,
            **options,
        )

    rankings = answered(ranked, question, prepared)
    return judge_of(question, prepared).metrics(rankings)
