"""Recipes and their options: every field can be set, every mistake is one sentence."""

import pytest

from llmgnn_jax.config import Config, flatten
from llmgnn_jax.errors import UserError
from llmgnn_jax.recipes import RECIPES, overrides, recipe, with_overrides


def override(*arguments, name="synthetic"):
    return with_overrides(recipe(name), arguments, program=f"llmgnn train {name}")


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_called_by_their_name_and_say_how_to_run_them(name):
    config = recipe(name)
    assert config.recipe == name
    assert f"python train.py {name}" in (RECIPES[name].__doc__ or "")


def test_an_unknown_recipe_names_the_nearest():
    every = ", ".join(RECIPES)
    with pytest.raises(UserError, match=f"recipe: expected one of {every}, got 'nothi"):
        recipe("nothing like it")
    with pytest.raises(UserError, match=r"got 'ml100k'; did you mean 'ml-100k'\?"):
        recipe("ml100k")


def typed(value):
    """A value as a person would type it."""
    return list(map(str, value)) if isinstance(value, tuple) else [str(value)]


@pytest.mark.parametrize("name", RECIPES)
def test_every_field_is_an_option(name):
    """All at once, each with the value that it has."""
    config = recipe(name)
    arguments = []
    for field, value in flatten(config).items():
        arguments += [f"--{field.replace('_', '-')}", *typed(value)]
    assert override(*arguments, name=name) == config


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--seed", "3"], "seed", 3),
        (["--seed=3"], "seed", 3),
        (["--train.learning-rate", "1e-3"], "train.learning_rate", 1e-3),
        (["--train.learning_rate", "0.5"], "train.learning_rate", 0.5),
        (["--models", "text", "graph"], "models", ("text", "graph")),
        (["--evaluation.ks", "1", "10", "100"], "evaluation.ks", (1, 10, 100)),
        (["--evaluation.baselines", "False"], "evaluation.baselines", False),
        (["--data.source", "a folder/x y"], "data.source", "a folder/x y"),
        (["--data.source", "-"], "data.source", "-"),
        (["--graph.layer", "gcn"], "graph.layer", "gcn"),
        (["--train.steps", "2", "--train.steps", "3"], "train.steps", 3),
    ],
)
def test_an_option_changes_its_field_and_no_other(arguments, field, value):
    before, after = flatten(recipe("synthetic")), flatten(override(*arguments))
    assert after.pop(field) == value
    before.pop(field)
    assert after == before


