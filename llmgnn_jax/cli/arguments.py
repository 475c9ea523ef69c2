"""What the verbs' options are made of."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from llmgnn_jax.errors import UserError


class Parser(argparse.ArgumentParser):
    """Shows an example first in its help, and one line for a mistake."""

    def __init__(self, *, example: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.allow_abbrev = False
        self._example = example

    def format_help(self) -> str:
        example = f"example:\n  {self._example}\n\n" if self._example else ""
        return example + super().format_help()

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


Verb: TypeAlias = Callable[[str, str, str], Parser]
"""(name, what it does, an example) -> its parser."""


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on stdout"
    )
