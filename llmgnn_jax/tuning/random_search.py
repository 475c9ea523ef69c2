"""Random search over fields of a configuration, judged on valid."""

import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmgnn_jax.config import Config, ModelName, flatten, replace, unused_fields
from llmgnn_jax.data.hashing import ContentHasher
from llmgnn_jax.data.splits import TuningSplit
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.search_budget import search_budget
from llmgnn_jax.training.divergence import TrainingDiverged
from llmgnn_jax.training.loop import train_model
from llmgnn_jax.training.prepare import prepare_split
from llmgnn_jax.training.ranking import trainee_of
from llmgnn_jax.training.run_split import read_split
from llmgnn_jax.training.trained import set_up
from llmgnn_jax.tuning.space import Space, checked_space, draw
from llmgnn_jax.tuning.trials import Trial, TrialsFile

logger = logging.getLogger(__name__)

# What `auto` chooses by the clock: once, or a search would not repeat.
_SETTLED = ("graph.backend", "parallel.exchange")


@dataclass(frozen=True, kw_only=True)
class Search:
    """A finished search.

    Attributes:
        config: As it was given, of the one model, with the values that were chosen.
        settled: What `auto` in it was in all trials.
        trials: In order.
        best: The first of those with the highest value.
        budget: For `results.json`, see `evaluation.search_budget`; with the seed, how
            many trials diverged, and the seconds of all.
    """

    config: Config
    settled: Mapping[str, Any]
    trials: Sequence[Trial]
    best: Trial
    budget: Mapping[str, Any]


def search(
    config: Config,
    *,
    space: Space,
    model: ModelName,
    trials: int,
    seed: int = 0,
    file: str | Path | None = None,
    split: TuningSplit | None = None,
) -> Search:
    """Trains a model with values drawn from a space, and keeps the best on valid.

    Trial n is the same whatever the number of trials is. The test part is out of reach:
    what trials are given does not hold it.

    Args:
        config: Of the run; fields that the space does not name stay as they are.
        space: See `tuning.Space`.
        model: Which one.
        trials: How many.
        seed: Of what is drawn from the space.
        file: Finished trials are appended to it, and not made again; None keeps none.
        split: What `without_test` made of what `read_split` read with this
            configuration, where there is more than one search; it is read if not given.

    Raises:
        UserError: For a space that does not suit, a task other than ranking, nothing to
            validate on, a file of another search, or if every trial diverged.
    """
    _check(config, trials)
    kept = TrialsFile(file) if file is not None else None
    drawn = [draw(space, seed=seed, trial=number) for number in range(trials)]
    given = replace(config, models=(model,))
    for values in drawn:
        replace(given, **values)  # What it refuses is refused before the first trial.
    _warn_of_unused([replace(given, **values) for values in drawn], space)
    base = given
    if split is None:
        base, everything = read_split(given)
        split = everything.without_test()
        del everything
    if not split.held_out("valid").nnz:
        raise UserError.field(
            "data.valid_share",
            expected="a share to validate on, which tuning goes by",
            got=config.data.valid_share,
            fix="add --data.valid-share 0.1",
        )

    def settle() -> dict[str, Any]:
        chosen = flatten(prepare_split(replace(base, **drawn[0]), split).config)
        return {name: chosen[name] for name in _SETTLED}

    if kept is None:
        settled, finished = settle(), dict[int, Trial]()
    else:
        kept.begin(_identity(base, space, seed, split), settle)
        settled, finished = kept.settled, kept.trials
    done: list[Trial] = []
    for number, values in enumerate(drawn):
        trial = finished.get(number)
        if trial is None:
            of_trial = replace(base, **{**settled, **values})
            trial = _made(number, values, of_trial, split)
            if kept is not None:
                kept.append(trial)
        done.append(trial)
        _tell(trial, trials, _best(done), config)
    best = _best(done)
    if best is None:
        raise UserError.field(
            "space",
            expected="values that can be trained with",
            got=f"{trials} trials that all diverged, the last one: {done[-1].diverged}",
            fix="lower the step sizes",
        )
    assert best.value is not None
    return Search(
        # As drawn: what was read of a file has lists for tuples.
        config=replace(given, **drawn[best.trial]),
        settled=settled,
        trials=tuple(done),
        best=best,
        budget={
            **search_budget(
                checked_space(space),
                drawn[best.trial],
                trials=trials,
                metric=config.evaluation.metric,
                value=best.value,
            ),
            "diverged": sum(trial.value is None for trial in done),
            "seed": seed,
            "seconds": sum(trial.seconds for trial in done),
        },
    )


def _made(
    number: int, values: Mapping[str, Any], config: Config, split: TuningSplit
) -> Trial:
    """Trains once, in a folder that is thrown away."""
    start, (name,) = time.perf_counter(), config.models
    prepared = prepare_split(config, split)
    setup = set_up(name, prepared)
    with tempfile.TemporaryDirectory() as folder:
        try:
            end = train_model(
                trainee_of(name, prepared, setup), prepared.config, folder=Path(folder)
            )
        except TrainingDiverged as error:
            return Trial(
                trial=number,
                values=values,
                value=None,
                seconds=time.perf_counter() - start,
                diverged=str(error).partition(";")[0],
            )
    progress, steps = end.progress, int(end.state.step)
    ended_best = progress.end_value > progress.best_value
    return Trial(
        trial=number,
        values=values,
        value=float(max(progress.best_value, progress.end_value)),
        steps=steps,
        best_step=steps if ended_best else int(progress.best_step),
        seconds=time.perf_counter() - start,
    )


def _check(config: Config, trials: int) -> None:
    if config.task != "ranking":
        raise UserError.field("task", expected="ranking, to tune", got=config.task)
    if trials < 1:
        raise UserError.field("trials", expected="1 or more", got=trials)


def _warn_of_unused(configs: Sequence[Config], space: Space) -> None:
    unused = [unused_fields(config) for config in configs]
    for name in space:
        if all(name in of_trial for of_trial in unused):
            logger.warning(
                "space: %s changes nothing in this search: %s", name, unused[0][name]
            )


def _identity(
    config: Config, space: Space, seed: int, split: TuningSplit
) -> dict[str, Any]:
    """What makes two searches one: their trials are the same, one by one."""
    data = ContentHasher("tuning-1").strings(
        [split.dataset.content_hash(), split.split_hash]
    )
    return {
        "config": flatten(config),
        "space": checked_space(space),
        "seed of the search": seed,
        "data": data.hexdigest(),
    }


def _best(trials: Sequence[Trial]) -> Trial | None:
    """The first of the best."""
    valued = [trial for trial in trials if trial.value is not None]
    return max(valued, key=lambda trial: trial.value or 0.0, default=None)


def _tell(trial: Trial, trials: int, best: Trial | None, config: Config) -> None:
    metric = f"valid {config.evaluation.metric}"
    logger.info(
        "trial %d of %d: %s%s",
        trial.trial + 1,
        trials,
        trial.diverged if trial.value is None else f"{metric} {trial.value:.4f}",
        "" if best is None else f"; best {best.value:.4f}, trial {best.trial + 1}",
    )
