"""The options of `llmgnn explain`."""

from llmgnn_jax.cli.arguments import Verb, add_json
from llmgnn_jax.cli.words_option import WORDS_HELP


def add_explain(verb: Verb) -> None:
    """Adds the verb."""
    explain = verb(
        "explain",
        "Say why an item has its score for a user: the interactions and links that "
        "carry it, each with what it adds.",
        'explain runs/ml-100k/20260101-120000 --user 196 --item "Fargo" --out why.svg',
    )
    explain.add_argument("run", metavar="RUN", help="a run folder, or its gs:// URL")
    explain.add_argument(
        "--user", metavar="ID", required=True, help="a user of the training data"
    )
    explain.add_argument(
        "--item", metavar="ITEM", required=True, help="its id or title, met or not"
    )
    explain.add_argument(
        "--most-edges",
        type=int,
        default=12,
        metavar="N",
        help="how many edges are cited at most (default: 12)",
    )
    explain.add_argument(
        "--out",
        metavar="FILE",
        help="draw it too: .svg, .png, or .html with the sentences beside it",
    )
    explain.add_argument(
        "--language",
        choices=("en", "zh"),
        default="en",
        help="of the sentences (default: en)",
    )
    explain.add_argument(
        "--words", metavar="NAME", help=f"say it in other words too: {WORDS_HELP}"
    )
    explain.add_argument(
        "--show-ids",
        action="store_true",
        help="name other users by their ids; without it they are counted",
    )
    explain.add_argument(
        "--model", choices=("graph", "text", "fused"), help="default: the run's last"
    )
    add_json(explain)
