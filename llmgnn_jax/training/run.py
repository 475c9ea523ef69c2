"""A whole run of any task: prepare, train each model, evaluate, write results."""

import logging
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jax

from llmgnn_jax.assets.bucket import is_url, reaching, run_path
from llmgnn_jax.config import Config, TaskName, replace
from llmgnn_jax.data.memory import Held, source_of
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.report import write_report
from llmgnn_jax.evaluation.results import Results, write_results
from llmgnn_jax.parallel import processes
from llmgnn_jax.training import node_classification, ranking, rating
from llmgnn_jax.training.reporting import MetricsLog, require_tensorboard
from llmgnn_jax.training.run_folder import (
    RunFolder,
    check_source,
    check_split,
    on_one_device,
    read_config,
)

logger = logging.getLogger(__name__)


class Task(Protocol):
    """What a run asks of its task: a module with these functions.

    What `prepare` gives has `config`, with `auto` replaced by what it chose,
    `data_hash`, and `records()` for `metrics.jsonl`.
    """

    @property
    def prepare(self) -> Callable[..., Any]:
        """`prepare(config, dataset=)`: reads, splits, builds; writes into no run."""

    @property
    def fit_model(self) -> Callable[..., Any]:
        """`fit_model(name, prepared, folder=, log=, resume=, profile_steps=)`."""

    @property
    def load_trained(self) -> Callable[..., Any]:
        """`load_trained(name, prepared, folder=)`, from the newest checkpoint."""

    @property
    def measure(self) -> Callable[..., Results]:
        """`measure(prepared, models, command=)`, the only reader of the test part.

        That of ranking takes `show_ids=` too.
        """


TASKS: Mapping[TaskName, Task] = {
    "ranking": ranking,
    "rating": rating,
    "node_classification": node_classification,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """A finished run.

    Attributes:
        folder: The run folder.
        results: The document in its `results.json`; None in processes that are not the
            first of a run.
    """

    folder: Path
    results: Mapping[str, Any] | None


def fit(
    config: Config,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    profile_steps: int = 0,
    tensorboard: bool = False,
    show_ids: bool = False,
    command: str | None = None,
    dataset: Held | None = None,
) -> Run:
    """Trains, evaluates and reports what a configuration asks for.

    Nothing is written before the data, the split and the encoder are known to be good;
    text vectors go to the cache. The test part is read once, at the end.

    Args:
        config: The run.
        out: Its folder, or a bucket's URL; by default `runs/<recipe>/<time>`.
        resume: Go on from the newest checkpoints of that folder; by default of the
            newest folder of the recipe.
        overwrite: Remove what the folder holds.
        profile_steps: Steps to trace with `jax.profiler`, into `profile/`; of the last
            model.
        tensorboard: Write TensorBoard events too, into `events/`.
        show_ids: Name the users of the examples in results and report by their ids.
        command: What was typed, for `results.json`.
        dataset: What is learned from, in place of `data.source`: interactions, or nodes
            for the task node_classification. The run keeps its name and the hash of its
            content, not the data: whoever resumes, evaluates or loads it gives them
            again.

    Raises:
        UserError: For whatever the user can mend.
    """
    if dataset is not None:
        config = replace(config, **{"data.source": source_of(dataset)})
    if jax.process_count() > 1:
        _check_shared(config, out)
    folder = RunFolder.choose(config, out=out, resume=resume, overwrite=overwrite)
    _check_local(folder.path, profile_steps=profile_steps, tensorboard=tensorboard)
    if tensorboard:
        require_tensorboard()
    _check_ids(config, show_ids)
    config = folder.agreed(config)
    task = TASKS[config.task]
    prepared = task.prepare(config, dataset=dataset)
    # All have looked at the folder before the first one writes there.
    processes.meet("folder chosen")
    path = folder.path
    if processes.is_first():
        folder.claim(prepared.config, data_hash=prepared.data_hash)
    processes.meet("folder claimed")
    log = MetricsLog(
        path / "metrics.jsonl",
        events=path / "events" if tensorboard else None,
        silent=not processes.is_first(),
    )
    for record in prepared.records():
        log.write(**record)
    models = [
        task.fit_model(
            name,
            prepared,
            folder=path,
            log=log,
            resume=resume,
            profile_steps=profile_steps if name == config.models[-1] else 0,
        )
        for name in config.models
    ]
    if not processes.is_first():
        return Run(folder=path, results=None)
    return _report(path, task, prepared, models, command, show_ids)


def _check_ids(config: Config, show_ids: bool) -> None:
    if show_ids and config.task != "ranking":
        raise UserError.field(
            "--show-ids", expected="a run that ranks items for users", got=config.task
        )


def _check_shared(config: Config, out: str | Path | None) -> None:
    """What several processes can do together."""
    if config.task != "ranking":
        raise UserError.field(
            "task", expected="ranking in several processes", got=config.task
        )
    if out is None:
        raise UserError.field(
            "--out",
            expected="a folder that all processes see, where there are several",
            got="none",
            fix="name one on a shared file system, or a bucket's gs:// URL",
        )


def _check_local(path: Path, *, profile_steps: int, tensorboard: bool) -> None:
    """What writes files of its own does so on this machine alone."""
    for option, asked in (("--profile", profile_steps), ("--tensorboard", tensorboard)):
        if asked and is_url(path):
            raise UserError.field(
                option,
                expected="an --out on this machine",
                got=str(path),
                fix="leave it, or train in a folder",
            )


def evaluate(
    run: str | Path,
    *,
    show_ids: bool = False,
    command: str | None = None,
    dataset: Held | None = None,
) -> Run:
    """Measures a run's models from their newest checkpoints, without training.

    Rewrites `results.json` and `report.html`; the other arguments as for `fit`.

    Raises:
        UserError: If the folder is no run or lacks a checkpoint.
    """
    path = run_path(run)
    config = on_one_device(read_config(path))
    _check_ids(config, show_ids)
    task = TASKS[config.task]
    check_source(path, config)
    prepared = task.prepare(config, dataset=dataset)
    check_split(path, prepared.config, data_hash=prepared.data_hash)
    models = [
        task.load_trained(name, prepared, folder=path)
        for name in prepared.config.models
    ]
    return _report(path, task, prepared, models, command, show_ids)


def _report(
    path: Path,
    task: Task,
    prepared: Any,
    models: Sequence[Any],
    command: str | None,
    show_ids: bool,
) -> Run:
    if command is None:
        # The script's name without its folder: results are meant to be shared.
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    # Of the tasks only that of ranking has users to name.
    named = {"show_ids": True} if show_ids else {}
    results = task.measure(prepared, models, command=command, **named)
    try:
        with reaching(path):
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
