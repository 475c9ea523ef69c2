"""`llmgnn tune`: a search, and the command that trains with what it found."""

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llmgnn_jax.cli.commands import configured
from llmgnn_jax.cli.output import print_json
from llmgnn_jax.config import Config, ModelName, flatten
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError

if TYPE_CHECKING:
    from llmgnn_jax.tuning import Search, Space


def tune(options: argparse.Namespace, overrides: list[str]) -> int:
    """Searches, and prints how to train with the best."""
    config, program, _ = configured(options, overrides)
    if options.out is None:
        raise UserError.field(
            "--out",
            expected="a file for the trials",
            got="none",
            fix="name one that ends in .jsonl",
        )
    if options.trials < 1:
        raise UserError.field("--trials", expected="1 or more", got=options.trials)
    from llmgnn_jax.recipes import recipe
    from llmgnn_jax.training.preemption import EXIT_CODE, Preempted
    from llmgnn_jax.tuning import search

    model, space = _searched(config, options.model, options.space)
    try:
        found = search(
            config,
            space=space,
            model=model,
            trials=options.trials,
            seed=config.seed,
            file=options.out,
        )
    except Preempted as told:
        print(f"{told}; the same command makes that trial anew", file=sys.stderr)
        return EXIT_CODE
    name = program.split()[-1]
    command = shlex.join(["llmgnn", "train", name, *_typed(recipe(name), found.config)])
    if options.json:
        print_json(
            {
                "train": command,
                "model": model,
                "budget": found.budget,
                "trials": [dataclasses.asdict(one) for one in found.trials],
            }
        )
    else:
        _show(found, command)
    return 0


def _searched(
    config: Config, model: ModelName | None, space: str | None
) -> tuple[ModelName, "Space"]:
    """Which model, and where: each says what the other one is by default."""
    from llmgnn_jax.tuning import SPACES, read_space

    if space is None:
        space = model or config.models[-1]
    if space in SPACES:
        named = SPACES[space]
        if model not in (None, named.model):
            raise UserError.field(
                "--model",
                expected=f"{named.model}, which the space {space} is of",
                got=model,
            )
        return named.model, named.space
    if not space.endswith(".toml"):
        raise UserError.field(
            "--space",
            expected=f"one of {', '.join(SPACES)}, or a .toml file",
            got=repr(space),
            fix=did_you_mean(space, SPACES),
        )
    return model or config.models[-1], read_space(Path(space))


def _typed(recipe: Config, chosen: Config) -> Sequence[str]:
    """The options that make one of the other."""
    before, words = flatten(recipe), list[str]()
    for field, value in flatten(chosen).items():
        if value != before[field]:
            several = value if isinstance(value, tuple) else (value,)
            words += [f"--{field.replace('_', '-')}", *map(str, several)]
    return words


def _show(found: "Search", command: str) -> None:
    budget = found.budget
    print(
        f"{budget['chosen_by']} {budget['value']:.4f}, trial {found.best.trial + 1} of "
        f"{budget['trials']}"
    )
    width = max(map(len, budget["grid"]))
    for field, choices in budget["grid"].items():
        if len(choices) > 1:
            edge = "  at the edge" if field in budget["at_edge"] else ""
            print(f"  {field:{width}}  {budget['chosen'][field]}{edge}")
    print(f"\n{command}")
