"""Options of the command line over a recipe: `--train.learning-rate 0.01`."""

import contextlib
import dataclasses
import io
import logging
import re
import typing
from collections.abc import Sequence
from typing import Any

from llmgnn_jax.config import Config, flatten, unused_fields
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)

_KINDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
}


def with_overrides(config: Config, arguments: Sequence[str], *, program: str) -> Config:
    """A configuration with options such as `--train.learning-rate 0.01` applied.

    An option that changes what the run will not read is warned of.

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
            changed = tyro.cli(
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
    before, after, unused = flatten(config), flatten(changed), unused_fields(changed)
    for option, _ in _options(arguments):
        name = option.removeprefix("--").replace("-", "_")
        # Who repeats what the recipe says has not set anything.
        if name in unused and before[name] != after[name]:
            logger.warning("%s: changes nothing in this run: %s", option, unused[name])
    return changed


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
    may_be_none = type(None) in typing.get_args(kind)
    if may_be_none:
        kind = typing.get_args(kind)[0]
    choices = typing.get_args(kind)
    wrong = [
        word
        for word in words
        if not (_fits(kind, word) or (may_be_none and word == "None"))
    ]
    # A list may be empty: what it is for says whether that makes sense.
    if wrong or (len(words) != 1 and not is_list):
        got = repr(wrong[0]) if wrong else f"{len(words)} words" if words else "nothing"
        if choices:
            expected = "one of " + ", ".join(choices)
        else:
            expected = _KINDS.get(kind, "a value")
        if may_be_none:
            expected += ", or None"
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
