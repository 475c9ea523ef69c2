"""Whole runs on several devices, and checkpoints that go from some to others."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.config import replace
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.contract import check_results
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.training.run import evaluate, fit

EIGHT = {"parallel.data": 4, "parallel.model": 2}


@pytest.fixture(scope="module")
def config(tiny_config):
    return replace(
        tiny_config,
        **{
            "models": ("graph", "fused"),
            "graph.backend": "segment",
            "text.mode": "lora",
            "text.learning_rate": 1e-3,
            "text.texts_per_step": 10,
            "text.refresh_every": 4,
            "text.lora_rank": 2,
            "train.negatives": "in_batch",
            "train.steps": 12,
            "train.steps_per_call": 2,
            "train.validate_every": 4,
            "train.checkpoint_every": 6,
            "evaluation.baselines": False,
        },
    )


def lines(folder, name="fused"):
    text = (Path(folder) / "metrics.jsonl").read_text("utf-8")
    found = [json.loads(line) for line in text.splitlines()]
    return [one for one in found if one["model"] == name]


def losses(folder, name="fused"):
    return {one["step"]: one["loss"] for one in lines(folder, name) if "loss" in one}


def test_a_run_goes_on_with_other_devices(config, workplace):
    whole = fit(replace(config, **EIGHT), out="whole", command="tiny")
    check_results(whole.results)
    fit(replace(config, **EIGHT, **{"train.steps": 6}), out="half", command="tiny")
    expected = losses("whole")
    assert sorted(expected) == [2, 4, 6, 8, 10, 12]
    for name, layout in (
        ("mesh 2", {"parallel.data": 2}),
        ("pmap 4", {"parallel.data": 4, "parallel.strategy": "pmap"}),
        ("one", {"parallel.data": 1}),
    ):
        shutil.copytree("half", name)
        fit(replace(config, **layout), out=name, resume=True, command="tiny")
        found = losses(name)
        assert sorted(found) == sorted(expected)
        for step, loss in expected.items():
            np.testing.assert_allclose(found[step], loss, rtol=1e-4, err_msg=name)
        assert losses(name, "graph").keys() == expected.keys()
    # The run keeps its groups, whatever the devices.
    for name in ("whole", "one"):
        kept = json.loads((workplace / name / "config.json").read_text("utf-8"))
        assert kept["parallel"]["groups"] == 64


def test_parameters_in_pieces_are_saved_for_any_devices(config, workplace):
    # As many groups on any devices: where users and items stand follows from them.
    changes = {"models": ("fused",), "text.mode": "full", "parallel.groups": 8}
    config = replace(config, **changes)
    sharded = {**EIGHT, "parallel.parameters": "fsdp"}
    fit(replace(config, **{"parallel.data": 1}), out="whole", command="tiny")
    expected = losses("whole")
    first = {"train.steps": 6}
    fit(replace(config, **sharded, **first), out="half", command="tiny")
    fit(replace(config, **EIGHT, **first), out="plain", command="tiny")
    for start, name, layout in (
        ("half", "one", {"parallel.data": 1}),
        ("half", "fewer", {"parallel.data": 2, "parallel.parameters": "fsdp"}),
        ("plain", "sharded", sharded),
    ):
        shutil.copytree(start, name)
        fit(replace(config, **layout), out=name, resume=True, command="tiny")
        found = losses(name)
        assert sorted(found) == sorted(expected)
        for step, loss in expected.items():
            np.testing.assert_allclose(found[step], loss, rtol=1e-4, err_msg=name)


def test_it_is_measured_and_served_on_one_device(config, workplace):
    run = fit(replace(config, **EIGHT), out="run", command="tiny")
    again = evaluate("run").results
    for name in ("graph", "fused"):
        one, other = run.results["models"][name], again["models"][name]
        assert one["test"] == other["test"]
    recommender = Recommender.load("run")
    user = recommender._prepared.dataset.user_ids[3]
    assert len(recommender.recommend(user=user, k=5)) == 5
    assert len(recommender.recommend(items=["i1", "i2"], k=5)) == 5
    # Validated on the devices as on one.
    valid = [one["valid"] for one in lines("run") if "valid" in one]
    assert len(valid) == 3
    best = max(one["ndcg@10"] for one in valid)
    assert again["models"]["fused"]["valid"]["ndcg@10"] == pytest.approx(best)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"parallel.data": 9},
            "parallel.data: expected at most 8 devices in all, got 9 x 1",
        ),
        (
            {"parallel.data": 3},
            "train.batch_size: expected a multiple of the 3 devices that share it, "
            "got 64",
        ),
        (
            {"parallel.data": 8, "parallel.groups": 4},
            "parallel.groups: expected a multiple of the 8 devices, got 4",
        ),
        (
            {"parallel.data": 4, "train.accumulate": 32},
            "train.batch_size: expected a multiple of the 4 devices that share it, "
            "times its 32 parts, got 64",
        ),
    ],
)
def test_what_cannot_be_laid_over_the_devices(config, workplace, changes, line):
    with pytest.raises(UserError) as caught:
        fit(replace(config, **changes), out="run")
    assert str(caught.value).startswith(line)
    assert not Path("run").exists()
