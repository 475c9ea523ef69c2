"""A whole run: prepare, train each model, evaluate, write results and report."""

import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmgnn_jax.config import Config
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.report import write_report
from llmgnn_jax.evaluation.results import write_results
from llmgnn_jax.training.loop import fit_model
from llmgnn_jax.training.measure import measure
from llmgnn_jax.training.prepare import Prepared, prepare
from llmgnn_jax.training.reporting import MetricsLog, require_tensorboard
from llmgnn_jax.training.run_folder import RunFolder, check_split, read_config
from llmgnn_jax.training.trained import TrainedModel, load_trained

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """A finished run.

    Attributes:
        folder: The run folder.
        results: The document in its `results.json`.
    """

    folder: Path
    results: Mapping[str, Any]


def fit(
    config: Config,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    profile_steps: int = 0,
    tensorboard: bool = False,
    command: str | None = None,
) -> Run:
    """Trains, evaluates and reports what a configuration asks for.

    Nothing is written before the data, the split and the encoder are known to be good;
    text vectors go to the cache. The test part is read once, at the end.

    Args:
        config: The run.
        out: Its folder; by default `runs/<recipe>/<time>`.
        resume: Go on from the newest checkpoints of that folder; by default of the
            newest folder of the recipe.
        overwrite: Remove what the folder holds.
        profile_steps: Steps to trace with `jax.profiler`, into `profile/`; of the last
            model.
        tensorboard: Write TensorBoard events too, into `events/`.
        command: What was typed, for `results.json`.

    Raises:
        UserError: For whatever the user can mend.
    """
    folder = RunFolder.choose(config, out=out, resume=resume, overwrite=overwrite)
    if tensorboard:
        require_tensorboard()
    prepared = prepare(folder.agreed(config))
    path = folder.claim(prepared.config, split_hash=prepared.split.split_hash)
    log = MetricsLog(
        path / "metrics.jsonl", events=path / "events" if tensorboard else None
    )
    if prepared.encoded is not None and prepared.encoded.encoded:
        encoded = prepared.encoded
        log.write(
            model="encoder",
            step=0,
            texts=encoded.encoded,
            tokens_per_s=round(encoded.tokens / encoded.seconds, 1),
        )
    models = [
        fit_model(
            name,
            prepared,
            folder=path,
            log=log,
            resume=resume,
            profile_steps=profile_steps if name == config.models[-1] else 0,
        )
        for name in config.models
    ]
    return _report(path, prepared, models, command)


def evaluate(run: str | Path, *, command: str | None = None) -> Run:
    """Measures a run's models from their newest checkpoints, without training.

    Rewrites `results.json` and `report.html`.

    Raises:
        UserError: If the folder is no run or lacks a checkpoint.
    """
    path = Path(run).expanduser()
    prepared = prepare(read_config(path))
    check_split(path, prepared.config, split_hash=prepared.split.split_hash)
    models = [
        load_trained(name, prepared, folder=path) for name in prepared.config.models
    ]
    return _report(path, prepared, models, command)


def _report(
    path: Path,
    prepared: Prepared,
    models: Sequence[TrainedModel],
    command: str | None,
) -> Run:
    if command is None:
        # The script's name without its folder: results are meant to be shared.
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    results = measure(prepared, models, command=command)
    try:
        write_results(path, results)
        write_report(path)
    except OSError as error:
        raise UserError.field(
            str(path),
            expected="a folder that can be written",
            got=error.strerror or error,
            fix="mend that, then `llmgnn evaluate` writes results and report",
        ) from error
    return Run(folder=path, results=results.document())
