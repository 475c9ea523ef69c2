"""The configuration: its JSON, its checks, and that both name the field at fault."""

import dataclasses
import json
import math
from typing import Any

import pytest

from llmgnn_jax.config import (
    Config,
    EvaluationConfig,
    FusionConfig,
    GraphConfig,
    TrainConfig,
    flatten,
    from_json,
    replace,
    to_json,
)
from llmgnn_jax.errors import UserError
from llmgnn_jax.recipes import RECIPES, recipe

CHANGED = Config(
    recipe="mine",
    seed=3,
    models=("fused", "text"),
    graph=GraphConfig(layer="gcn", spare_edges=0),
    fusion=FusionConfig(activation="gelu", modality_dropout=0.0),
    train=TrainConfig(loss="bpr", negatives="uniform", learning_rate=1.0, patience=0),
    evaluation=EvaluationConfig(ks=(5,), metric="mrr@5", baselines=False),
)


def tree() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(to_json(CHANGED))
    return loaded


def read(changed: object) -> Config:
    return from_json(json.dumps(changed), origin="runs/a/config.json")


@pytest.mark.parametrize(
    "config", [CHANGED, *(recipe(name) for name in RECIPES)], ids=lambda c: c.recipe
)
def test_json_round_trip(config: Config) -> None:
    text = to_json(config)
    assert text.endswith("}\n")
    again = from_json(text)
    assert again == config
    # Tuples are tuples again, and a whole number where a float is declared a float.
    for name, value in flatten(again).items():
        assert type(value) is type(flatten(config)[name]), name
    hash(again)


def test_whole_numbers_are_read_as_floats() -> None:
    changed = tree()
    changed["train"]["learning_rate"] = 1
    config = read(changed)
    assert type(config.train.learning_rate) is float


def test_absent_fields_have_their_defaults() -> None:
    assert read({"recipe": "r"}) == Config(recipe="r")
    assert read({"recipe": "r", "graph": {"num_layers": 1}}) == Config(
        recipe="r", graph=GraphConfig(num_layers=1)
    )


