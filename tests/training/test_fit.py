"""The training loop of one model: resumed, stopped early, diverged, compiled once."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.config import replace
from llmgnn_jax.training import ranking, trainees
from llmgnn_jax.training import step as step_module
from llmgnn_jax.training.checkpoint import CheckpointFolder
from llmgnn_jax.training.divergence import TrainingDiverged
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.ranking import fit_model
from llmgnn_jax.training.reporting import MetricsLog
from llmgnn_jax.training.run import evaluate
from llmgnn_jax.training.trained import load_trained, set_up

MODELS = ("graph", "text", "fused")


@pytest.fixture(scope="module")
def base(tiny_config, cache_folder):
    """The data on the device, without baselines and in a steady rhythm."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
        return prepare(tiny_config)


@pytest.fixture
def train(base, tmp_path):
    """(name, folder, fields changed) -> the model after training in that folder."""

    def run(name="graph", where="run", *, resume=False, profile_steps=0, **changes):
        folder = tmp_path / where
        folder.mkdir(exist_ok=True)
        changes = {f"train.{key}": value for key, value in changes.items()}
        prepared = dataclasses.replace(base, config=replace(base.config, **changes))
        return fit_model(
            name, prepared, folder=folder, resume=resume, profile_steps=profile_steps
        )

    return run


@pytest.fixture
def saved(base, tmp_path):
    """(name, folder, step or None, fields changed) -> what its checkpoint holds."""

    def read(name="graph", where="run", step=None, **changes):
        changes = {f"train.{key}": value for key, value in changes.items()}
        prepared = dataclasses.replace(base, config=replace(base.config, **changes))
        template = set_up(name, prepared).snapshot
        with CheckpointFolder(tmp_path / where / "checkpoints" / name, keep=9) as kept:
            if step is None:
                return kept.restore(template)
            return kept._load(step, template)

    return read


def steps_saved(folder, name="graph"):
    return sorted(int(path.name) for path in (folder / "checkpoints" / name).iterdir())


def records(folder):
    """What was logged, without what the clock says."""
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    kept = ("model", "step", "loss", "gradient_norm", "valid")
    return [
        {key: value for key, value in json.loads(line).items() if key in kept}
        for line in lines
    ]


