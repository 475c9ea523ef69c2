"""What a run is judged by: models, baselines, paths and examples, on the test part."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from llmgnn_jax.evaluation.baselines import GRIDS, Baseline, tuned_baselines
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.judgement import Judge, Judgement, comparisons
from llmgnn_jax.evaluation.question import (
    Question,
    kinds,
    question_of,
    ranked_items,
)
from llmgnn_jax.evaluation.ranking import Rankings
from llmgnn_jax.evaluation.results import ModelResult, Protocol, Results
from llmgnn_jax.training.examples import examples_of
from llmgnn_jax.training.explained import explained
from llmgnn_jax.training.lists import (
    judge_of,
    model_vectors,
    rank_baseline,
    rank_vectors,
)
from llmgnn_jax.training.paths import measure_paths
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.run_split import warn_of_repeats
from llmgnn_jax.training.trained import TrainedModel, TunedModel

logger = logging.getLogger(__name__)

MASKING = "train+valid"

Ranked = Callable[[Question], Rankings]
"""A model's lists, as they are asked for."""


def measure(
    prepared: Prepared,
    models: Sequence[TrainedModel],
    *,
    command: str,
    tuned: Mapping[str, TunedModel] = MappingProxyType({}),
    vectors: Mapping[str, tuple[np.ndarray, np.ndarray]] = MappingProxyType({}),
    show_ids: bool = False,
) -> Results:
    """Ranks the whole catalogue for every user and reads the test part, once.

    Train items are masked at validation, train and validation items at test. Without a
    validation part `valid` is empty. The last model is the one that recommends: its
    three paths are measured too, and it is compared with all others user by user.
    Trained baselines, `tuned` by name, stand beside those of the configuration, and so
    do `vectors` by name, (num_users, D') and (num_items, D'), which are ranked by. The
    users of the examples are named only with `show_ids`.
    """
    config, dataset, split = prepared.config, prepared.dataset, prepared.split
    on_test = question_of(split, "test")
    warn_of_repeats(split, "test", on_test.positives)
    judge = judge_of(on_test, prepared)
    of_each_kind = kinds(on_test, split, "test")
    rows: dict[str, ModelResult] = {}
    lists: dict[str, Rankings] = {}
    judged: dict[str, Judgement] = {}

    def add(name: str, ranked: Ranked, **about: Any) -> None:
        lists[name] = ranked(on_test)
        judged[name] = judge(lists[name])
        rows[name] = judged[name].result(
            valid=_on_valid(ranked, prepared),
            kinds={
                kind: _alone_and_together(asked, ranked, lists[name], judge, prepared)
                for kind, asked in of_each_kind.items()
            },
            **about,
        )

    if config.evaluation.baselines:
        for name, baseline in _baselines(prepared).items():
            add(
                name,
                functools.partial(rank_baseline, baseline, prepared),
                seconds=baseline.seconds,
                baseline=True,
                budget=baseline.budget,
            )
    for name, one in tuned.items():
        add(
            name,
            functools.partial(
                rank_vectors, *model_vectors(one.model, prepared), prepared
            ),
            seconds=one.seconds,
            baseline=True,
            budget=one.budget,
        )
    for name, given in vectors.items():
        add(
            name,
            functools.partial(rank_vectors, *given, prepared),
            seconds=0.0,
            baseline=True,
            budget={},
        )
    for model in models:
        add(
            model.name,
            functools.partial(rank_vectors, *model_vectors(model, prepared), prepared),
            seconds=model.seconds,
            budget={
                "steps": model.step,
                "best_step": model.best_step,
                "batch_size": config.train.batch_size,
            },
        )
    metric, last = config.evaluation.metric, models[-1]
    values = {name: one.per_user[metric] for name, one in judged.items()}
    return Results(
        protocol=Protocol(
            task="ranking",
            dataset=dataset.name,
            split_name=split.name,
            filters=list(dataset.filters),
            k=list(config.evaluation.ks),
            masking=MASKING,
            candidates=ranked_items(on_test, split, "test"),
            fingerprint=split.fingerprint(masking=MASKING, metric=metric),
            split_hash=split.split_hash,
            metric=config.evaluation.metric,
        ),
        models=rows,
        environment=environment(),
        command=command,
        device=device(),
        paths=measure_paths(last, lists[last.name], prepared, on_test),
        examples=examples_of(
            [model.name for model in models],
            lists,
            prepared,
            on_test.positives,
            explain=functools.partial(explained, last, prepared, show_ids),
            show_ids=show_ids,
        ),
        comparisons=comparisons(last.name, values, metric=metric),
        per_user={
            "users": judged[last.name].users.astype(np.int32),
            **{
                f"{name}/{metric}": of.astype(np.float32) for name, of in values.items()
            },
        },
    )


def _baselines(prepared: Prepared) -> dict[str, Baseline]:
    """Tuned on the validation part; where there is none, those that need none."""
    config, num_items = prepared.config, prepared.dataset.num_items
    tie_seed = None if prepared.split.cold is None else config.seed
    grids = GRIDS
    if not prepared.on_valid.positives.nnz:
        logger.warning("tuned baselines left out: there is nothing to tune them on")
        grids = {}
    text = prepared.features.text
    return tuned_baselines(
        prepared.history,
        prepared.on_valid.positives,
        num_items=num_items,
        candidates=prepared.on_valid.candidates,
        item_vectors=None if text is None else np.asarray(text.item_IT)[:num_items],
        metric=config.evaluation.metric,
        grids=grids,
        memory_limit_mb=config.evaluation.memory_limit_mb,
        backend=prepared.backend,
        tie_seed=tie_seed,
        people=prepared.train.people,
    )


def _on_valid(ranked: Ranked, prepared: Prepared) -> dict[str, float]:
    """Metrics on the validation part, train items masked; none where there is none."""
    question = prepared.on_valid
    if not question.positives.nnz:
        return {}
    return judge_of(question, prepared).metrics(ranked(question)).mean


def _alone_and_together(
    kind: Question, ranked: Ranked, together: Rankings, judge: Judge, prepared: Prepared
) -> dict[str, Any]:
    """Pairs of a kind, found among its own items alone, and in the lists of all."""
    alone = judge_of(kind, prepared).metrics(ranked(kind))
    of_kind = dataclasses.replace(judge, positives=kind.positives)
    return {
        "users": len(alone.users),
        "alone": alone.mean,
        "together": of_kind.metrics(together).mean,
    }