def test_no_option_changes_nothing():
    assert override() == recipe("synthetic")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--train.stepps", "2"],
            "--train.stepps: expected an option of the recipe "
            r".*got an unknown one; did you mean '--train\.steps'\?",
        ),
        (["--steps", "2"], "--steps: expected an option of the recipe"),
        (["--train", "2"], "--train: expected an option of the recipe"),
        (["--train.steps", "two"], "--train.steps: expected a whole number, got 'two'"),
        (["--train.steps", "2.5"], "--train.steps: expected a whole number, got '2.5'"),
        (["--train.steps"], "--train.steps: expected a whole number, got nothing"),
        (["--train.steps", "--seed", "1"], "--train.steps: expected .*, got nothing"),
        (["--train.steps", "2", "3"], "--train.steps: expected .*, got 2 words"),
        (["--train.steps="], "--train.steps: expected a whole number, got ''"),
        (["--train.l2", "x"], "--train.l2: expected a number, got 'x'"),
        (["--data.min_value", "x"], "min_value: expected a number, or None, got 'x'"),
        (["--data.min_value"], "--data.min_value: expected .*, got nothing"),
        (["--data.min_value", "nan"], r"data\.min_value: expected .*, got nan"),
        (["--train.steps", "0"], r"train\.steps: expected a number above 0, got 0"),
        (["--train.steps", "-2"], r"train\.steps: expected a number above 0, got -2"),
        (["--train.learning-rate", "nan"], "learning_rate: expected .*, got nan"),
        (["--train.learning-rate", "inf"], "learning_rate: expected .*, got inf"),
        (
            ["--graph.layer", "lightgnc"],
            "--graph.layer: expected one of lightgcn, gcn, sage, gat, "
            r"got 'lightgnc'; did you mean 'lightgcn'\?",
        ),
        (
            ["--models", "graph", "fuse"],
            "--models: expected values, each one of graph, "
            r"text, fused, got 'fuse'; did you mean 'fused'\?",
        ),
        (["--models"], "models: expected different ones of .* got none"),
        (["--models", "graph", "graph"], "models: expected different ones of"),
        (["--evaluation.ks", "10", "x"], "--evaluation.ks: .*a whole number, got 'x'"),
        (["--evaluation.ks", "0"], r"evaluation\.ks: expected cut-offs from 1 on"),
        (["--evaluation.metric", "ndcg@7"], r"evaluation\.metric: .* got 'ndcg@7'"),
        (["--evaluation.baselines", "no"], "baselines: expected True or False, got 'n"),
        (["--train.loss", "bpr"], r"train\.negatives: expected uniform, popul"),
        (["stray"], "'stray': expected an option .* after the recipe"),
    ],
)
def test_mistakes_are_one_plain_sentence(arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        override(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    # Nothing of the box that the parser draws.
    assert not set(text) & set("│─╭╰")
    assert "helptext" not in text


def test_what_the_parser_alone_finds_wrong_is_one_plain_sentence(monkeypatch):
    """Whatever gets past the checks before it."""
    monkeypatch.setattr(overrides, "_check_words", lambda *_: None)
    with pytest.raises(UserError, match=r"--train\.steps.*'two'") as caught:
        override("--train.steps", "two")
    text = str(caught.value)
    assert "\n" not in text
    assert not set(text) & set("│─╭╰")


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("ml-100k", ["--node.dropout", "0.1"], "the task is ranking"),
        ("ml-100k", ["--rating.bias-l2", "1"], "the task is ranking"),
        ("ml-100k-rating", ["--train.loss", "bpr"], "the task is rating"),
        ("ml-100k-rating", ["--train.num-negatives", "2"], "the task is rating"),
        ("ml-100k-rating", ["--evaluation.ks", "7"], "the task is rating"),
        ("cora-gcn", ["--rating.bias-l2", "1"], "the task is node_classification"),
        ("ml-100k", ["--data.valid-share", "0.2"], "data.split is random"),
        ("ml-100k", ["--data.cold-share", "0.2"], "data.split is random"),
        ("ml-100k", ["--data.fold", "2"], "data.split is random"),
        (
            "ml-100k",
            ["--data.cold-share=0.2", "--data.folds=5", "--data.split=cold_both"],
            "data.folds is 5",
        ),
        ("cora-gcn", ["--data.folds", "5"], "the task is node_classification"),
        ("ml-100k", ["--train.num_negatives=8"], "train.negatives is all"),
        (
            "ml-100k",
            ["--train.table-learning-rate", "1"],
            "train.table_optimizer is adam",
        ),
        (
            "cora-gcn",
            ["--train.table-optimizer", "rowwise_adagrad"],
            "the task is node_classification",
        ),
        ("ml-100k", ["--train.uniformity", "2"], "train.loss is sampled_softmax"),
        ("ml-100k", ["--train.popularity-power", "1"], "train.negatives is all"),
        ("ml-100k", ["--graph.contrast-noise", "1"], "graph.contrast is 0"),
        ("ml-100k", ["--fusion.alignment-temperature", "1"], "fusion.alignment is 0"),
        ("synthetic", ["--graph.text-pull", "1"], "models are graph"),
        ("synthetic", ["--fusion.anchor", "2"], "models are graph"),
        ("synthetic", ["--text.max-length", "2"], "models are graph"),
        ("gowalla-lightgcn", ["--graph.init-scale", "1"], "graph.init is xavier"),
        ("gowalla-lightgcn", ["--train.patience", "1"], "data.valid_share is 0"),
        ("cora-gcn", ["--train.batch-size", "8"], "the task is node_classification"),
        ("cora-gcn", ["--fusion.anchor", "2"], "models are graph"),
        ("cora-gcn", ["--text.max-length", "9"], "models are graph"),
        ("cora-gcn", ["--node.text-layers", "3"], "models are graph"),
        ("cora-gcn", ["--node.test-size", "0.3"], "data.split is published"),
        ("cora-text", ["--text.lora-rank", "2"], "the task is node_classification"),
        (
            "cora-text",
            ["--fusion.modality-dropout=0.5"],
            "the task is node_classification",
        ),
        (
            "cora-text",
            ["--fusion.activation=tanh", "--fusion.kind=gate"],
            "fusion.kind is gate",
        ),
        (
            "cora-text",
            ["--graph.num-layers=3", "--models", "text"],
            "models are text",
        ),
    ],
)
def test_who_sets_what_is_not_read_is_told(name, arguments, why, caplog):
    override(*arguments, name=name)
    option = arguments[0].partition("=")[0]
    assert caplog.messages == [f"{option}: changes nothing in this run: {why}"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ml-100k", ["--fusion.anchor", "2", "--text.max-length", "8"]),
        ("ml-100k", ["--train.negatives", "uniform", "--train.num-negatives", "8"]),
        (
            "ml-100k",
            [
                *("--train.loss", "alignment_uniformity", "--train.uniformity", "2"),
                *("--train.negatives", "in_batch", "--graph.init-scale", "0.2"),
                *("--graph.init", "spectral", "--graph.text-pull", "0.1"),
            ],
        ),
        ("gowalla-lightgcn", ["--data.valid-share", "0.1", "--train.l2", "0"]),
        (
            "ml-100k",
            [
                "--data.split=cold_items",
                "--data.cold-share=0.2",
                "--data.valid-share=0.2",
            ],
        ),
        ("ml-100k", ["--data.split=cold_users", "--data.folds=5", "--data.fold=4"]),
        (
            "ml-100k",
            [
                *("--train.table-optimizer", "rowwise_adagrad"),
                *("--train.table-learning-rate", "1"),
            ],
        ),
        ("ml-100k", ["--node.dropout", "0.5"]),  # what the recipe says already
        ("cora-gcn", ["--node.dropout", "0.1", "--train.steps", "3", "--seed", "1"]),
        (
            "cora-text",
            [
                *("--node.test-size", "1000", "--node.train-per-class", "20"),
                *("--fusion.kind", "gate", "--text.max-length", "128"),
                *("--node.text-layers", "3", "--graph.layer", "sage"),
            ],
        ),
    ],
)
def test_what_is_read_is_set_in_silence(name, arguments, caplog):
    override(*arguments, name=name)
    assert not caplog.messages


def test_models_of_text_read_nothing_of_the_graph(caplog):
    override("--models", "text", "--train.l2", "1", name="ml-100k")
    why = "changes nothing in this run: models are text"
    assert caplog.messages == [f"--train.l2: {why}"]


def test_the_options_of_a_recipe_are_listed_with_its_values(capsys):
    with pytest.raises(SystemExit) as stopped:
        override("--help")
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert "llmgnn train synthetic --seed 1" in out
    listed = " ".join(out.replace("│", " ").split())
    for field in flatten(Config(recipe="synthetic")):
        assert f"--{field.replace('_', '-')} " in listed
    assert f"(default: {recipe('synthetic').train.steps})" in listed
    assert "Most steps a model is trained for." in listed
