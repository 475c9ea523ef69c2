"""The task "rating": what value a user gives an item, from the data to the results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from llmgnn_jax.config import Config, ModelName
from llmgnn_jax.data.memory import Held
from llmgnn_jax.data.splits import HeldOutPart
from llmgnn_jax.evaluation.baselines.rated import Predict, Rated
from llmgnn_jax.evaluation.baselines.rated_tuning import tuned_rating_baselines
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.judgement import comparisons
from llmgnn_jax.evaluation.ratings import (
    Pairs,
    RatingJudge,
    RatingJudgement,
    evaluate_ratings,
)
from llmgnn_jax.evaluation.results import ModelResult, Protocol, Results
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.scoring import Scorer
from llmgnn_jax.parallel.processes import numbers_of_first
from llmgnn_jax.training import prepare as preparing
from llmgnn_jax.training.loop import train_model
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.rating_data import (
    check_values,
    clipped,
    held_out_ratings,
    rating_data,
)
from llmgnn_jax.training.rating_step import rating_loss
from llmgnn_jax.training.reporting import MetricsLog
from llmgnn_jax.training.trained import TrainedModel, load_trained, set_up, trained
from llmgnn_jax.training.trainees import place_trainee

# What `training.run` asks of a task.
__all__ = ["fit_model", "load_trained", "measure", "prepare"]

MASKING = "none"
COMPARED = "mse"
"""What models are compared by, user by user: squared errors."""

_PAIRS_AT_ONCE = 2**16


def prepare(config: Config, *, dataset: Held | None = None) -> Prepared:
    """As `training.prepare.prepare`, of data that have something to predict.

    Raises:
        UserError: As there, or if all train ratings are the same.
    """
    prepared = preparing.prepare(config, dataset=dataset)
    check_values(prepared)
    return prepared


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
    valid = held_out_ratings(prepared, "valid")

    def judged(
        scorer: Scorer, params: Any, features: Features, prepared: Prepared
    ) -> dict[str, float]:
        users, items = prepared.strategy.gathered(scorer.vectors(params, features))
        predicted = clipped(dot_products(users, items, valid), prepared)
        return numbers_of_first(evaluate_ratings(predicted, valid.values))

    trainee = place_trainee(
        name,
        prepared,
        setup,
        data=rating_data(prepared),
        of_batch=rating_loss,
        judged=judged if len(valid) else None,
    )
    snapshot = train_model(
        trainee,
        prepared.config,
        folder=folder,
        log=log,
        resume=resume,
        profile_steps=profile_steps,
    )
    return trained(name, setup, snapshot, prepared)


def dot_products(users_UD: jax.Array, items_ID: jax.Array, pairs: Pairs) -> np.ndarray:
    """(n,) float64, what two tables of vectors say of pairs."""
    of_users, of_items = np.asarray(users_UD), np.asarray(items_ID)
    found = np.empty(len(pairs))
    for first in range(0, len(pairs), _PAIRS_AT_ONCE):
        rows = slice(first, first + _PAIRS_AT_ONCE)
        products = of_users[pairs.users[rows]] * of_items[pairs.items[rows]]
        found[rows] = products.sum(axis=1, dtype=np.float64)
    return found


def measure(
    prepared: Prepared, models: Sequence[TrainedModel], *, command: str
) -> Results:
    """Predicts the ratings of the test part, which is read here, once.

    Predictions are clipped to the range of the train ratings, those of baselines too.
    The last model is compared with all others, user by user, by squared errors.
    """
    config, dataset, split = prepared.config, prepared.dataset, prepared.split
    parts: Mapping[HeldOutPart, Pairs] = {
        part: held_out_ratings(prepared, part) for part in ("valid", "test")
    }
    judge = RatingJudge(
        pairs=parts["test"],
        history=prepared.history,
        num_items=dataset.num_items,
    )
    rows: dict[str, ModelResult] = {}
    found: dict[str, RatingJudgement] = {}

    def add(name: str, predict: Predict, **about: Any) -> None:
        predicted = {
            part: clipped(predict(pairs.users, pairs.items), prepared)
            for part, pairs in parts.items()
        }
        judged = found[name] = judge(predicted["test"])
        valid = parts["valid"]
        rows[name] = ModelResult(
            valid=evaluate_ratings(predicted["valid"], valid.values)
            if len(valid)
            else {},
            test=judged.mean,
            ci95=judged.ci95,
            slices=judged.slices,
            **about,
        )

    if config.evaluation.baselines:
        for name, baseline in tuned_rating_baselines(
            _rated(prepared),
            parts["valid"] if len(parts["valid"]) else None,
            clip=lambda predicted: clipped(predicted, prepared),
            metric=config.evaluation.metric,
            seed=config.seed,
        ).items():
            add(
                name,
                baseline.predict,
                seconds=baseline.seconds,
                baseline=True,
                budget=baseline.budget,
            )
    for model in models:
        add(
            model.name,
            predictor(model),
            seconds=model.seconds,
            budget={
                "steps": model.step,
                "best_step": model.best_step,
                "batch_size": config.train.batch_size,
            },
        )
    last = models[-1].name
    errors = {name: one.squared_errors for name, one in found.items()}
    return Results(
        protocol=Protocol(
            task="rating",
            dataset=dataset.name,
            split_name=split.name,
            filters=list(dataset.filters),
            k=[],
            masking=MASKING,
            fingerprint=split.fingerprint(
                masking=MASKING, metric=config.evaluation.metric
            ),
            split_hash=split.split_hash,
            metric=config.evaluation.metric,
        ),
        models=rows,
        environment=environment(),
        command=command,
        device=device(),
        comparisons=comparisons(last, errors, metric=COMPARED),
        per_user={
            "users": found[last].users.astype(np.int32),
            **{
                f"{name}/{COMPARED}": of.astype(np.float32)
                for name, of in errors.items()
            },
        },
    )


def predictor(model: TrainedModel) -> Predict:
    """A trained model's ratings of any pairs of the data, before they are clipped."""
    users_UD, items_ID = model.scorer.vectors(model.params, model.features)

    def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:
        pairs = Pairs(users=users, items=items, values=np.zeros(len(users)))
        return dot_products(users_UD, items_ID, pairs)

    return predict


def _rated(prepared: Prepared) -> Rated:
    """The train part, as baselines learn from it."""
    train = prepared.train
    return Rated(
        users=train.users,
        items=train.items,
        values=train.values.astype(np.float64),
        num_users=train.num_users,
        num_items=train.num_items,
    )
