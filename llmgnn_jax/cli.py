"""The command line: `llmgnn VERB ...`. With `--json` one document goes to stdout."""

import argparse
import dataclasses
import json
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from llmgnn_jax import __version__
from llmgnn_jax.errors import UserError

_DESCRIPTION = "Recommenders that fuse a graph neural network with a language model."


_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Returns:
        The exit code: 0, or 2 for what the user can mend, which is said on one line.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("llmgnn_jax").setLevel(logging.INFO)
    debug = "--debug" in arguments
    try:
        try:
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
        trains = arguments[:1] == ["train"]
        hint = "; --resume goes on from the last checkpoint, if any" if trains else ""
        print(f"interrupted{hint}", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has gone: `llmgnn ... | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: list[str]) -> int:
    options, rest = _parser().parse_known_args(arguments)
    if rest and options.verb != "train":
        raise UserError.field(
            rest[0],
            expected="an option of llmgnn " + options.verb,
            got="an unknown one",
        )
    if options.verb == "train":
        return _train(options, rest)
    return {"evaluate": _evaluate, "recommend": _recommend, "data": _data}[
        options.verb
    ](options)


def _parser() -> _Parser:
    parser = _Parser(
        prog="llmgnn", description=_DESCRIPTION, example="llmgnn train ml-100k"
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str, example: str) -> _Parser:
        made = verbs.add_parser(
            name, help=text, description=text, example=f"llmgnn {example}"
        )
        made.add_argument(
            "--debug", action="store_true", help="show the traceback of an error"
        )
        return made

    train = verb(
        "train",
        "Train, evaluate and report a recipe.",
        "train ml-100k --seed 1 --train.learning-rate 0.01",
    )
    train.add_argument(
        "recipe",
        nargs="?",
        help="its name; `llmgnn train RECIPE --options` lists the options of a recipe",
    )
    train.add_argument("--out", metavar="DIR", help="the run folder")
    train.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint"
    )
    train.add_argument(
        "--overwrite", action="store_true", help="remove the run that is there"
    )
    train.add_argument(
        "--profile",
        type=int,
        default=0,
        metavar="STEPS",
        help="trace that many steps with jax.profiler",
    )
    train.add_argument(
        "--tensorboard", action="store_true", help="write TensorBoard events too"
    )
    train.add_argument(
        "--options", action="store_true", help="list the recipe's options and exit"
    )
    _add_json(train)

    evaluate = verb(
        "evaluate",
        "Measure a run's models again and rewrite its results and report.",
        "evaluate runs/ml-100k/20260101-120000",
    )
    evaluate.add_argument("run", metavar="RUN", help="a run folder")
    _add_json(evaluate)

    recommend = verb(
        "recommend",
        "Recommend items to a known user, to someone who likes some items, or for a "
        "text.",
        'recommend runs/ml-100k/20260101-120000 --item "Toy Story" --item 50 --k 5',
    )
    recommend.add_argument("run", metavar="RUN", help="a run folder")
    recommend.add_argument("--user", metavar="ID", help="a user of the training data")
    recommend.add_argument(
        "--item",
        action="append",
        metavar="ITEM",
        help="an id or title that is liked; may be repeated",
    )
    recommend.add_argument("--text", metavar="WORDS", help="what is looked for")
    recommend.add_argument(
        "--k", type=int, default=10, help="how many items (default: 10)"
    )
    recommend.add_argument(
        "--model", choices=("graph", "text", "fused"), help="default: the run's last"
    )
    _add_json(recommend)

    data = verb("data", "List, fetch and find data sets and weights.", "data list")
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
        _add_json(made)
    return parser


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on stdout"
    )


def _train(options: argparse.Namespace, overrides: list[str]) -> int:
    from llmgnn_jax import recipes

    recipe = options.recipe
    if recipe is None and overrides and not overrides[0].startswith("-"):
        # Before Python 3.12 argparse overlooks it behind an option without a value.
        recipe, *overrides = overrides
    if recipe is None:
        raise UserError.field(
            "recipe", expected="one of " + ", ".join(recipes.RECIPES), got="none"
        )
    program = f"llmgnn train {recipe}"
    if options.options:
        overrides = ["--help"]
    config = recipes.with_overrides(recipes.recipe(recipe), overrides, program=program)
    if options.profile < 0:
        raise UserError.field(
            "--profile", expected="a number of steps", got=options.profile
        )
    from llmgnn_jax.training.run import fit

    command = shlex.join([*program.split(), *overrides])
    run = fit(
        config,
        out=options.out,
        resume=options.resume,
        overwrite=options.overwrite,
        profile_steps=options.profile,
        tensorboard=options.tensorboard,
        command=command,
    )
    _show_results(run.results, options.json, run.folder)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from llmgnn_jax.training.run import evaluate

    run = evaluate(options.run, command=f"llmgnn evaluate {shlex.quote(options.run)}")
    _show_results(run.results, options.json, run.folder)
    return 0


def _show_results(results: Any, as_json: bool, folder: Any) -> None:
    if as_json:
        _print_json({"run": str(folder), **results})
        return
    from llmgnn_jax.evaluation.table import models_table

    print(models_table(results))
    print(f"\nrun     {folder}\nreport  {folder / 'report.html'}")


def _recommend(options: argparse.Namespace) -> int:
    # How a run is loaded is of no interest here; which items were understood is.
    logging.getLogger("llmgnn_jax").setLevel(logging.WARNING)
    if not options.json:
        logging.getLogger("llmgnn_jax.serving").setLevel(logging.INFO)
    from llmgnn_jax.serving.recommender import Recommender

    recommender = Recommender.load(options.run, model=options.model)
    items = recommender.recommend(
        user=options.user, items=options.item, text=options.text, k=options.k
    )
    if options.json:
        asked = {"user": options.user, "items": options.item, "text": options.text}
        _print_json(
            {
                "items": [dataclasses.asdict(item) for item in items],
                "query": {key: one for key, one in asked.items() if one is not None},
                "run": str(options.run),
                "model": recommender.model_name,
            }
        )
        return 0
    width = max((len(item.id) for item in items), default=0)
    for item in items:
        print(f"{item.rank:>4}  {item.score:9.4f}  {item.id:>{width}}  {item.title}")
    return 0


def _data(options: argparse.Namespace) -> int:
    from llmgnn_jax import assets

    if options.action == "list":
        listing = assets.listing()
        if options.json:
            _print_json({"assets": [dataclasses.asdict(one) for one in listing]})
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
        _print_json({"name": options.name, "path": str(path)})
    else:
        print(path)
    return 0


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def run_and_exit() -> NoReturn:
    """The entry of `llmgnn`: `main`, then the end of the process."""
    code = main()
    if code == _INTERRUPTED:
        # XLA's and orbax's threads are in the middle of something: a regular exit would
        # tear down what they stand on.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run_and_exit()
