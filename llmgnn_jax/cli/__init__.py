"""The command line: `llmgnn VERB ...`. With `--json` one document goes to stdout."""

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from llmgnn_jax.cli import commands
from llmgnn_jax.cli.ask import ask
from llmgnn_jax.cli.encode_texts import encode
from llmgnn_jax.cli.explain import explain
from llmgnn_jax.cli.generate_text import generate
from llmgnn_jax.cli.interrupt import never_lost
from llmgnn_jax.cli.parser import build_parser
from llmgnn_jax.cli.teach import teach
from llmgnn_jax.cli.tune_recipe import tune
from llmgnn_jax.cli.write_back import write_back
from llmgnn_jax.errors import UserError
from llmgnn_jax.native.memory import keep_freed_memory

_INTERRUPTED = 130

_VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "evaluate": commands.evaluate,
    "recommend": commands.recommend,
    "ask": ask,
    "predict": commands.predict,
    "explain": explain,
    "write-back": write_back,
    "encode": encode,
    "generate": generate,
    "data": commands.data,
    "teach": teach,
}

# Those that take the options of a recipe too.
_RECIPES: dict[str, Callable[[argparse.Namespace, list[str]], int]] = {
    "train": commands.train,
    "plan": commands.plan,
    "tune": tune,
}

# What an interrupted command leaves.
_GOES_ON = {
    "train": "; --resume goes on from the last checkpoint, if any",
    "encode": "; the same command goes on where it was",
    "tune": "; the same command goes on where it was",
    "write-back": "; each user has the old list or the new: the same command goes on",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Returns:
        The exit code: 0, or 2 for what the user can mend, which is said on one line.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("llmgnn_jax").setLevel(logging.INFO)
    # Before JAX, and with it its threads, is there.
    keep_freed_memory()
    debug = "--debug" in arguments
    try:
        try:
            with never_lost():
                return _run([one for one in arguments if one != "--debug"])
        finally:
            # Here, and not when Python exits, it is known that the reader has gone.
            sys.stdout.flush()
    except UserError as error:
        if debug:
            traceback.print_exc()
        else:
            print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        hint = _GOES_ON.get(arguments[0], "") if arguments else ""
        print(f"interrupted{hint}", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has gone: `llmgnn ... | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: list[str]) -> int:
    options, rest = build_parser().parse_known_args(arguments)
    if rest and options.verb not in _RECIPES:
        raise UserError.field(
            rest[0],
            expected="an option of llmgnn " + options.verb,
            got="an unknown one",
        )
    if options.verb in _RECIPES:
        return _RECIPES[options.verb](options, rest)
    return _VERBS[options.verb](options)


def run_and_exit() -> NoReturn:
    """The entry of `llmgnn`: `main`, then the end of the process."""
    code = main()
    if code == _INTERRUPTED:
        # XLA's and orbax's threads are in the middle of something: a regular exit would
        # tear down what they stand on.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
