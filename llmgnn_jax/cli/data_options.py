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
    made = actions.add_parser(
        "describe",
        help="Say what a data set is like.",
        description="Say what a data set is like before a training reads it: how many "
        "users, items and links there are, how ratings, times and histories are "
        "spread, which texts and features there are, what each split would hold out "
        "that its train part has never met, and what would flatter a model (pairs and "
        "titles that repeat, links made of the interactions). Of labelled nodes: "
        "classes, edges and features. Users are not named unless --show-ids is given.",
        example="llmgnn data describe ml-100k --out neighbourhood.svg",
    )
    made.add_argument(
        "source",
        metavar="SOURCE",
        help="a name of `llmgnn data list`, a table (.csv, .tsv, .jsonl, .parquet), a "
        "mapping (.toml) or a folder of data files",
    )
    # As the option of a recipe is called: errors about a table name it.
    made.add_argument(
        "--data.columns",
        dest="columns",
        nargs="+",
        default=[],
        metavar="ROLE=COLUMN",
        help="which column of a table is what, where its name does not say it: "
        "user=customer item=sku",
    )
    made.add_argument(
        "--out",
        metavar="FILE",
        help="draw a user (or a labelled node) and what is around it: .svg, or .png "
        "with the extra png",
    )
    made.add_argument(
        "--show-ids",
        action="store_true",
        help="call users by their ids in the picture, not user 1, user 2, ...",
    )
    made.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the random splits that are looked at (default: 0)",
    )
    made.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    add_json(made)
