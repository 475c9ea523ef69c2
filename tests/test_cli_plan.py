"""`llmgnn plan`: what is printed, as text and as JSON, and what cannot be planned."""

import json

import pytest

from llmgnn_jax import cli

PLAN = (
    *("plan", "gowalla-lightgcn", "--topology", "cpu", "--nodes", "2e4"),
    *("--edges", "2e5", "--graph.num-layers", "1", "--train.batch-size", "256"),
)


def test_as_json(workplace, capsys):
    assert cli.main([*PLAN, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["chips"], found["nodes"], found["edges"]) == (1, 20_000, 200_000)
    assert found["fits"] is True
    # A table of 64 float32 a node, the padding and spare ones included.
    assert found["arrays"]["parameters"] >= 20_000 * 64 * 4
    assert found["arrays"]["optimizer"] >= 2 * 20_000 * 64 * 4
    assert found["bytes"]["temporaries"] > 0
    assert found["collectives"] == {}


@pytest.mark.slow
def test_row_wise_optimizers_hold_a_number_a_row(workplace, capsys):
    found = []
    for optimizer in ("adam", "rowwise_adagrad"):
        options = ("--train.table-optimizer", optimizer, "--json")
        assert cli.main([*PLAN, *options]) == 0
        found.append(json.loads(capsys.readouterr().out))
    adam, rowwise = (one["arrays"]["optimizer"] for one in found)
    table = found[0]["arrays"]["parameters"]
    assert 2 * table <= adam < 2 * table + 100
    assert table / 64 <= rowwise < table / 64 + 100
    # Seven passes over tables; three, two over the numbers and a product of two.
    less = found[0]["traffic"] - found[1]["traffic"]
    assert less == pytest.approx((7 - 3 - 2 / 64 - 2) * table, rel=1e-2)


def test_as_text(workplace, capsys):
    assert cli.main(list(PLAN)) == 0
    printed = capsys.readouterr().out
    for words in ("gowalla-lightgcn, model graph", "temporaries", "compiled in"):
        assert words in printed
    assert printed.splitlines()[-1].startswith("fits: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--topology", "v9:2x2"), "--topology: expected KIND:SHAPE"),
        (("--degrees", "zipf"), "--degrees: expected one of gowalla, even"),
        (("--nodes", "1"), "--nodes: expected a number from 4"),
        (("--edges", "1e9"), "--edges: expected a number from 1 to 97"),
        (
            ("--nodes", "1e6", "--edges", "1e10", "--train.examples", "interactions"),
            "train.examples: expected users",
        ),
        (("--tokens", "0"), "--tokens: expected a number of tokens"),
        (("--nodes", "1.5"), "argument --nodes: invalid"),
        (
            ("--train.negatives", "all"),
            "expected uniform, popularity, hard or in_batch",
        ),
        (("--parallel.strategy", "pmap"), "parallel: expected a mesh of all 1 chips"),
        (("--graph.fanouts", "3", "2"), "graph.fanouts: expected a number from 1 on"),
    ],
)
def test_what_cannot_be_planned(workplace, capsys, options, words):
    assert cli.main([*PLAN, *options]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert len(told.splitlines()) == 1


def test_a_task_that_is_not_laid_over_devices(workplace, capsys):
    assert cli.main(["plan", "cora-gcn", "--topology", "cpu:1"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: task: expected ranking")
    assert len(told.splitlines()) == 1


def test_a_python_that_is_not_there(workplace, capsys, monkeypatch):
    monkeypatch.setenv("LLMGNN_TPU_PYTHON", str(workplace / "none"))
    assert cli.main([*PLAN[:2], "--topology", "v5e:2x4"]) == 2
    told = capsys.readouterr().err
    assert "LLMGNN_TPU_PYTHON: expected a Python that has llmgnn_jax" in told
    assert len(told.splitlines()) == 1


def test_no_recipe(workplace, capsys):
    assert cli.main(["plan"]) == 2
    assert "recipe: expected one of" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_draws_neighbours_holds_validations_graph_in_pieces(
    workplace, capsys
):
    sampled = ("--graph.fanouts", "3", "--data.valid-share", "0.1")
    held = {}
    for chips in (1, 4):
        topology = ("--topology", f"cpu:{chips}")
        assert cli.main([*PLAN[:2], *PLAN[4:], *topology, *sampled, "--json"]) == 0
        held[chips] = json.loads(capsys.readouterr().out)["arrays"]
    for kind in ("validation graph", "best parameters"):
        assert 0 < held[4][kind] < 0.4 * held[1][kind]
    assert held[1]["best parameters"] == held[1]["parameters"]
