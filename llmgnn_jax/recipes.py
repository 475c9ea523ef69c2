"""Named runs. A recipe's docstring holds its command, hardware, time and metric."""

import contextlib
import io
import re
from collections.abc import Callable, Sequence

from llmgnn_jax.config import (
    Config,
    DataConfig,
    GraphConfig,
    TrainConfig,
    flatten,
)
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError


def ml_100k() -> Config:
    """MovieLens-100K: LightGCN, MiniLM and their fusion, full softmax.

    Command:  python train.py ml-100k
    """
    return Config(recipe="ml-100k")


def synthetic() -> Config:
    """A tiny planted data set and the graph model alone: a smoke test, no download.

    Command:  python train.py synthetic
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


RECIPES: dict[str, Callable[[], Config]] = {
    "ml-100k": ml_100k,
    "synthetic": synthetic,
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
            fix=did_you_mean(name, RECIPES),
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

    names = [f"--{name.replace('_', '-')}" for name in flatten(config)]
    for argument in arguments:
        option = argument.partition("=")[0]
        if not option.startswith("--") or option == "--help":
            continue
        if option.replace("_", "-") not in names:
            raise UserError.field(
                option,
                expected="an option of the recipe (--help lists them)",
                got="an unknown one",
                fix=did_you_mean(option.replace("_", "-"), names),
            )
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(
                Config,
                default=config,
                args=list(arguments),
                prog=program,
                description=f"Example: {program} --seed 1 --train.learning-rate 0.01",
            )
    except SystemExit as exit_:
        if exit_.code == 0:
            raise
        raise UserError(_first_block(errors.getvalue())) from None


def _first_block(text: str) -> str:
    """What tyro's box says, on one line, without its frame and its help."""
    blocks = re.split(r"\n\s*-{8,}\s*\n", text)
    message = " ".join((blocks[1] if len(blocks) > 1 else text).split())
    return message.removeprefix("Error parsing ").removeprefix("Config: ")
