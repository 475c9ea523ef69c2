"""A model's vectors as lists, for what a run is measured by."""

from collections.abc import Callable

import numpy as np

from llmgnn_jax.evaluation.baselines import Baseline
from llmgnn_jax.evaluation.judgement import Judge
from llmgnn_jax.evaluation.places import ranked_with_places
from llmgnn_jax.evaluation.question import Question
from llmgnn_jax.evaluation.ranker import rank_factors
from llmgnn_jax.evaluation.ranking import Rankings, rank
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.trained import TrainedModel

EXAMPLE_ITEMS = 10
"""Places of the lists that are shown."""


def model_vectors(
    model: TrainedModel, prepared: Prepared
) -> tuple[np.ndarray, np.ndarray]:
    """(num_users, D') and (num_items, D') without the spare slots."""
    users, items = model.scorer.vectors(model.params, model.features)
    dataset = prepared.dataset
    return np.asarray(users[: dataset.num_users]), np.asarray(
        items[: dataset.num_items]
    )


def rank_vectors(
    users: np.ndarray, items: np.ndarray, prepared: Prepared, question: Question
) -> Rankings:
    """All users' lists, by inner products."""

    def ranked(candidates: np.ndarray | None) -> Rankings:
        return rank_factors(
            users,
            items,
            seen=question.seen,
            k=_length(prepared),
            candidates=candidates,
            memory_limit_mb=prepared.config.evaluation.memory_limit_mb,
        )

    return answered(ranked, question, prepared)


def rank_baseline(
    baseline: Baseline, prepared: Prepared, question: Question
) -> Rankings:
    """All users' lists."""
    dataset = prepared.dataset

    def ranked(candidates: np.ndarray | None) -> Rankings:
        return rank(
            baseline.score_chunk,
            baseline.data,
            num_users=dataset.num_users,
            num_items=dataset.num_items,
            seen=question.seen,
            k=_length(prepared),
            candidates=candidates,
            memory_limit_mb=prepared.config.evaluation.memory_limit_mb,
        )

    return answered(ranked, question, prepared)


def answered(
    ranked: Callable[[np.ndarray | None], Rankings],
    question: Question,
    prepared: Prepared,
) -> Rankings:
    """Lists of what is asked for, with places for what is new, if any are kept.

    Args:
        ranked: Lists of some candidates.
        question: What is asked for.
        prepared: The run.
    """
    return ranked_with_places(
        ranked,
        candidates=question.candidates,
        new=question.new,
        places=prepared.config.evaluation.new_places,
    )


def judge_of(question: Question, prepared: Prepared) -> Judge:
    """Who reads the lists that were asked for."""
    return Judge(
        positives=question.positives,
        history=prepared.history,
        num_items=prepared.dataset.num_items,
        ks=prepared.config.evaluation.ks,
        candidates=question.candidates,
    )


def latest_items(user: int, prepared: Prepared) -> list[int]:
    """A user's train items, the latest first."""
    train = prepared.train
    rows = np.flatnonzero(train.users == user)
    latest = rows[np.argsort(train.timestamps[rows], kind="stable")][::-1]
    items: list[int] = train.items[latest].tolist()
    return items


def _length(prepared: Prepared) -> int:
    return max(*prepared.config.evaluation.ks, EXAMPLE_ITEMS)