def assert_same(one, other):
    """Two snapshots to the last bit, but for the seconds."""
    one, other = (
        dataclasses.replace(
            snapshot, progress=dataclasses.replace(snapshot.progress, seconds=0.0)
        )
        for snapshot in (one, other)
    )
    leaves = jax.tree_util.tree_leaves_with_path(one)
    others = jax.tree.leaves(other)
    assert len(leaves) == len(others)
    for (path, a), b in zip(leaves, others, strict=True):
        np.testing.assert_array_equal(
            np.asarray(a), np.asarray(b), err_msg=jax.tree_util.keystr(path)
        )


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *((name, {}) for name in MODELS),
        ("fused", {"table_optimizer": "rowwise_adagrad", "half_life": 3}),
    ],
)
def test_two_steps_and_two_more_are_four_steps(train, saved, tmp_path, name, changes):
    rhythm = {"validate_every": 20, "checkpoint_every": 20, **changes}
    train(name, "whole", steps=4, **rhythm)
    train(name, "parts", steps=2, **rhythm)
    assert steps_saved(tmp_path / "parts", name) == [2]
    half = saved(name, "parts", **changes)
    found = train(name, "parts", resume=True, steps=4, **rhythm)
    assert found.step == 4
    assert_same(saved(name, "whole", **changes), saved(name, "parts", **changes))
    # Without the resumed half being there, the test would prove nothing.
    changed = jax.tree.map(
        lambda a, b: bool(np.any(a != b)), half.state.params, found.params
    )
    assert any(jax.tree.leaves(changed))
    assert records(tmp_path / "whole") == records(tmp_path / "parts")
    assert [line["step"] for line in records(tmp_path / "parts")] == [2, 4, 4]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "rhythm"),
    [
        (7, {"validate_every": 3, "checkpoint_every": 5}),
        (6, {"validate_every": 6, "checkpoint_every": 6}),
        (5, {"validate_every": 2, "checkpoint_every": 100}),
    ],
)
def test_a_resumed_run_is_the_whole_one_in_any_rhythm(
    train, saved, tmp_path, first, rhythm
):
    whole = train("fused", "whole", steps=12, **rhythm)
    train("fused", "parts", steps=first, **rhythm)
    parts = train("fused", "parts", resume=True, steps=12, **rhythm)
    assert_same(saved("fused", "whole"), saved("fused", "parts"))
    assert whole.best_step == parts.best_step
    for a, b in zip(
        jax.tree.leaves(whole.params), jax.tree.leaves(parts.params), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    validations = [
        [line for line in records(tmp_path / where) if "valid" in line]
        for where in ("whole", "parts")
    ]
    assert validations[0] == validations[1]
    steps = [line["step"] for line in validations[1]]
    assert steps == sorted(set(steps))


def test_how_many_steps_a_call_takes_changes_no_bit(train, saved):
    train("graph", "two", steps=7, steps_per_call=2)
    train("graph", "five", steps=7, steps_per_call=5)
    assert_same(saved("graph", "two"), saved("graph", "five"))


def test_what_a_killed_run_logged_after_its_checkpoint_is_cut_back(
    train, saved, tmp_path
):
    rhythm = {"validate_every": 2, "checkpoint_every": 4}
    train("graph", "whole", steps=8, **rhythm)
    train("graph", "killed", steps=4, **rhythm)
    log = MetricsLog(tmp_path / "killed" / "metrics.jsonl")
    log.write(model="graph", step=6, loss=1.0)
    log.write(model="graph", step=6, valid={"ndcg@10": 0.5})
    log.write(model="text", step=9, loss=2.0)
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"model": "graph", "step": 8, "lo')
    train("graph", "killed", resume=True, steps=8, **rhythm)
    assert_same(saved("graph", "whole"), saved("graph", "killed"))
    found = records(tmp_path / "killed")
    assert [line for line in found if line["model"] == "graph"] == records(
        tmp_path / "whole"
    )
    assert {"model": "text", "step": 9, "loss": 2.0} in found


def test_a_finished_run_resumed_does_nothing(train, saved, tmp_path):
    first = train("graph", steps=5)
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    again = train("graph", resume=True, steps=5)
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before
    assert again.step == 5
    assert again.best_step == first.best_step
    assert again.seconds == pytest.approx(first.seconds)
    for a, b in zip(
        jax.tree.leaves(first.params), jax.tree.leaves(again.params), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_every_line_says_how_fast_and_how_large(train, tmp_path):
    train("text", steps=3, validate_every=3)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    steps = [json.loads(line) for line in lines if "loss" in json.loads(line)]
    assert [line["step"] for line in steps] == [2, 3]
    for line in steps:
        assert line["model"] == "text"
        assert line["loss"] > 0
        assert line["examples_per_s"] > 0
        assert line["tokens_per_s"] == 0  # Stored vectors: no step encodes.
        assert line["memory_mb"] > 10


@pytest.fixture
def programs(monkeypatch):
    """The compiled programs of the training steps and of the vectors."""
    made = {"steps": [], "vectors": []}
    build, scorer = trainees.build_program, trainees.Scorer

    def spy(*arguments, **options):
        made["steps"].append(build(*arguments, **options))
        return made["steps"][-1]

    def spy_scorer(*arguments):
        made["vectors"].append(scorer(*arguments))
        return made["vectors"][-1]

    monkeypatch.setattr(trainees, "build_program", spy)
    monkeypatch.setattr(trainees, "Scorer", spy_scorer)
    return made


@pytest.mark.parametrize("name", MODELS)
def test_a_run_compiles_its_step_once(train, programs, name):
    """Ragged calls, validations, checkpoints and a resume in between."""
    rhythm = {"validate_every": 3, "checkpoint_every": 5}
    train(name, steps=11, **rhythm)
    train(name, resume=True, steps=17, **rhythm)
    assert len(programs["steps"]) == len(programs["vectors"]) == 2
    for program in programs["steps"]:
        assert program._cache_size() == 1
    for scorer in programs["vectors"]:
        assert scorer._vectors._cache_size() == 1


def scripted(monkeypatch, values):
    """Validations that give these values, one after the other."""
    values = iter(values)
    seen = []

    def validate(scorer, params, features, prepared):
        seen.append(jax.tree.map(np.asarray, params))
        metrics = real(scorer, params, features, prepared)
        mean = {**metrics.mean, "ndcg@10": next(values)}
        return dataclasses.replace(metrics, mean=mean)

    real = ranking.validate
    monkeypatch.setattr(ranking, "validate", validate)
    return seen


RHYTHM = {"validate_every": 2, "checkpoint_every": 100}


def test_training_stops_when_patience_is_over(train, saved, monkeypatch, tmp_path):
    values = [0.1, 0.3, 0.3, 0.2, 0.29, 0.9, 0.9]
    seen = scripted(monkeypatch, values)
    found = train("graph", steps=100, patience=3, **RHYTHM)
    # Equal is not better: 3 validations after the second one.
    assert (found.step, found.best_step) == (10, 4)
    assert len(seen) == 5
    for best, logged in zip(
        jax.tree.leaves(found.params), jax.tree.leaves(seen[1]), strict=True
    ):
        np.testing.assert_array_equal(best, logged)
    assert steps_saved(tmp_path / "run") == [10]
    snapshot = saved()
    assert snapshot.progress.best_value == 0.3
    assert snapshot.progress.best_step == 4
    assert snapshot.progress.worse == 3


def test_the_best_outlive_the_checkpoint_of_their_step(
    train, base, monkeypatch, tmp_path
):
    """Each checkpoint holds them: none has to be kept for their sake."""
    seen = scripted(monkeypatch, [0.1, 0.9, 0.3, 0.2, 0.2, 0.2])
    rhythm = {"validate_every": 2, "checkpoint_every": 2, "keep_checkpoints": 1}
    train("graph", steps=8, patience=0, **rhythm)
    found = train("graph", resume=True, steps=12, patience=0, **rhythm)
    assert steps_saved(tmp_path / "run") == [12]
    loaded = load_trained("graph", base, folder=tmp_path / "run")
    assert (found.best_step, loaded.best_step) == (4, 4)
    for best, kept, then in zip(
        *(jax.tree.leaves(one) for one in (found.params, loaded.params, seen[1])),
        strict=True,
    ):
        np.testing.assert_array_equal(best, then)
        np.testing.assert_array_equal(kept, then)


def test_without_patience_training_never_stops_early(train, monkeypatch):
    scripted(monkeypatch, [0.5, 0.4, 0.3, 0.2, 0.1])
    found = train("graph", steps=10, patience=0, **RHYTHM)
    assert (found.step, found.best_step) == (10, 2)


def test_a_resumed_run_remembers_its_patience(train, monkeypatch):
    values = [0.1, 0.30000000000000004, 0.3, 0.2, 0.29]
    scripted(monkeypatch, values[:3])
    train("graph", steps=6, patience=3, **RHYTHM)
    monkeypatch.undo()
    scripted(monkeypatch, values[3:])
    found = train("graph", resume=True, steps=100, patience=3, **RHYTHM)
    assert (found.step, found.best_step) == (10, 4)
    monkeypatch.undo()
    # It has stopped: nothing is left to do, unless patience grows.
    scripted(monkeypatch, [])
    assert train("graph", resume=True, steps=100, patience=3, **RHYTHM).step == 10


@pytest.mark.parametrize(
    ("at_the_end", "best_step"), [(0.9, 5), (0.2, 4), (0.4, 4), (0.1, 4)]
)
def test_the_end_between_two_validations_counts(
    train, base, monkeypatch, tmp_path, at_the_end, best_step
):
    """What is measured is what is loaded later, and a longer run forgets it."""
    scripted(monkeypatch, [0.1, 0.4, at_the_end])
    found = train("graph", steps=5, **RHYTHM)
    assert (found.step, found.best_step) == (5, best_step)
    loaded = load_trained("graph", base, folder=tmp_path / "run")
    assert loaded.best_step == best_step
    for a, b in zip(
        jax.tree.leaves(found.params), jax.tree.leaves(loaded.params), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    monkeypatch.undo()
    scripted(monkeypatch, [0.5, 0.6])
    longer = train("graph", resume=True, steps=8, **RHYTHM)
    assert (longer.step, longer.best_step) == (8, 8)


def test_evaluating_a_run_again_gives_its_numbers(finished_run, workplace):
    """The checkpoints hold what the results were measured on."""
    shutil.copytree(finished_run, "run")
    before = json.loads((finished_run / "results.json").read_text("utf-8"))
    after = evaluate("run").results
    assert {model["budget"].get("best_step") for model in before["models"].values()} & {
        130
    }, "no model is best at the end: the test would prove little"
    for name, model in before["models"].items():
        assert after["models"][name]["test"] == model["test"]
        assert after["models"][name]["valid"] == model["valid"]
    assert after["paths"] == before["paths"]
    assert after["protocol"] == before["protocol"]


def finite(tree):
    return all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(tree))


def test_a_huge_learning_rate_stops_with_the_step_and_the_last_checkpoint(
    train, saved, tmp_path
):
    with pytest.raises(TrainingDiverged) as caught:
        train("graph", steps=9, checkpoint_every=1, learning_rate=1e30)
    message = str(caught.value)
    kept = steps_saved(tmp_path / "run")
    assert f"graph: loss at step {kept[-1] + 1}: expected finite numbers" in message
    assert f"the checkpoint of step {kept[-1]} is good" in message
    assert "lower --train.learning-rate, now 1e+30" in message
    assert "\n" not in message
    assert finite(saved().state.params)
    assert finite(saved().best_params)
    # The steps that were not finite are in no log.
    assert records(tmp_path / "run")[-1]["step"] == kept[-1]


def test_parameters_that_are_not_finite_are_never_saved(train, monkeypatch, tmp_path):
    """Loss and gradient of the step that broke them may still be numbers."""

    def broken(*arguments, **options):
        program = build(*arguments, **options)

        def run(state, data, count):
            state, metrics = program(state, data, count)
            params = jax.tree.map(lambda leaf: leaf.at[0].set(jnp.inf), state.params)
            return dataclasses.replace(state, params=params), metrics

        return run

    build = trainees.build_program
    monkeypatch.setattr(trainees, "build_program", broken)
    with pytest.raises(
        TrainingDiverged, match=r"parameters at step 2: .*no checkpoint"
    ):
        train("text", steps=4, checkpoint_every=2)
    assert not list((tmp_path / "run").glob("checkpoints/text/[0-9]*"))


@pytest.mark.parametrize(("what", "value"), [("loss", np.nan), ("gradient norm", 0.0)])
def test_an_injected_nan_stops_at_its_step(
    train, saved, monkeypatch, tmp_path, what, value
):
    """In the middle of a call, in the loss or only in its gradient."""
    real = step_module.batch_loss

    def poisoned(params, *arguments, step, **options):
        loss, missed = real(params, *arguments, step=step, **options)
        size = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))
        # At 0 the root has no derivative.
        root = jnp.sqrt(0.0 * size + jnp.where(step < 6, 1.0, 0.0))
        return loss + root + jnp.where(step < 6, 0.0, value), missed

    monkeypatch.setattr(step_module, "batch_loss", poisoned)
    with pytest.raises(TrainingDiverged, match=f"graph: {what} at step 7: ") as caught:
        train("graph", steps=20, validate_every=4, checkpoint_every=4)
    assert "got nan (the checkpoint of step 4 is good)" in str(caught.value)
    assert steps_saved(tmp_path / "run") == [4]
    assert finite((saved().state, saved().best_params))
    # Once what was wrong is mended, the run goes on from there.
    monkeypatch.undo()
    found = train(
        "graph",
        resume=True,
        steps=8,
        validate_every=4,
        checkpoint_every=4,
    )
    assert found.step == 8


def test_a_profile_leaves_a_trace_and_changes_no_bit(train, saved, tmp_path):
    train("graph", "plain", steps=6)
    train("graph", "traced", steps=6, profile_steps=2)
    traces = list((tmp_path / "traced" / "profile").rglob("*.xplane.pb"))
    assert len(traces) == 1
    assert traces[0].stat().st_size > 1000
    assert not (tmp_path / "plain" / "profile").exists()
    assert_same(saved("graph", "plain"), saved("graph", "traced"))


def test_only_the_newest_checkpoints_are_kept(train, tmp_path):
    train("graph", steps=10, checkpoint_every=2, keep_checkpoints=3)
    assert steps_saved(tmp_path / "run") == [6, 8, 10]
