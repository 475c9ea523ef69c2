"""Named runs. A recipe's docstring holds its command, hardware, time and metric."""

import contextlib
import dataclasses
import io
import re
import typing
from collections.abc import Callable, Sequence
from typing import Any

from llmgnn_jax.config import (
    Config,
    DataConfig,
    EvaluationConfig,
    GraphConfig,
    NodeConfig,
    TrainConfig,
    replace,
)
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError

_KINDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
}


def ml_100k() -> Config:
    """MovieLens-100K: LightGCN, MiniLM and their fusion, full softmax.

    Command:   python train.py ml-100k
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      graph 8 s, text 6 s, fused 16 s; about 40 s in all, and 10 s to encode
               the texts the first time
    Metric:    test ndcg@10, mean of seeds 0-2: fused 0.3187, graph 0.3132, text 0.2297
               (EASE 0.3296); `python -m benchmarks.quality_ml100k`
    """
    return Config(recipe="ml-100k")


def synthetic() -> Config:
    """A tiny planted data set and the graph model alone: a smoke test, no download.

    Command:   python train.py synthetic
    Hardware:  any
    Time:      seconds
    Metric:    none is claimed
    """
    return Config(
        recipe="synthetic",
        models=("graph",),
        data=DataConfig(source="synthetic"),
        graph=GraphConfig(num_layers=2, embedding_dim=16),
        train=TrainConfig(
            batch_size=128,
            steps=200,
            steps_per_call=20,
            validate_every=20,
            checkpoint_every=100,
            patience=5,
        ),
    )


def gowalla_lightgcn() -> Config:
    """LightGCN on Gowalla in its published setting: 3 layers, width 64, BPR.

    He et al. 2020: batch 2048, Adam at 1e-3, L2 1e-4, Xavier's initial vectors, a user
    drawn uniformly and then one of its items, one negative; all of the published train
    part is trained on, so nothing is validated or stopped early.

    Command:   python train.py gowalla-lightgcn
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      not yet run
    Metric:    not yet run
    """
    steps_per_epoch = 396  # ceil(810,128 / 2,048)
    return Config(
        recipe="gowalla-lightgcn",
        models=("graph",),
        data=DataConfig(source="gowalla", split="published", valid_share=0.0),
        graph=GraphConfig(
            layer="lightgcn", num_layers=3, embedding_dim=64, init="xavier"
        ),
        train=TrainConfig(
            loss="bpr",
            negatives="uniform",
            num_negatives=1,
            examples="users",
            batch_size=2048,
            learning_rate=1e-3,
            half_life=0,
            l2=1e-4,
            steps=1000 * steps_per_epoch,
            steps_per_call=99,
            validate_every=steps_per_epoch,
            patience=0,
            checkpoint_every=10 * steps_per_epoch,
        ),
        evaluation=EvaluationConfig(ks=(20,), metric="recall@20", baselines=False),
    )


def cora_gcn() -> Config:
    """GCN on Cora in its published setting: 2 layers, hidden width 16, Planetoid split.

    Kipf and Welling 2017: features of unit row sum, dropout 0.5 on the input and the
    hidden layer, L2 5e-4 on the first layer, Adam at 0.01, 200 epochs on 140 labels;
    the parameters of the best validation are kept.

    Command:   python train.py cora-gcn
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      3 s; 29 s for ten seeds
    Metric:    test accuracy, mean of seeds 0-9: 81.86 % +- 0.61 (published: 81.5 %);
               `python -m benchmarks.quality_cora --json docs/results/cora.json`
    """
    return Config(
        recipe="cora-gcn",
        task="node_classification",
        models=("graph",),
        data=DataConfig(source="cora", split="published"),
        graph=GraphConfig(layer="gcn", num_layers=2, embedding_dim=16),
        node=NodeConfig(normalisation="rows", dropout=0.5),
        train=TrainConfig(
            learning_rate=0.01,
            half_life=0,
            l2=5e-4,
            steps=200,
            steps_per_call=1,
            validate_every=1,
            patience=0,
            checkpoint_every=200,
        ),
        evaluation=EvaluationConfig(metric="accuracy", baselines=False),
    )


