"""A run beside baselines that are trained: what benchmarks of quality measure."""

import tempfile
from pathlib import Path

from llmgnn_jax.config import Config
from llmgnn_jax.evaluation.results import Results
from llmgnn_jax.training.measure import measure
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.ranking import fit_model
from llmgnn_jax.tuning import trained_baselines


def measured(
    config: Config, *, trials: int, command: str, folder: Path | None = None
) -> Results:
    """Trains a configuration's models, and each trained baseline as valid tunes it.

    Args:
        config: Of the run.
        trials: Of each trained baseline.
        command: For the results.
        folder: Where finished trials are kept, so that the same call goes on; None
            keeps none.
    """
    tuned = trained_baselines(config, trials=trials, seed=config.seed, folder=folder)
    prepared = prepare(config)
    with tempfile.TemporaryDirectory() as run:
        models = [fit_model(name, prepared, folder=Path(run)) for name in config.models]
    return measure(prepared, models, command=command, tuned=tuned)