@pytest.mark.parametrize(("old", "now"), [(False, "none"), (True, "layers")])
def test_run_folders_of_before_a_field_was_a_choice(old: bool, now: str) -> None:
    changed = tree()
    changed["text"]["remat"] = old
    assert read(changed).text.remat == now
    assert json.loads(to_json(read(changed)))["text"]["remat"] == now


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("text", "remat", 1, r"remat: expected none \| dots \| layers, got 1"),
        ("text", "remat", [], r"remat: expected none \| dots \| layers, got \[\]"),
        ("", "speed", 1, "config.json: speed: expected a known field"),
        ("train", "stepz", 1, "config.json: train: stepz: expected a known field"),
        ("", "seed", "0", "seed: expected a whole number, got '0'"),
        ("", "seed", 1.5, "seed: expected a whole number, got 1.5"),
        ("", "seed", True, "seed: expected a whole number, got True"),
        ("", "recipe", None, "recipe: expected a string, got None"),
        ("", "train", 3, "train: expected an object, got int"),
        ("", "models", "fused", "models: expected a list, got 'fused'"),
        ("", "models", ["mlp"], r"models: expected graph \| text \| fused, got 'mlp'"),
        ("train", "l2", "x", "train: l2: expected a number, got 'x'"),
        ("train", "l2", True, "train: l2: expected a number, got True"),
        ("train", "loss", "mse", r"loss: expected bpr \| sampled_softmax .* got 'mse'"),
        ("train", "loss", ["bpr"], r"loss: expected bpr .* got \['bpr'\]"),
        ("evaluation", "ks", [1.5], "ks: expected a whole number, got 1.5"),
        ("evaluation", "baselines", 1, "baselines: expected true or false, got 1"),
    ],
)
def test_wrong_json(section: str, field: str, value: object, message: str) -> None:
    changed = tree()
    (changed[section] if section else changed)[field] = value
    with pytest.raises(UserError, match=message) as caught:
        read(changed)
    assert str(caught.value).startswith("runs/a/config.json: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "config.json: not valid JSON"),
        ("[]", "config.json: expected an object, got list"),
        ("{}", "config.json: .*missing.*'recipe'"),
    ],
)
def test_not_a_configuration(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        from_json(text)
    assert "\n" not in str(caught.value)


POSITIVE = (
    *("graph.embedding_dim", "text.max_length"),
    *("train.num_negatives", "train.batch_size", "train.learning_rate"),
    "train.table_learning_rate",
    *("train.steps", "train.steps_per_call", "train.validate_every"),
    *("train.checkpoint_every", "train.keep_checkpoints"),
    "evaluation.memory_limit_mb",
    *("graph.contrast_temperature", "fusion.alignment_temperature"),
)
NOT_NEGATIVE = (
    *("seed", "graph.num_layers", "graph.init_scale", "graph.temperature"),
    *("graph.spare_users", "graph.spare_items"),
    *("graph.spare_edges", "fusion.anchor", "train.l2", "train.weight_decay"),
    *("train.patience", "train.half_life", "fusion.learning_rate_scale"),
    *("data.min_per_user", "data.min_per_item"),
    *("train.uniformity", "train.popularity_power"),
    *("graph.contrast", "graph.contrast_noise", "graph.text_pull", "fusion.alignment"),
)


@pytest.mark.parametrize("name", POSITIVE)
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_numbers_above_0(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"^{name}: expected a number above 0, got"):
        replace(Config(recipe="r"), **{name: value})


@pytest.mark.parametrize(
    "name",
    ["text.lora_rank", "text.max_length", "text.refresh_every", "train.batch_size"],
)
@pytest.mark.parametrize("value", [2.5, 8.0, True])
def test_whole_numbers(name: str, value: object) -> None:
    line = f"^{name}: expected a whole number, got {value}$"
    with pytest.raises(UserError, match=line):
        replace(Config(recipe="r"), **{name: value})


@pytest.mark.parametrize("name", NOT_NEGATIVE)
def test_numbers_from_0_on(name: str) -> None:
    replace(Config(recipe="r"), **{name: 0})
    for value in (-1, math.nan, math.inf):
        with pytest.raises(UserError, match=f"^{name}: expected 0 or a number above"):
            replace(Config(recipe="r"), **{name: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 2**32}, r"seed: expected below 2\*\*32, got 4294967296"),
        ({"fusion.modality_dropout": 1.0}, "fusion.modality_dropout: .*got 1.0"),
        ({"fusion.modality_dropout": -0.1}, "fusion.modality_dropout: .*got -0.1"),
        ({"node.dropout": 1.0}, "node.dropout: .*got 1.0"),
        (
            {"data.split": "cold_items", "data.cold_share": 1.0},
            "data.cold_share: expected a share between 0 and 1, got 1.0",
        ),
        (
            {"data.split": "cold_items", "data.cold_share": 0.0},
            "data.cold_share: expected a share between 0 and 1, got 0.0",
        ),
        (
            {"data.split": "cold_items", "data.warm_share": 0.5},
            r"data.warm_share: expected a share in \[0, 0.5\), got 0.5",
        ),
        (
            {"data.split": "cold_users", "data.folds": 5, "data.fold": 5},
            "data.fold: expected 0 to 4, got 5",
        ),
        (
            {"data.split": "cold_users", "data.fold": 1},
            "data.fold: expected 0 where there are no folds, got 1",
        ),
        (
            {"data.split": "cold_both", "data.folds": 1},
            "data.folds: expected 2 or more, or 0 for a random share, got 1",
        ),
        (
            {"data.split": "cold_both", "data.folds": 4, "data.valid_share": 0.8},
            "data.valid_share: expected a share from 0 on that leaves something to "
            "train on beside the 0.25 of test, got 0.8",
        ),
        (
            {"graph.layer": "gcn", "graph.num_layers": 0},
            "graph.num_layers: expected 1 or more with the layer gcn, got 0",
        ),
        ({"models": ()}, "models: expected different ones of .*, got none"),
        ({"models": ("text", "text")}, "models: expected .*, got text text"),
        ({"evaluation.ks": ()}, "evaluation.ks: expected cut-offs from 1 on"),
        ({"evaluation.ks": (10, 0)}, "evaluation.ks: expected cut-offs from 1 on"),
        ({"evaluation.ks": (5, 20)}, "evaluation.metric: .*ndcg@20.*, got 'ndcg@10'"),
        ({"evaluation.metric": "auc"}, "evaluation.metric: expected one of recall@10"),
        (
            {"train.loss": "bpr", "train.negatives": "all"},
            "train.negatives: expected uniform, popularity, hard or in_batch with the "
            "loss bpr",
        ),
        (
            {"models": ("graph",), "graph.init": "text"},
            "graph.init: expected normal, xavier or spectral where no model reads "
            "texts, got 'text'; choose one of these, or train --models graph fused",
        ),
        (
            {"train.negatives": "hard"},
            "train.negatives: expected uniform, popularity, in_batch or all with the "
            "loss sampled_softmax: .*, got 'hard'; choose one of these or --train.loss",
        ),
        (
            {"train.loss": "alignment_uniformity"},
            "train.negatives: expected in_batch with the loss alignment_uniformity, "
            "which compares the rows of a batch, got 'all'; add --train.negatives in_b",
        ),
        (
            {
                "train.loss": "alignment_uniformity",
                "train.negatives": "in_batch",
                "train.batch_size": 4,
                "train.accumulate": 4,
            },
            "train.batch_size: expected two rows or more in each of the 4 parts, .*, "
            "got 4$",
        ),
        ({"graph.layer": "sage"}, "graph.layer: expected lightgcn or gcn in the task "),
        ({"train.accumulate": 3}, "train.accumulate: expected a number that divides"),
        (
            {"parallel.strategy": "pmap", "parallel.model": 2},
            "parallel.model: expected 1 with the strategy pmap",
        ),
        (
            {"parallel.strategy": "pmap", "parallel.parameters": "fsdp"},
            "parallel.parameters: expected replicated with the strategy pmap, which "
            "copies all of them, got 'fsdp'; choose --parallel.strategy mesh",
        ),
    ],
)
def test_what_does_not_hold_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}") as caught:
        replace(Config(recipe="r"), **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("data.split", "temporal", "published or random in the task .*, got temporal"),
        ("graph.layer", "lightgcn", "gcn, sage or gat in the task .*, got lightgcn"),
        ("text.mode", "lora", "text.mode: expected frozen in the task .*, got lora"),
        ("text.mode", "full", "text.mode: expected frozen in the task .*, got full"),
        ("node.test_size", 1.5, "a share below 1, or a whole number of nodes, got 1.5"),
        ("node.valid_size", 0.0, "node.valid_size: expected a number above 0, got 0.0"),
        ("node.train_per_class", -1, "node.train_per_class: expected 0 or a number ab"),
        ("graph.num_layers", 0, "expected 1 or more with the layer gcn, got 0$"),
        ("evaluation.baselines", True, "expected False in the task .*, got True"),
        ("evaluation.metric", "ndcg@10", "expected one of accuracy, macro_f1, got"),
        ("task", "ranking", "evaluation.metric: expected one of recall@10"),
    ],
)
def test_a_task_has_its_own_fields(field: str, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        replace(recipe("cora-text"), **{field: value})
    assert "\n" not in str(caught.value)
    changed = replace(recipe("cora-gcn"), **{"evaluation.metric": "macro_f1"})
    assert changed.evaluation.metric == "macro_f1"


def test_replace() -> None:
    config = Config(recipe="r")
    # Each alone would not hold: the order does not matter.
    changes = {"train.loss": "bpr", "train.negatives": "in_batch", "seed": 5}
    for names in (list(changes), list(changes)[::-1]):
        changed = replace(config, **{name: changes[name] for name in names})
        assert changed.train == dataclasses.replace(
            config.train, loss="bpr", negatives="in_batch"
        )
        assert changed.seed == 5
        assert changed.graph == config.graph
    assert config == Config(recipe="r")
    assert replace(config) == config
    for name in ("speed", "train.stepz", "trane.steps", "seed.real", "train.__doc__"):
        with pytest.raises(UserError, match=f"{name}: expected a field"):
            replace(config, **{name: 1})


def test_flatten_names_every_option() -> None:
    flat = flatten(CHANGED)
    assert list(flat)[:5] == ["recipe", "task", "seed", "models", "data.source"]
    assert flat["train.loss"] == "bpr"
    assert flat["evaluation.ks"] == (5,)
    assert replace(Config(recipe="r"), **flat) == CHANGED


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CHANGED.seed = 1  # type: ignore[misc]
    with pytest.raises(TypeError, match="positional"):
        Config("r")  # type: ignore[misc]
