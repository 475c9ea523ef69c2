"""The training loop of one model of any task, readable from top to bottom."""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.config import Config
from llmgnn_jax.evaluation.direction import as_gain
from llmgnn_jax.parallel.processes import any_of_them
from llmgnn_jax.training.checkpoint import CheckpointFolder
from llmgnn_jax.training.divergence import check_finite, diverged
from llmgnn_jax.training.preemption import Preempted, told_to_stop
from llmgnn_jax.training.program import Program
from llmgnn_jax.training.reporting import MetricsLog, peak_memory_mb, progress
from llmgnn_jax.training.snapshot import Progress, Snapshot
from llmgnn_jax.training.state import copy_params
from llmgnn_jax.training.trace import Trace

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trainee:
    """A model as the loop sees it.

    Attributes:
        name: What its checkpoints and its lines in the log are called.
        program: Runs its steps.
        data: What they read, on the device.
        start: The state before the first one; also the template of its checkpoints.
        features: Parameters -> what the model reads with them.
        validate: (parameters, features) -> METRIC -> value on the validation part; None
            where there is none, and the newest parameters are the best.
        examples_per_step: For the log.
        tokens_per_step: About how many tokens a step encodes, for the log.
        refreshes: Whether the state holds text vectors, which are then encoded anew
            every `text.refresh_every` steps.
    """

    name: str
    program: Program
    data: Any
    start: Snapshot
    features: Callable[[Any], Any]
    validate: Callable[[Any, Any], Mapping[str, float]] | None
    examples_per_step: int
    tokens_per_step: float = 0.0
    refreshes: bool = False


def train_model(
    trainee: Trainee,
    config: Config,
    *,
    folder: Path,
    log: MetricsLog | None = None,
    resume: bool = False,
    profile_steps: int = 0,
) -> Snapshot:
    """Trains until `train.steps` or early stopping.

    Args:
        trainee: The model and its data.
        config: Of the run.
        folder: The run folder: `metrics.jsonl`, `checkpoints/<name>`, `profile/`.
        log: Where metrics go; by default to `metrics.jsonl` alone.
        resume: Whether to go on from the newest checkpoint, where there is one.
        profile_steps: Steps to trace with `jax.profiler`, after the first.

    Returns:
        How it ended.

    Raises:
        TrainingDiverged: If a step's loss is not finite.
        Preempted: If SIGTERM came; a checkpoint of the last step is there.
        UserError: If a checkpoint cannot be read or written.
    """
    train, name, snapshot = config.train, trainee.name, trainee.start
    log = log or MetricsLog(folder / "metrics.jsonl")

    with CheckpointFolder(
        folder / "checkpoints" / name, keep=train.keep_checkpoints
    ) as checkpoints:
        if resume and (found := checkpoints.restore(snapshot)):
            snapshot = found
            logger.info("%s: resumed at step %d", name, int(snapshot.state.step))
        # Committed to its devices, as what is restored or refreshed: one compilation.
        where = jax.tree.map(lambda leaf: leaf.sharding, snapshot.state)
        state = jax.device_put(snapshot.state, where)
        stopping = snapshot.progress
        # None until there is one: the newest parameters then stand in its place.
        best = snapshot.best_params if stopping.best_step else None
        step, warned = int(state.step), False
        if step < train.steps:
            log.cut_back(
                model=name, step=step, validated=step % train.validate_every == 0
            )
            stopping = dataclasses.replace(stopping, end_value=-np.inf)
        start = time.perf_counter() - stopping.seconds
        trace = Trace(folder / "profile", steps=profile_steps)

        with (
            progress(name, total=train.steps) as update,
            trace,
            log,
            told_to_stop() as told,
        ):
            while step < train.steps and not _stops_early(stopping, config):
                stop = _next_stop(step, config, refreshes=trainee.refreshes)
                count = trace.limit(stop - step)
                began = time.perf_counter()
                state, metrics = trainee.program(state, trainee.data, jnp.int32(count))
                losses = np.asarray(metrics.loss)[:count]
                seconds = time.perf_counter() - began
                norms = np.asarray(metrics.gradient_norm)[:count]
                missed = int(np.asarray(metrics.missed)[:count].sum())
                check_finite(
                    losses, norms, state.params, step, name, config, checkpoints
                )
                step += count
                trace.ran(count)
                log.write(
                    model=name,
                    step=step,
                    loss=float(losses.mean()),
                    gradient_norm=float(norms[-1]),
                    examples_per_s=round(
                        count * trainee.examples_per_step / seconds, 1
                    ),
                    # 0 where text vectors are stored.
                    tokens_per_s=round(count * trainee.tokens_per_step / seconds, 1),
                    memory_mb=round(peak_memory_mb(), 1),
                    missed=missed,
                )
                if missed and not warned:
                    warned = True
                    logger.warning(
                        "%s: %d requests between devices had no place in %d steps and "
                        "were left out; raise --parallel.slack, now %g, and "
                        "--parallel.row-slack, now %g",
                        *(name, missed, count),
                        *(config.parallel.slack, config.parallel.row_slack),
                    )
                validates = trainee.validate is not None and (
                    step % train.validate_every == 0 or step >= train.steps
                )
                due = trainee.refreshes and step % config.text.refresh_every == 0
                features = None
                if validates or due:
                    try:
                        features = trainee.features(state.params)
                    except FloatingPointError as error:
                        raise diverged(
                            f"{name}: text vectors at step {step}",
                            "nan or inf",
                            state.params,
                            config,
                            checkpoints,
                        ) from error
                if validates:
                    assert trainee.validate is not None
                    valid = trainee.validate(state.params, features)
                    log.write(model=name, step=step, valid=valid)
                    stopping, best = _judged(
                        stopping, best, state.params, valid, step, config
                    )
                if due:
                    assert features is not None
                    text = jax.device_put(features.text, where.text)
                    state = dataclasses.replace(state, text=text)
                update(step, f"loss {losses.mean():.4f}, {_best(stopping, config)}")
                stopping = dataclasses.replace(
                    stopping, seconds=time.perf_counter() - start
                )
                stop_now = any_of_them(told())
                if (
                    step % train.checkpoint_every == 0
                    or step >= train.steps
                    or _stops_early(stopping, config)
                    or stop_now
                ):
                    # First what was logged: the checkpoint may be all that is found.
                    log.flush()
                    checkpoints.save(_snapshot(state, best, stopping))
                if stop_now:
                    # The exit code says that it is there.
                    checkpoints.wait()
                    raise Preempted(f"{name}: told to stop at step {step}")
            update(train.steps, f"{_best(stopping, config)}, stopped at {step}")
    return _snapshot(state, best, stopping)


