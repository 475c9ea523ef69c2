"""The recipe `gowalla-lightgcn` from files to recall and ndcg, as `train.py` runs it.

    python -m benchmarks.ours.end_to_end FOLDER

writes the table and the batches of the first steps into a folder of inputs.
"""

import dataclasses
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import peak_mb
from benchmarks.ours.lightgcn_step import drawn_batches
from benchmarks.ours.steps import STEPS_PER_CALL
from benchmarks.whole_runs import Phases, WholeRuns
from llmgnn_jax.config import Config, replace
from llmgnn_jax.evaluation.question import question_of
from llmgnn_jax.native.memory import keep_freed_memory
from llmgnn_jax.recipes import recipe
from llmgnn_jax.training.lists import judge_of, model_vectors, rank_vectors
from llmgnn_jax.training.prepare import Prepared, prepare, prepare_split
from llmgnn_jax.training.ranking import fit_model, trainee_of
from llmgnn_jax.training.run_split import read_split
from llmgnn_jax.training.state import NODE_TABLE
from llmgnn_jax.training.trained import set_up

RECIPE = "gowalla-lightgcn"
# What compiling is made of, to `jax.monitoring`. A function that is traced within
# another is counted twice, so that the sum is an upper bound.
_COMPILING = "/jax/core/compile/"
# Of the initial table where the first losses are compared: those of Xavier's small
# vectors are log 2 to three digits, whatever a step does.
_SCALE = 100.0


def setup(inputs: Inputs, *, steps: int) -> Task:
    """`prepare`, `fit_model` and the lists of the test part, without the report.

    Whatever JAX has compiled is forgotten before each run. Training keeps its log and
    its checkpoint, in a temporary folder.
    """
    keep_freed_memory()  # As `train.py` does.
    folder = str(inputs["folder"])
    runs = WholeRuns(steps=steps)
    # Jax's listeners are for good: one for all runs.
    compile_s: list[float] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: (
            compile_s.append(seconds) if event.startswith(_COMPILING) else None
        )
    )

    def run() -> None:
        jax.clear_caches()
        compile_s.clear()
        phases = Phases()
        config = config_of(folder, steps=steps, seed=runs.seed)
        metrics = whole_run(config, phases)
        phases.seconds["compile"] = sum(compile_s)
        runs.add(phases, metrics)

    return Task(
        run=run,
        outputs=lambda: first_losses(config_of(folder, steps=steps, seed=0)),
        warms_up=False,
        notes=runs.notes,
        device_peak_mb=peak_mb(),
    )


def config_of(folder: str, *, steps: int, seed: int) -> Config:
    """The recipe on the files of a folder."""
    return replace(
        recipe(RECIPE), **{"data.source": folder, "train.steps": steps, "seed": seed}
    )


def whole_run(config: Config, phases: Phases) -> Mapping[str, float]:
    """From train.txt and test.txt to recall, ndcg and the loss of the last steps."""
    with phases.timed("read"):
        config, split = read_split(config)
    with phases.timed("build"):
        prepared = prepare_split(config, split)
    with phases.timed("train"), tempfile.TemporaryDirectory() as folder:
        model = fit_model("graph", prepared, folder=Path(folder))
        log = (Path(folder) / "metrics.jsonl").read_text("utf-8").splitlines()
        loss = json.loads(log[-1])["loss"]
    with phases.timed("rank"):
        on_test = question_of(split, "test")
        lists = rank_vectors(*model_vectors(model, prepared), prepared, on_test)
        mean = judge_of(on_test, prepared).metrics(lists).mean
    (k,) = config.evaluation.ks
    return {
        **{name: mean[name] for name in (f"recall@{k}", f"ndcg@{k}")},
        "loss": loss,
    }


def first_losses(config: Config) -> dict[str, np.ndarray]:
    """Losses of the first steps from the table of `first_inputs`, and what was read."""
    prepared = prepare(config)
    trainee = trainee_of("graph", prepared, set_up("graph", prepared))
    start = trainee.start.state
    params = {**start.params, NODE_TABLE: _SCALE * start.params[NODE_TABLE]}
    state = dataclasses.replace(start, params=params)
    _, metrics = trainee.program(state, trainee.data, jnp.int32(STEPS_PER_CALL))
    history = prepared.history
    return {
        "losses": np.asarray(metrics.loss)[:STEPS_PER_CALL],
        "train_items": np.bincount(
            history.indices, minlength=prepared.dataset.num_items
        ),
        "train_users": history.counts(),
        "test_users": question_of(prepared.split, "test").positives.counts(),
    }


def first_inputs(config: Config) -> dict[str, np.ndarray]:
    """A larger initial `table` (N, D) without spare slots, and the first batches."""
    prepared = prepare(config)
    model = set_up("graph", prepared)
    trainee = trainee_of("graph", prepared, model)
    table = model.snapshot.state.params[NODE_TABLE]
    return {
        "table": _without_spare(_SCALE * table, prepared),
        **drawn_batches(prepared, model, trainee.data),
    }


def _without_spare(table: Any, prepared: Prepared) -> np.ndarray:
    dataset = prepared.dataset
    users_UD, items_ID = prepared.graph.split_nodes(table)
    return np.concatenate(
        [users_UD[: dataset.num_users], items_ID[: dataset.num_items]]
    )


if __name__ == "__main__":
    target = Path(sys.argv[1])
    source = str(np.load(target / "folder.npy"))
    for name, array in first_inputs(config_of(source, steps=1, seed=0)).items():
        np.save(target / f"{name}.npy", array)
