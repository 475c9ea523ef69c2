"""A recommender as the training loop sees it: its program, and its data in place."""

import dataclasses
from collections.abc import Callable
from typing import Any

from llmgnn_jax.config import ModelName
from llmgnn_jax.models.features import Features
from llmgnn_jax.models.scoring import Scorer
from llmgnn_jax.training.loop import Trainee
from llmgnn_jax.training.prepare import Prepared
from llmgnn_jax.training.state import split_params
from llmgnn_jax.training.step import BatchLoss, build_program
from llmgnn_jax.training.trained import Setup

# (scorer, the model's parameters, what it reads, the run's data) -> METRIC -> value.
Judged = Callable[[Scorer, Any, Features, Prepared], dict[str, float]]


def place_trainee(
    name: ModelName,
    prepared: Prepared,
    setup: Setup,
    *,
    data: Any,
    judged: Judged | None,
    of_batch: BatchLoss | None = None,
) -> Trainee:
    """Lays a model and what its steps read over the devices.

    Args:
        name: Which model.
        prepared: The run's data.
        setup: The model before its first step.
        data: What steps read, a dataclass with `features` and `encoder`, which are set
            here; its arrays may still be on the host.
        judged: Measures on the validation part; None where there is none.
        of_batch: The loss of a step, as of `build_program`.
    """
    config, strategy, text = prepared.config, prepared.strategy, setup.text
    scorer = Scorer(setup.definition, setup.spec, strategy.placement)
    graph = strategy.place(strategy.share_graph(prepared.graph))
    # Validation hears all neighbours, whatever steps do.
    of_steps = graph
    if config.graph.fanouts:
        of_steps = strategy.place(strategy.share_graph(prepared.graph, sampled=True))

    def placed(features: Features) -> Features:
        return Features(
            graph=graph,
            text=strategy.place(features.text),
            filter=strategy.place(features.filter),
        )

    stored = placed(prepared.features)

    def features_of(params: Any) -> Features:
        """What the model reads with these parameters."""
        if text is None:
            return stored
        of_encoder = strategy.gathered(split_params(params)[1])
        return placed(text.features(text.encoder(of_encoder, prepared), prepared))

    def on_valid(params: Any, features: Features) -> dict[str, float]:
        assert judged is not None
        model_params, _ = split_params(params)
        return judged(scorer, model_params, features, prepared)

    reads_stored = setup.spec.uses_text and text is None
    data = dataclasses.replace(
        data,
        features=Features(graph=of_steps, text=stored.text if reads_stored else None),
        encoder=None if text is None else text.inputs,
    )
    return Trainee(
        name=name,
        program=build_program(
            setup.definition,
            setup.optimizer,
            config,
            of_batch=of_batch,
            encoder=None if text is None else text.spec,
            strategy=strategy,
            state=setup.snapshot.state,
        ),
        data=strategy.place(data),
        start=setup.snapshot,
        features=features_of,
        validate=None if judged is None else on_valid,
        examples_per_step=config.train.batch_size,
        tokens_per_step=0.0 if text is None else text.tokens_per_step,
        refreshes=text is not None,
    )
