"""What a run is judged by: models, baselines, paths and examples, on the test part."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence

import numpy as np

from llmgnn_jax.data.dataset import Csr
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.baselines import Baseline, popularity, tuned_baselines
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.metrics import Metrics, evaluate_rankings
from llmgnn_jax.evaluation.ranking import Rankings, rank, rank_factors
from llmgnn_jax.evaluation.results import (
    Example,
    ModelResult,
    PathResult,
    Protocol,
    Recommendation,
    Results,
)
from llmgnn_jax.models.newcomers import fold_in_users
from llmgnn_jax.training.prepare import Prepared, encode_texts
from llmgnn_jax.training.trained import TrainedModel

logger = logging.getLogger(__name__)

MASKING = "train+valid"

_EXAMPLES = 3
_EXAMPLE_HISTORY = 6
_EXAMPLE_ITEMS = 10
_EXAMPLE_TARGETS = 5
_QUERY_TITLES = 8
# Each newcomer costs a share of a propagation over the whole graph.
_PATH_USERS = 1000


def measure(
    prepared: Prepared, models: Sequence[TrainedModel], *, command: str
) -> Results:
    """Ranks the whole catalogue for every user and reads the test part, once.

    Train items are masked at validation, train and validation items at test. Without a
    validation part `valid` is empty. The last model is the one that recommends: its
    three paths are measured too.
    """
    config, dataset, split = prepared.config, prepared.dataset, prepared.split
    test, seen = split.held_out("test"), split.seen("test")
    rows: dict[str, ModelResult] = {}
    lists: dict[str, Rankings] = {}
    if config.evaluation.baselines:
        for name, baseline in _baselines(prepared).items():
            lists[name] = _rank_baseline(baseline, prepared, seen)
            rows[name] = ModelResult(
                valid=_on_valid(
                    functools.partial(_rank_baseline, baseline, prepared), prepared
                ),
                test=_judge(lists[name], test, prepared).mean,
                seconds=baseline.seconds,
                baseline=True,
                budget=baseline.budget,
            )
    for model in models:
        users, items = _vectors(model, prepared)
        lists[model.name] = _rank(users, items, prepared, seen)
        rows[model.name] = ModelResult(
            valid=_on_valid(functools.partial(_rank, users, items, prepared), prepared),
            test=_judge(lists[model.name], test, prepared).mean,
            seconds=model.seconds,
            budget={
                "steps": model.step,
                "best_step": model.best_step,
                "batch_size": config.train.batch_size,
            },
        )
    metric = config.evaluation.metric
    return Results(
        protocol=Protocol(
            task="ranking",
            dataset=dataset.name,
            split_name=split.name,
            filters=list(dataset.filters),
            k=list(config.evaluation.ks),
            masking=MASKING,
            fingerprint=split.fingerprint(masking=MASKING, metric=metric),
            split_hash=split.split_hash,
        ),
        models=rows,
        environment=environment(),
        command=command,
        device=device(),
        paths=_measure_paths(models[-1], lists[models[-1].name], prepared, seen, test),
        examples=_examples([model.name for model in models], lists, prepared, test),
    )


def _baselines(prepared: Prepared) -> dict[str, Baseline]:
    """Tuned on the validation part; where there is none, the one that needs none."""
    evaluation, num_items = prepared.config.evaluation, prepared.dataset.num_items
    if not prepared.valid.nnz:
        logger.warning("tuned baselines left out: there is nothing to tune them on")
        return {"popularity": popularity(prepared.history, num_items)}
    text = prepared.features.text
    return tuned_baselines(
        prepared.history,
        prepared.valid,
        num_items=num_items,
        item_vectors=None if text is None else np.asarray(text.item_IT)[:num_items],
        metric=evaluation.metric,
        memory_limit_mb=evaluation.memory_limit_mb,
        backend=prepared.backend,
    )


def _vectors(model: TrainedModel, prepared: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """(num_users, D') and (num_items, D') without the spare slots."""
    users, items = model.scorer.vectors(model.params, model.features)
    dataset = prepared.dataset
    return np.asarray(users[: dataset.num_users]), np.asarray(
        items[: dataset.num_items]
    )


def _rank(
    users: np.ndarray, items: np.ndarray, prepared: Prepared, seen: Csr
) -> Rankings:
    evaluation = prepared.config.evaluation
    return rank_factors(
        users,
        items,
        seen=seen,
        k=max(*evaluation.ks, _EXAMPLE_ITEMS),
        memory_limit_mb=evaluation.memory_limit_mb,
    )


def _rank_baseline(baseline: Baseline, prepared: Prepared, seen: Csr) -> Rankings:
    evaluation, dataset = prepared.config.evaluation, prepared.dataset
    return rank(
        baseline.score_chunk,
        baseline.data,
        num_users=dataset.num_users,
        num_items=dataset.num_items,
        seen=seen,
        k=max(*evaluation.ks, _EXAMPLE_ITEMS),
        memory_limit_mb=evaluation.memory_limit_mb,
    )


def _judge(rankings: Rankings, positives: Csr, prepared: Prepared) -> Metrics:
    return evaluate_rankings(
        rankings.items,
        rankings.users,
        positives,
        ks=prepared.config.evaluation.ks,
        num_items=prepared.dataset.num_items,
    )


def _on_valid(
    ranked: Callable[[Csr], Rankings], prepared: Prepared
) -> dict[str, float]:
    """Metrics on the validation part, train items masked; none where there is none."""
    if not prepared.valid.nnz:
        return {}
    return _judge(ranked(prepared.history), prepared.valid, prepared).mean


def _measure_paths(
    model: TrainedModel, known: Rankings, prepared: Prepared, seen: Csr, test: Csr
) -> dict[str, PathResult]:
    """The three ways to ask, each on the same users and targets.

    A known user is asked for by id; then as if it were new, by its train items; then by
    the titles of some of them, as a sentence, without any edge.
    """
    asked = np.flatnonzero((prepared.history.counts() > 0) & (test.counts() > 0))
    if not len(asked):
        return {}  # All who are tested on came after the train part.
    if len(asked) > _PATH_USERS:
        drawn = np.random.default_rng(0).permutation(asked)[:_PATH_USERS]
        asked = np.sort(drawn)
    metrics = _judge(_only(known, asked), test, prepared)
    paths = {
        "user": PathResult(
            description="a user of the train part, by id: trained id vector, "
            "propagated, and the text of the history",
            metrics=metrics.mean,
            num_users=len(metrics.users),
        )
    }
    items = _vectors(model, prepared)[1]

    def judged(vectors: np.ndarray, description: str) -> PathResult:
        """A path whose vectors are those of `asked`, in that order."""
        users = np.zeros((prepared.dataset.num_users, vectors.shape[1]), np.float32)
        users[asked] = vectors
        rankings = _only(_rank(users, items, prepared, seen), asked)
        metrics = _judge(rankings, test, prepared)
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
    if model.scorer.spec.uses_text:
        assert model.encoder is not None
        sentences = [_sentence(user, prepared) for user in asked.tolist()]
        stored = encode_texts(sentences, model.encoder, label="queries")
        vectors = np.asarray(model.scorer.text_vectors(model.params, stored.vectors))
        paths["text"] = judged(
            vectors,
            f"the same users by one sentence, the titles of their last "
            f"{_QUERY_TITLES} train items: no id vector and no edge",
        )
    return paths


def _only(rankings: Rankings, asked: np.ndarray) -> Rankings:
    """The rows of some users of a ranking of all."""
    return dataclasses.replace(
        rankings, items=rankings.items[asked], users=rankings.users[asked]
    )


def _sentence(user: int, prepared: Prepared) -> str:
    """What someone with this history might type: its latest titles."""
    titles = prepared.dataset.item_titles
    return ", ".join(titles[i] for i in _latest(user, prepared)[:_QUERY_TITLES])


def _latest(user: int, prepared: Prepared) -> np.ndarray:
    """A user's train items, the latest first."""
    train = prepared.train
    rows = np.flatnonzero(train.users == user)
    return train.items[rows[np.argsort(train.timestamps[rows], kind="stable")][::-1]]


