"""The options of `llmgnn data`."""

import argparse
from typing import Any

from llmgnn_jax.cli.arguments import Verb, add_json


def add_data(verb: Verb) -> None:
    """Adds the verb and its actions."""
    data = verb(
        "data",
        "List, fetch, find and describe data sets; list, fetch and find weights.",
        "data list",
    )
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, text in (
        ("list", "What there is."),
        ("fetch", "Bring it into the cache."),
        ("where", "Print its folder."),
    ):
        made = actions.add_parser(
            action,
            help=text,
            description=text,
            example=f"llmgnn data {action}" + ("" if action == "list" else " ml-100k"),
        )
        if action != "list":
            made.add_argument("name", metavar="NAME")
        made.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
        add_json(made)
    _add_describe(actions)


def _add_describe(actions: Any) -> None:
    text = (
        "What a data set is like: counts, degrees, texts, relations, what is cold in "
        "held-out parts, and what would flatter a model."
    )
    made = actions.add_parser(
        "describe",
        help=text,
        description=text,
        example="llmgnn data describe ml-100k --out neighbourhood.svg",
    )
    made.add_argument(
        "source", metavar="SOURCE", help="a name, or a folder of data files"
    )
    made.add_argument(
        "--out",
        metavar="FILE",
        help="a picture of a user and what is around it: .svg, or .png with the extra "
        "png",
    )
    made.add_argument(
        "--show-ids",
        action="store_true",
        help="call users by their ids in the picture, not user 1, user 2, ...",
    )
    made.add_argument(
        "--seed", type=int, default=0, help="of the random split (default: 0)"
    )
    made.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    add_json(made)