def gowalla_softmax() -> Config:
    """The same LightGCN on Gowalla in minutes: sampled softmax, a larger step.

    1,024 negatives are shared by a batch, with logQ correction; the step size starts at
    1e-2 and halves every 1,500 steps. These and the ten epochs were chosen with a tenth
    of the train part held out (--data.valid-share 0.1); all of it is trained on here.

    Command:   python train.py gowalla-softmax
    Hardware:  2 CPU cores, jax 0.10.2
    Time:      not yet run
    Metric:    not yet run
    """
    published = gowalla_lightgcn()
    return replace(
        published,
        **{
            "recipe": "gowalla-softmax",
            "train.loss": "sampled_softmax",
            "train.num_negatives": 1024,
            "train.examples": "interactions",
            "train.learning_rate": 1e-2,
            "train.half_life": 1500,
            "train.l2": 1e-3,
            "train.steps": 3960,
        },
    )


RECIPES: dict[str, Callable[[], Config]] = {
    "ml-100k": ml_100k,
    "synthetic": synthetic,
    "gowalla-lightgcn": gowalla_lightgcn,
    "gowalla-softmax": gowalla_softmax,
    "cora-gcn": cora_gcn,
}


def recipe(name: str) -> Config:
    """The configuration of a recipe.

    Raises:
        UserError: If there is none of that name; names the nearest.
    """
    if name not in RECIPES:
        raise UserError.field(
            "recipe",
            expected="one of " + ", ".join(RECIPES),
            got=repr(name),
            # `train --seed 1 ml-100k` looks like the recipe "1".
            fix=did_you_mean(name, RECIPES) or "it comes before its options",
        )
    return RECIPES[name]()


def with_overrides(config: Config, arguments: Sequence[str], *, program: str) -> Config:
    """A configuration with options such as `--train.learning-rate 0.01` applied.

    Args:
        config: The recipe.
        arguments: Options and values; `--help` prints them all and exits.
        program: What was typed before them, for the help.

    Raises:
        UserError: For an unknown option or a value that does not fit.
    """
    import tyro

    types = _field_types(Config)
    for option, words in _options(arguments):
        name = option.replace("_", "-")
        if name not in types:
            raise UserError.field(
                option,
                expected="an option of the recipe (--options lists them)",
                got="an unknown one",
                fix=did_you_mean(name, types),
            )
        _check_words(option, types[name], words)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(
                Config,
                default=config,
                args=list(arguments),
                prog=program,
                description=f"Example: {program} --seed 1 --train.learning-rate 0.01",
                config=(tyro.conf.FlagConversionOff,),
            )
    except SystemExit as exit_:
        if exit_.code == 0:
            raise
        # Tyro draws a box around what `Config` has said on one line.
        if isinstance(exit_.__context__, UserError):
            raise UserError(str(exit_.__context__)) from None
        raise UserError(
            re.sub(r"[\u2500-\u257f]|---+", " ", errors.getvalue())
        ) from None


def _field_types(cls: type, prefix: str = "--") -> dict[str, Any]:
    """Option -> declared type, for each field and those of the sections."""
    types: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(cls).items():
        option = prefix + name.replace("_", "-")
        if dataclasses.is_dataclass(hint):
            types |= _field_types(typing.cast(type, hint), f"{option}.")
        else:
            types[option] = hint
    return types


def _options(arguments: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The options as they were typed, each with the words that follow it."""
    found: list[tuple[str, list[str]]] = []
    for argument in arguments:
        option, equals, word = argument.partition("=")
        if argument == "--help":
            continue
        if option.startswith("--"):
            found.append((option, [word] if equals else []))
        elif found:
            found[-1][1].append(argument)
        else:
            raise UserError.field(
                repr(argument),
                expected="an option such as --seed 1 after the recipe",
                got="a word that belongs to none",
            )
    return found


def _check_words(option: str, hint: Any, words: Sequence[str]) -> None:
    is_list = typing.get_origin(hint) is tuple
    kind = typing.get_args(hint)[0] if is_list else hint
    choices = typing.get_args(kind)
    wrong = [word for word in words if not _fits(kind, word)]
    if wrong or not words or (len(words) > 1 and not is_list):
        got = repr(wrong[0]) if wrong else f"{len(words)} words" if words else "nothing"
        if choices:
            expected = "one of " + ", ".join(choices)
        else:
            expected = _KINDS.get(kind, "a value")
        raise UserError.field(
            option,
            expected=f"values, each {expected}" if is_list else expected,
            got=got,
            fix=did_you_mean(wrong[0], choices) if wrong else "",
        )


def _fits(kind: Any, word: str) -> bool:
    if choices := typing.get_args(kind):
        return word in choices
    if kind is bool:
        return word in ("True", "False")
    try:
        kind(word)
    except ValueError:
        return False
    return True
