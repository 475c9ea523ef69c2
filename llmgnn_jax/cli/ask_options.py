"""The options of `llmgnn ask`."""

from llmgnn_jax.cli.arguments import Verb, add_json
from llmgnn_jax.cli.words_option import WORDS_HELP


def add_ask(verb: Verb) -> None:
    """Adds the verb."""
    ask = verb(
        "ask",
        "Answer a question about a run, in English or Chinese, from its graph and its "
        "recommendations, with citations.",
        "ask runs/ml-100k/20260101-120000 "
        '"Which science-fiction films would user 196 like and why?"',
    )
    ask.add_argument("run", metavar="RUN", help="a run folder, or its gs:// URL")
    ask.add_argument("question", metavar="QUESTION", help="one line")
    ask.add_argument(
        "--words",
        metavar="NAME",
        default="smollm2-135m",
        help=f"{WORDS_HELP} (default: smollm2-135m)",
    )
    ask.add_argument(
        "--k",
        type=int,
        default=3,
        help="how many items are named where the question does not say (default: 3)",
    )
    ask.add_argument(
        "--model", choices=("graph", "text", "fused"), help="default: the run's last"
    )
    add_json(ask)
