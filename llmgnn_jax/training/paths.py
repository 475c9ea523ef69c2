"""The quality of each way to ask: by id, by items, by a sentence."""

import dataclasses
import logging

import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.question import Question
from llmgnn_jax.evaluation.ranking import Rankings
from llmgnn_jax.evaluation.results import PathResult
from llmgnn_jax.models.newcomers import fold_in_users
from llmgnn_jax.training.lists import (
    judge_of,
    latest_items,
    model_vectors,
    rank_vectors,
)
from llmgnn_jax.training.node_texts import encode_texts
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.trained import TrainedModel

logger = logging.getLogger(__name__)

_QUERY_TITLES = 8
# Each newcomer costs a share of a propagation over the whole graph.
_PATH_USERS = 1000


def measure_paths(
    model: TrainedModel, known: Rankings, prepared: Prepared, question: Question
) -> dict[str, PathResult]:
    """The three ways to ask, each on the same users and targets.

    A known user is asked for by id; then as if it were new, by its train items; then by
    the titles of some of them, as a sentence, without any edge.
    """
    judge = judge_of(question, prepared)
    asked = np.flatnonzero(
        (prepared.history.counts() > 0) & (question.positives.counts() > 0)
    )
    if not len(asked):
        return {}  # All who are tested on came after the train part.
    if len(asked) > _PATH_USERS:
        drawn = np.random.default_rng(0).permutation(asked)[:_PATH_USERS]
        asked = np.sort(drawn)
    metrics = judge.metrics(_only(known, asked))
    paths = {
        "user": PathResult(
            description=f"a user of the train part, by id: {_read(model, prepared)}",
            metrics=metrics.mean,
            num_users=len(metrics.users),
        )
    }
    items = model_vectors(model, prepared)[1]

    def judged(vectors: np.ndarray, description: str) -> PathResult:
        """A path whose vectors are those of `asked`, in that order."""
        users = np.zeros((prepared.dataset.num_users, vectors.shape[1]), np.float32)
        users[asked] = vectors
        rankings = _only(rank_vectors(users, items, prepared, question), asked)
        metrics = judge.metrics(rankings)
        return PathResult(
            description=description,
            metrics=metrics.mean,
            num_users=len(metrics.users),
        )

    if model.scorer.spec.uses_graph:
        histories = [prepared.history.row(user) for user in asked.tolist()]
        try:
            vectors = fold_in_users(
                model.scorer, model.params, model.features, histories=histories
            )
        except UserError as error:
            # A run without spare room is a good run that serves no newcomers.
            logger.warning("the path by items is not measured: %s", error)
        else:
            paths["items"] = judged(
                vectors,
                "the same users as newcomers, by their train items alone: no id "
                "vector, edges folded in by one propagation",
            )
    sentences = [_sentence(user, prepared) for user in asked.tolist()]
    # A table knows items by their ids alone: there is nothing to make a sentence of.
    if model.scorer.spec.uses_text and any(sentences):
        assert model.encoder is not None
        stored = encode_texts(sentences, model.encoder, label="queries")
        vectors = np.asarray(model.scorer.text_vectors(model.params, stored.vectors))
        paths["text"] = judged(
            vectors,
            f"the same users by one sentence, the titles of their last "
            f"{_QUERY_TITLES} train items: no id vector and no edge",
        )
    return paths


def _read(model: TrainedModel, prepared: Prepared) -> str:
    """What a model takes of a user that it knows, in words."""
    spec, profiles = model.scorer.spec, prepared.train.user_texts or ()
    read = ["trained id vector, propagated"] * spec.uses_graph
    if spec.uses_text and any(map(str.strip, profiles)):
        read.append("the text of the profile, or else of the history")
    elif spec.uses_text:
        read.append("the text of the history")
    return ", and ".join(read)


def _only(rankings: Rankings, asked: np.ndarray) -> Rankings:
    """The rows of some users of a ranking of all."""
    return dataclasses.replace(
        rankings, items=rankings.items[asked], users=rankings.users[asked]
    )


def _sentence(user: int, prepared: Prepared) -> str:
    """What someone with this history might type: its latest titles."""
    titles = prepared.dataset.item_titles
    latest = latest_items(user, prepared)[:_QUERY_TITLES]
    return ", ".join(titles[item] for item in latest if titles[item])
