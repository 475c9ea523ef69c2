"""Whole runs: as another process, killed and resumed, and what must not leak."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from llmgnn_jax.config import replace
from llmgnn_jax.data import catalog
from llmgnn_jax.data.splits import split_by_rule
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.evaluation.contract import check_results
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.text.tokens import FastTokenizer, load_tokenizer
from llmgnn_jax.training.checkpoint import CheckpointFolder
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.run import fit
from llmgnn_jax.training.trained import set_up

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_what_is_learned_beats_what_is_popular(finished_run):
    results = json.loads((finished_run / "results.json").read_text("utf-8"))
    quality = {name: m["test"]["ndcg@10"] for name, m in results["models"].items()}
    assert quality["graph"] > 1.1 * quality["popularity"]
    assert quality["fused"] > 1.1 * quality["popularity"]


# Leakage


@pytest.fixture
def tokenized(monkeypatch):
    """Every text that is cut into tokens, and the ids that come of it."""
    texts, ids = [], set()
    encode = FastTokenizer.encode

    def spy(self, batch, *, max_length):
        texts.extend(batch)
        found = encode(self, batch, max_length=max_length)
        ids.update(*found)
        return found

    monkeypatch.setattr(FastTokenizer, "encode", spy)
    return texts, ids


@pytest.mark.parametrize(
    "rule",
    [
        "random",
        pytest.param("leave_last_out", marks=pytest.mark.slow),
        pytest.param("temporal", marks=pytest.mark.slow),
        pytest.param("cold_items", marks=pytest.mark.slow),
        pytest.param("cold_both", marks=pytest.mark.slow),
    ],
)
def test_no_word_of_a_held_out_review_reaches_a_token(
    tiny_config, tiny_encoder, markers, tokenized, workplace, monkeypatch, rule
):
    backend = load_tokenizer(tiny_encoder)
    number = {
        part: backend.encode([word], max_length=8)[0][1]
        for part, word in markers.items()
    }
    assert len(set(number.values())) == 3
    texts, ids = tokenized
    texts.clear()
    ids.clear()

    plain = synthetic(reviews=True)
    split = split_by_rule(plain, rule=rule, seed=0)
    reviews = list(plain.interaction_texts)
    for part, word in markers.items():
        for row in getattr(split, part):
            reviews[row] = f"{word} {reviews[row]} {word}"
    planted = dataclasses.replace(plain, interaction_texts=tuple(reviews))
    again = split_by_rule(planted, rule=rule, seed=0)
    for part in markers:
        np.testing.assert_array_equal(getattr(split, part), getattr(again, part))
    monkeypatch.setattr(catalog, "load", lambda source, **_: planted)
    # Nothing is stored yet: each text is encoded in sight.
    monkeypatch.setenv("LLMGNN_CACHE", str(workplace / "cache"))
    config = replace(
        tiny_config, **{"data.split": rule, "train.steps": 4, "models": ("fused",)}
    )
    fit(config, out="run")
    recommender = Recommender.load("run")
    recommender.recommend(user="u1")
    recommender.recommend(items=["i1", "i2"])
    recommender.recommend(text="a bank heist")

    seen = " ".join(texts)
    assert markers["train"] in seen
    assert number["train"] in ids
    for part in ("valid", "test"):
        assert markers[part] not in seen
        assert number[part] not in ids
        for file in ("results.json", "report.html", "metrics.jsonl"):
            assert markers[part] not in Path("run", file).read_text("utf-8")


# Other ways to train


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"graph.layer": "gcn"},
        {"graph.layer": "gcn", "train.loss": "bpr", "train.negatives": "uniform"},
        {"train.loss": "bpr", "train.negatives": "in_batch"},
        {"train.negatives": "uniform", "train.num_negatives": 16},
        {"train.negatives": "in_batch"},
        {"graph.backend": "segment"},
        {"data.split": "leave_last_out"},
        {"data.split": "temporal"},
        # So early no cold item is among the best.
        {
            "data.split": "cold_items",
            "data.cold_share": 0.2,
            "evaluation.ks": (40,),
            "evaluation.metric": "recall@40",
        },
        {"data.split": "cold_users", "data.folds": 4, "data.fold": 1},
        {"data.split": "cold_both", "data.valid_share": 0.0},
        {"text.pooling": "cls", "text.max_length": 16},
        {"fusion.activation": "tanh", "fusion.modality_dropout": 0.0},
        {"graph.spare_users": 1, "graph.spare_items": 0, "graph.spare_edges": 64},
        {
            "evaluation.memory_limit_mb": 1,
            "evaluation.ks": (1, 100),
            "evaluation.metric": "recall@100",
        },
        {"seed": 7, "train.weight_decay": 0.1, "train.half_life": 2},
        {"train.batch_size": 1000},
    ],
    ids=lambda changes: ",".join(name.partition(".")[2] or name for name in changes),
)
def test_every_way_to_train_gives_a_whole_run(tiny_config, workplace, changes):
    short = {
        "models": ("fused",),
        "train.steps": 5,
        "train.num_negatives": 32,
        "evaluation.baselines": False,
    }
    config = replace(tiny_config, **{**short, **changes})
    results = fit(config, out="run").results
    check_results(results)
    metrics = results["models"]["fused"]["test"]
    assert all(0 <= value <= 1 for value in metrics.values())
    assert metrics[config.evaluation.metric] > 0
    recommender = Recommender.load("run")
    assert len(recommender.recommend(user="u3", k=3)) == 3
    assert len(recommender.recommend(items=["i7", "i11"], k=3)) == 3
    assert len(recommender.recommend(text="a bank heist", k=3)) == 3


# As another process, and as XLA optimises it elsewhere

# A killed process may leave half a program in the cache, which others pass over.
HALF_WRITTEN = ("-W", "ignore:Error reading persistent compilation cache entry")


@pytest.fixture
def command(workplace, cache_folder):
    """(arguments) -> a running `python train.py ...` in an empty folder."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("LLMGNN_", "JAX_", "PYTHON", "XLA_"))
    }
    environment |= {
        name: os.environ[name]
        for name in os.environ
        if name.startswith(("JAX_COMPILATION_CACHE_", "JAX_PERSISTENT_CACHE_"))
    }
    environment |= {
        "JAX_PLATFORMS": "cpu",
        "LLMGNN_CACHE": str(cache_folder),
        "LLMGNN_OFFLINE": "1",
    }

    def start(*arguments, program=(str(ROOT / "train.py"),)):
        # A warning would be something that a user sees and cannot mend.
        return subprocess.Popen(
            [
                *(sys.executable, "-W", "error", *HALF_WRITTEN, *program),
                *map(str, arguments),
            ],
            cwd=workplace,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def finished(process, code=0):
    """stdout and stderr of a process that ends with this exit code."""
    out, err = process.communicate(timeout=240)
    assert process.returncode == code, f"{out}\n{err}"
    return out, err


MODULE = ("-m", "llmgnn_jax.cli")


@pytest.mark.slow
def test_the_entry_point_trains_and_writes_a_run(command, workplace):
    out, err = finished(command("synthetic", "--train.steps", "2"))
    (run,) = (workplace / "runs" / "synthetic").iterdir()
    assert {path.name for path in run.iterdir()} == {
        "config.json",
        "split.json",
        "metrics.jsonl",
        "results.json",
        "per_user.npz",
        "report.html",
        "checkpoints",
    }
    check_results(json.loads((run / "results.json").read_text("utf-8")))
    assert [path.name for path in run.glob("checkpoints/graph/*")] == ["2"]
    assert out.splitlines()[-1].endswith(f"{run.relative_to(workplace)}/report.html")
    assert "synthetic: 60 users, 40 items, 900 interactions" in err
    assert "Traceback" not in err

    out, _ = finished(command("synthetic", "--train.steps", "4", "--resume", "--json"))
    document = json.loads(out)
    check_results(document)
    assert document["models"]["graph"]["budget"]["steps"] == 4
    assert Path(document["run"]) == run.relative_to(workplace)

    question = ("recommend", document["run"], "--user", "u3", "--json")
    out, err = finished(command(*question, program=MODULE))
    assert len(json.loads(out)["items"]) == 10
    assert err == ""

    out, err = finished(command("syntetic"), code=2)
    assert out == ""
    assert err.startswith("error: recipe: ")
    assert err.count("\n") == 1
    out, err = finished(command("syntetic", "--debug"), code=2)
    assert err.startswith("Traceback")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--help",), ("data", "list")])
def test_a_reader_that_goes_away_is_no_error(command, arguments):
    process = command(*arguments, program=MODULE)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0
    process.stderr.close()


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def killed_after_a_checkpoint(process, folder):
    """Kills a process as soon as a whole checkpoint is in the folder."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        if any(path.name.isdigit() for path in folder.glob("*")):
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(
    command, workplace, tiny_config, as_typed
):
    config = replace(
        tiny_config,
        **{
            "train.steps": 330,
            "train.steps_per_call": 10,
            "train.validate_every": 40,
            "train.checkpoint_every": 30,
            "train.keep_checkpoints": 2,
            "evaluation.baselines": False,
        },
    )
    words = ["synthetic", *as_typed(config)]
    finished(command(*words, "--out", "whole"))

    killed = workplace / "killed"
    again = [*words, "--out", "killed"]
    killed_after_a_checkpoint(command(*again), killed / "checkpoints" / "graph")
    assert not (killed / "results.json").exists()

    before = content(killed)
    out, err = finished(command(*again), code=2)
    assert out == ""
    assert err.count("\n") == 1
    assert "--resume" in err
    assert "--overwrite" in err
    assert content(killed) == before

    resumed = command(*again, "--resume")
    killed_after_a_checkpoint(resumed, killed / "checkpoints" / "fused")
    _, err = finished(command(*again, "--resume"))
    assert "graph: resumed at step 330" in err
    assert "fused: resumed at step " in err

    prepared = prepare(config)
    for name in ("graph", "text", "fused"):
        template = set_up(name, prepared).snapshot
        snapshots = []
        for run in ("whole", "killed"):
            with CheckpointFolder(workplace / run / "checkpoints" / name, keep=2) as f:
                assert f.steps() == [300, 330]
                snapshots.append(f.restore(template))
        whole, parts = (
            dataclasses.replace(
                one, progress=dataclasses.replace(one.progress, seconds=0.0)
            )
            for one in snapshots
        )
        for (path, a), b in zip(
            jax.tree_util.tree_leaves_with_path(whole),
            jax.tree.leaves(parts),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b, err_msg=f"{name} {path}")

    results, lines = {}, {}
    for run in ("whole", "killed"):
        document = json.loads((workplace / run / "results.json").read_text("utf-8"))
        results[run] = {
            name: (model["valid"], model["test"])
            for name, model in document["models"].items()
        }
        text = (workplace / run / "metrics.jsonl").read_text("utf-8")
        records = map(json.loads, text.splitlines())
        lines[run] = [
            (one["model"], one["step"], one.get("loss"), one.get("valid"))
            for one in records
            if one["model"] != "encoder"
        ]
    assert results["whole"] == results["killed"]
    assert lines["whole"] == lines["killed"]
