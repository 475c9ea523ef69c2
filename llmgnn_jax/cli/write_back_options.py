"""The options of `llmgnn write-back`."""

from llmgnn_jax.cli.arguments import Verb, add_json


def add_write_back(verb: Verb) -> None:
    """Adds the verb."""
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
    add_json(write_back)