def _judged(
    stopping: Progress,
    best: Any | None,
    params: Any,
    valid: Mapping[str, float],
    step: int,
    config: Config,
) -> tuple[Progress, Any]:
    """Early stopping and the best parameters after a validation."""
    metric = config.evaluation.metric
    value = as_gain(metric, valid[metric])
    if step % config.train.validate_every:
        return dataclasses.replace(stopping, end_value=value), best
    if value <= stopping.best_value:
        return dataclasses.replace(stopping, worse=stopping.worse + 1), best
    stopping = dataclasses.replace(stopping, best_value=value, best_step=step, worse=0)
    return stopping, copy_params(params)


def _snapshot(state: Any, best: Any | None, stopping: Progress) -> Snapshot:
    kept = state.params if best is None else best
    return Snapshot(state=state, best_params=kept, progress=stopping)


def _next_stop(step: int, config: Config, *, refreshes: bool) -> int:
    """Where the next call ends: never across a validation, checkpoint or refresh."""
    train = config.train
    every = [train.validate_every, train.checkpoint_every]
    if refreshes:
        every.append(config.text.refresh_every)
    borders = [(step // steps + 1) * steps for steps in every]
    return min(train.steps, step + train.steps_per_call, *borders)


def _best(stopping: Progress, config: Config) -> str:
    best = max(stopping.best_value, stopping.end_value)
    if best == -np.inf:
        return "not validated"
    where = f"at {stopping.best_step}" if best == stopping.best_value else "at the end"
    metric = config.evaluation.metric
    return f"best valid {metric} {as_gain(metric, best):.4f} {where}"


def _stops_early(stopping: Progress, config: Config) -> bool:
    return 0 < config.train.patience <= stopping.worse