def _examples(
    names: Sequence[str],
    lists: dict[str, Rankings],
    prepared: Prepared,
    test: Csr,
) -> list[Example]:
    """A few users with their latest train items; told by a letter, not by their id."""
    titles = prepared.dataset.item_titles
    # A list can only show hits where there are some: five, or as many as anyone has.
    counts = test.counts()
    with_targets = np.flatnonzero(counts >= np.clip(counts.max(), 1, _EXAMPLE_TARGETS))
    chosen = np.random.default_rng(0).permutation(with_targets)[:_EXAMPLES]
    examples = []
    for number, user in enumerate(chosen.tolist()):
        targets = set(test.row(user).tolist())
        examples.append(
            Example(
                label=f"User {chr(ord('A') + number)}",
                history=[
                    titles[item] for item in _latest(user, prepared)[:_EXAMPLE_HISTORY]
                ],
                recommendations={
                    name: [
                        Recommendation(
                            rank=rank_ + 1,
                            title=titles[item],
                            score=float(score),
                            hit=item in targets,
                        )
                        for rank_, (item, score) in enumerate(
                            zip(
                                lists[name].items[user, :_EXAMPLE_ITEMS].tolist(),
                                lists[name].scores[user, :_EXAMPLE_ITEMS].tolist(),
                                strict=True,
                            )
                        )
                        if item >= 0
                    ]
                    for name in names
                },
            )
        )
    return examples
