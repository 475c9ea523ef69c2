"""Ratings on several devices: the same losses, and parameters, as on one."""

import json
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.config import replace
from llmgnn_jax.evaluation.contract import check_results
from llmgnn_jax.training.run import evaluate, fit

LAYOUTS = {
    "one": {"parallel.data": 1},
    "mesh": {"parallel.data": 4, "parallel.model": 2},
    "pmap": {"parallel.data": 4, "parallel.strategy": "pmap"},
}


@pytest.fixture(scope="module")
def config(tiny_config):
    return replace(
        tiny_config,
        **{
            "task": "rating",
            "evaluation.metric": "rmse",
            "models": ("fused",),
            "graph.backend": "segment",
            # As on eight devices: groups decide which node a user is.
            "parallel.groups": 8,
            "train.steps": 8,
            "train.steps_per_call": 2,
            "train.validate_every": 4,
            "train.checkpoint_every": 8,
            "evaluation.baselines": False,
        },
    )


def logged(folder):
    lines = (Path(folder) / "metrics.jsonl").read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return (
        {one["step"]: one["loss"] for one in found if "loss" in one},
        {one["step"]: one["valid"]["rmse"] for one in found if "valid" in one},
    )


def test_however_it_is_laid_out_it_is_one_run(config, workplace):
    expected = None
    for name, layout in LAYOUTS.items():
        results = fit(replace(config, **layout), out=name).results
        check_results(results)
        losses, valid = logged(name)
        assert sorted(losses) == [2, 4, 6, 8]
        if expected is None:
            expected = losses, valid
        for one, other in zip((losses, valid), expected, strict=True):
            assert one.keys() == other.keys()
            for step, value in one.items():
                np.testing.assert_allclose(value, other[step], rtol=2e-4, err_msg=name)
        again = evaluate(name).results["models"]["fused"]["test"]
        for metric, value in results["models"]["fused"]["test"].items():
            np.testing.assert_allclose(again[metric], value, rtol=1e-5)
