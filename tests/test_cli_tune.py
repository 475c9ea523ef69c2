"""`llmgnn tune`: what is printed, what it goes on from, and what is refused."""

import json
import shlex

import pytest

from llmgnn_jax.training.preemption import EXIT_CODE, Preempted
from llmgnn_jax.tuning.space import draw

pytestmark = pytest.mark.usefixtures("workplace")

FEW = (
    *("--train.steps", "4", "--train.validate-every", "2", "--graph.backend", "csr"),
    *("--train.steps-per-call", "2", "--graph.embedding-dim", "8"),
)
SPACE = '[train]\nlearning_rate = [1e-2, 1e-1, "log"]\nl2 = [0.0, 1e-3, 1e-2]\n'


@pytest.fixture
def tuned(workplace, llmgnn):
    (workplace / "space.toml").write_text(SPACE, "utf-8")

    def run(*arguments):
        return llmgnn(
            *("tune", "synthetic", "--space", "space.toml", "--out", "found.jsonl"),
            *(*arguments, *FEW),
        )

    return run


@pytest.mark.slow
def test_it_says_how_to_train_with_what_it_chose(tuned, workplace, llmgnn, caplog):
    code, out, _ = tuned("--trials", "2", "--seed", "1")
    assert code == 0
    for number in (1, 2):
        assert f"trial {number} of 2: valid ndcg@10 0." in caplog.text
    assert "; best 0." in caplog.text
    lines = (workplace / "found.jsonl").read_text("utf-8").splitlines()
    _, *trials = map(json.loads, lines)
    best = max(trials, key=lambda trial: trial["value"])
    assert out.startswith(f"valid ndcg@10 {best['value']:.4f}, trial ")
    drawn = [
        draw(
            {
                "train.learning_rate": (1e-2, 1e-1, "log"),
                "train.l2": (0.0, 1e-3, 1e-2),
            },
            seed=1,
            trial=number,
        )
        for number in range(2)
    ]
    assert [trial["values"] for trial in trials] == drawn

    *_, command = out.splitlines()
    words = shlex.split(command)
    assert words[:3] == ["llmgnn", "train", "synthetic"]
    assert words[words.index("--seed") + 1] == "1"
    rate = words[words.index("--train.learning-rate") + 1]
    assert float(rate) == best["values"]["train.learning_rate"]
    # It trains, and is on valid what was promised.
    options = ("--json", "--evaluation.baselines", "False", "--out", "run")
    code, out, _ = llmgnn(*words[1:], *options)
    assert code == 0
    results = json.loads(out)
    assert results["models"]["graph"]["valid"]["ndcg@10"] == best["value"]

    # The same command makes no trial again.
    content = (workplace / "found.jsonl").read_bytes()
    code, again, _ = tuned("--trials", "2", "--seed", "1", "--json")
    assert (workplace / "found.jsonl").read_bytes() == content
    document = json.loads(again)
    assert document["train"] == command
    assert document["model"] == "graph"
    assert [one["value"] for one in document["trials"]] == [
        trial["value"] for trial in trials
    ]
    assert document["budget"]["value"] == best["value"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--out: expected a file for the trials, got none"),
        (("--out", "x", "--trials", "0"), "--trials: expected 1 or more, got 0"),
        (("--out", "x", "--trials", "many"), "argument --trials: invalid int value"),
        (("--out", "x", "--model", "gnn"), "argument --model: invalid choice: 'gnn'"),
        (
            ("--out", "x", "--space", "bpr_fm"),
            "--space: expected one of graph, text, fused, bpr_mf, lightgcn, two_tower, "
            "or a .toml file, got 'bpr_fm'; did you mean 'bpr_mf'?",
        ),
        (
            ("--out", "x", "--space", "two_tower", "--model", "graph"),
            "--model: expected text, which the space two_tower is of, got graph",
        ),
        (("--out", "x", "--space", "no.toml"), "no.toml: expected a TOML file, got No"),
        (("--out", "x", "--trian.steps", "3"), "--trian.steps: expected an option of"),
        (("--out", "x", "--space", "bad.toml"), "space: train.lr: expected a field of"),
        (("--out", "notes.txt"), "notes.txt: expected a new file, or one with the tri"),
        (("--out", "gs://b/x.jsonl"), "gs://b/x.jsonl: expected a file on this machin"),
        (("--out", "x", "--seed", "-1"), "seed: expected 0 or a number above, got -1"),
    ],
)
def test_what_is_refused(workplace, refused, arguments, message):
    (workplace / "bad.toml").write_text("train.lr = [1, 2]", "utf-8")
    (workplace / "notes.txt").write_text("mine", "utf-8")
    line = refused("tune", "synthetic", *arguments)
    assert line.startswith(message), line
    assert (workplace / "notes.txt").read_text("utf-8") == "mine"


def test_another_seed_needs_another_file(tuned, refused, workplace):
    code, out, _ = tuned("--trials", "1")
    assert code == 0
    assert out.startswith("valid ndcg@10 0.")
    assert "\nllmgnn train synthetic --graph.embedding-dim 8 " in out
    content = (workplace / "found.jsonl").read_bytes()
    code, out, err = tuned("--trials", "1", "--seed", "2")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(
        "error: found.jsonl: seed: expected 2, as this search has it, got trials with 0"
    )
    assert (workplace / "found.jsonl").read_bytes() == content


def test_told_to_stop_it_can_be_run_again(tuned, monkeypatch):
    def told(*_, **__):
        raise Preempted("graph: told to stop at step 2")

    monkeypatch.setattr("llmgnn_jax.tuning.random_search.train_model", told)
    code, out, err = tuned("--trials", "1")
    assert (code, out) == (EXIT_CODE, "")
    assert err.splitlines()[-1] == (
        "graph: told to stop at step 2; the same command makes that trial anew"
    )


def test_its_help_shows_an_example_and_its_options_are_the_recipes(llmgnn):
    code, out, _ = llmgnn("tune", "--help")
    assert code == 0
    assert out.startswith("example:\n  llmgnn tune ml-100k")
    code, out, _ = llmgnn("tune", "synthetic", "--options")
    assert code == 0
    assert "--train.learning-rate" in out
