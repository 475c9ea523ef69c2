"""`llmgnn write-back`: a run's recommendations into the database."""

import argparse
import dataclasses
import logging
from collections.abc import Sequence

from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.cli.output import print_json
from llmgnn_jax.data.sources.neo4j import load_source
from llmgnn_jax.errors import UserError

ALL = "all"


def write_back(options: argparse.Namespace) -> int:
    """Writes lists as relationships."""
    # How a run is loaded is of no interest here; what is left out is.
    logging.getLogger("llmgnn_jax").setLevel(logging.WARNING)
    source = load_source(options.to)
    users = _users(options.users)
    from llmgnn_jax.serving.neo4j import check_target, write_back
    from llmgnn_jax.serving.recommender import Recommender

    # Before the run is loaded, which takes longer.
    check_target(source, type=options.type)
    recommender = Recommender.load(options.run, model=options.model)
    result = write_back(
        recommender,
        source=source,
        k=options.k,
        users=users,
        type=options.type,
        name=options.name,
        batch=options.batch,
    )
    if options.json:
        print_json(
            {
                "run": str(options.run),
                "database": source.connection.place,
                "type": options.type,
                **dataclasses.asdict(result),
            }
        )
        return 0
    print(
        f"{result.users} users: {result.written} relationships written, "
        f"{result.unchanged} unchanged, {result.removed} removed "
        f"(model {result.model}, version {result.version})"
    )
    return 0


def _users(words: Sequence[str]) -> list[str] | None:
    """Ids, or those that a file lists, one a line; None for all."""
    if list(words) == [ALL]:
        return None
    if len(words) == 1 and (path := named_path(words[0])).is_file():
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError.field(
                "--users", expected="a file of ids, one a line", got=error
            ) from error
        words = [line.strip() for line in lines if line.strip()]
        if not words:
            raise UserError.field(
                "--users", expected="a file of ids, one a line", got="an empty one"
            )
    return list(words)
