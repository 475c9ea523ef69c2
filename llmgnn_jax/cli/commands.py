"""What the verbs of runs and of data do."""

import argparse
import dataclasses
import logging
import shlex
import sys
from typing import Any

from llmgnn_jax.cli.output import print_json
from llmgnn_jax.config import Config, to_json
from llmgnn_jax.errors import UserError


def train(options: argparse.Namespace, overrides: list[str]) -> int:
    """Trains, evaluates and reports a recipe."""
    config, program, overrides = configured(options, overrides)
    if options.profile < 0:
        raise UserError.field(
            "--profile", expected="a number of steps", got=options.profile
        )
    said = (options.coordinator, options.processes, options.process)
    if options.distributed or any(one is not None for one in said):
        from llmgnn_jax.parallel.processes import Cluster, join

        join(
            Cluster(
                coordinator=options.coordinator,
                processes=options.processes,
                process=options.process,
            )
        )
    from llmgnn_jax.training.preemption import EXIT_CODE, Preempted
    from llmgnn_jax.training.run import fit

    command = shlex.join([*program.split(), *overrides])
    try:
        run = fit(
            config,
            out=options.out,
            resume=options.resume,
            overwrite=options.overwrite,
            profile_steps=options.profile,
            tensorboard=options.tensorboard,
            show_ids=options.show_ids,
            command=command,
        )
    except Preempted as told:
        print(f"{told}; --resume goes on from there", file=sys.stderr)
        return EXIT_CODE
    if run.results is not None:
        _show_results(run.results, options.json, run.folder)
    return 0


def configured(
    options: argparse.Namespace, overrides: list[str]
) -> tuple[Config, str, list[str]]:
    """The recipe with its fields changed, the command so far, and the changes."""
    from llmgnn_jax import recipes

    recipe = options.recipe
    if recipe is None and overrides and not overrides[0].startswith("-"):
        # Before Python 3.12 argparse overlooks it behind an option without a value.
        recipe, *overrides = overrides
    if recipe is None:
        raise UserError.field(
            "recipe", expected="one of " + ", ".join(recipes.RECIPES), got="none"
        )
    program = f"llmgnn {options.verb} {recipe}"
    if options.options:
        overrides = ["--help"]
    config = recipes.with_overrides(recipes.recipe(recipe), overrides, program=program)
    return config, program, overrides


def plan(options: argparse.Namespace, overrides: list[str]) -> int:
    """Compiles a recipe's step for chips, and says what it takes."""
    config, _, _ = configured(options, overrides)
    from llmgnn_jax.planning.plan import Request
    from llmgnn_jax.planning.process import plan_apart
    from llmgnn_jax.planning.table import plan_table

    document = plan_apart(
        Request(
            config=to_json(config),
            topology=options.topology,
            nodes=options.nodes,
            edges=options.edges,
            degrees=options.degrees,
            tokens=options.tokens,
        )
    )
    if options.json:
        print_json(document)
    else:
        print(plan_table(document))
    return 0


def evaluate(options: argparse.Namespace) -> int:
    """Measures a run again."""
    from llmgnn_jax.training.run import evaluate

    words = ["llmgnn", "evaluate", options.run, *["--show-ids"] * options.show_ids]
    run = evaluate(options.run, show_ids=options.show_ids, command=shlex.join(words))
    _show_results(run.results, options.json, run.folder)
    return 0


def _show_results(results: Any, as_json: bool, folder: Any) -> None:
    if as_json:
        print_json({"run": str(folder), **results})
        return
    from llmgnn_jax.evaluation.table import models_table

    print(models_table(results))
    print(f"\nrun     {folder}\nreport  {folder / 'report.html'}")


def recommend(options: argparse.Namespace) -> int:
    """Prints a list of items."""
    # How a run is loaded is of no interest here; which items were understood is.
    logging.getLogger("llmgnn_jax").setLevel(logging.WARNING)
    if not options.json:
        logging.getLogger("llmgnn_jax.serving").setLevel(logging.INFO)
    from llmgnn_jax.serving.recommender import Recommender

    recommender = Recommender.load(options.run, model=options.model)
    asked = {
        "user": options.user,
        "items": options.item,
        "text": options.text,
        "sentence": options.sentence,
    }
    items = recommender.recommend(**asked, k=options.k)
    if options.json:
        understood = {}
        if options.sentence is not None:
            named = recommender.named(options.sentence)
            understood = {
                "understood": [
                    {"id": one.id, "title": one.title, "words": one.words}
                    for one in named
                ]
            }
        print_json(
            {
                "items": [dataclasses.asdict(item) for item in items],
                "query": {key: one for key, one in asked.items() if one is not None},
                **understood,
                "run": str(options.run),
                "model": recommender.model_name,
            }
        )
        return 0
    width = max((len(item.id) for item in items), default=0)
    for item in items:
        print(f"{item.rank:>4}  {item.score:9.4f}  {item.id:>{width}}  {item.title}")
    return 0


def predict(options: argparse.Namespace) -> int:
    """Prints what a user is expected to give some items."""
    logging.getLogger("llmgnn_jax").setLevel(logging.WARNING)
    from llmgnn_jax.serving.recommender import Recommender

    recommender = Recommender.load(options.run, model=options.model)
    found = [recommender.predict(user=options.user, item=item) for item in options.item]
    if options.json:
        print_json(
            {
                "ratings": [dataclasses.asdict(one) for one in found],
                "query": {"user": options.user, "items": options.item},
                "run": str(options.run),
                "model": recommender.model_name,
            }
        )
        return 0
    width = max(len(one.id) for one in found)
    for one in found:
        print(f"{one.rating:9.4f}  {one.id:>{width}}  {one.title}")
    return 0


def data(options: argparse.Namespace) -> int:
    """Lists, fetches and finds assets, and describes data."""
    if options.action == "describe":
        from llmgnn_jax.cli.describe_data import describe

        return describe(options)
    from llmgnn_jax import assets

    if options.action == "list":
        listing = assets.listing()
        if options.json:
            print_json({"assets": [dataclasses.asdict(one) for one in listing]})
            return 0
        for one in listing:
            state = "cached" if one.path else "not cached"
            size = f"{one.size / 2**20:.1f} MiB"
            print(f"{one.name:12}  {size:>9}  {state:10}  {one.description}")
        return 0
    if options.action == "fetch":
        from llmgnn_jax.data.catalog import fetch

        path = fetch(options.name)
    else:
        found = assets.where(options.name)
        if found is None:
            raise UserError.field(
                options.name,
                expected="an asset in the cache",
                got="one that is not there",
                fix=f"llmgnn data fetch {options.name}",
            )
        path = found
    if options.json:
        print_json({"name": options.name, "path": str(path)})
    else:
        print(path)
    return 0
