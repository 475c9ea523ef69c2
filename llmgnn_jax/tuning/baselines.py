"""Baselines that are trained, each tuned on valid by as many trials."""

import dataclasses
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from llmgnn_jax.config import Config, replace
from llmgnn_jax.data.splits import TuningSplit
from llmgnn_jax.training.node_texts import node_texts
from llmgnn_jax.training.prepare import prepare_split
from llmgnn_jax.training.ranking import fit_model
from llmgnn_jax.training.run_split import read_split
from llmgnn_jax.training.trained import TunedModel
from llmgnn_jax.tuning.named import SPACES
from llmgnn_jax.tuning.random_search import search

logger = logging.getLogger(__name__)

BASELINES = ("bpr_mf", "lightgcn", "two_tower")
"""Matrix factorisation, LightGCN, and a projection of texts for each side."""


def trained_baselines(
    config: Config,
    *,
    trials: int = 8,
    seed: int = 0,
    folder: str | Path | None = None,
    names: Sequence[str] = BASELINES,
    more_steps: int = 5,
) -> dict[str, TunedModel]:
    """Name -> a baseline trained on train, with what was chosen on valid.

    The data, the split and the metric are the configuration's. The test part is out of
    reach: whoever ranks for it does so with what comes back.

    Args:
        config: Of the run that they stand beside.
        trials: Of each; as many as the other baselines have.
        seed: Of the searches.
        folder: Finished trials are kept there, NAME.jsonl; None keeps none.
        names: Which of `SPACES`. Those of texts are left out where there are none.
        more_steps: How many times the configuration's steps and patience a baseline
            has: from pairs, or the items of a batch, less is learned in a step than
            from all items at once.

    Raises:
        UserError: As `search`.
    """
    longer = {
        name: more_steps * getattr(config.train, name) for name in ("steps", "patience")
    }
    config = replace(config, train=dataclasses.replace(config.train, **longer))
    config, everything = read_split(config)
    split = everything.without_test()
    del everything
    found = {}
    for name in names:
        if SPACES[name].model != "graph" and not _has_texts(split):
            logger.warning("%s left out: the data have no texts", name)
            continue
        file = None if folder is None else Path(folder) / f"{name}.jsonl"
        found[name] = _tuned(name, config, split, trials=trials, seed=seed, file=file)
    return found


def _tuned(
    name: str,
    config: Config,
    split: TuningSplit,
    *,
    trials: int,
    seed: int,
    file: Path | None,
) -> TunedModel:
    logger.info("%s: %d trials", name, trials)
    model = SPACES[name].model
    found = search(
        config,
        space=SPACES[name].space,
        model=model,
        trials=trials,
        seed=seed,
        file=file,
        split=split,
    )
    prepared = prepare_split(replace(found.config, **found.settled), split)
    with tempfile.TemporaryDirectory() as run:
        trained = fit_model(model, prepared, folder=Path(run))
    return TunedModel(
        model=trained,
        budget=found.budget,
        seconds=found.budget["seconds"] + trained.seconds,
    )


def _has_texts(split: TuningSplit) -> bool:
    return any(map(str.strip, node_texts(split.training())))
