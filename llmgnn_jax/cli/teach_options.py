"""The options of `llmgnn teach`."""

from llmgnn_jax.cli.arguments import Verb, add_json


def add_teach(verb: Verb) -> None:
    """Adds the verb."""
    teach = verb(
        "teach",
        "Teach a run to speak, from the reviews that it was trained with: an adapter "
        "that tells a language model of user and item, or a small decoder of its own. "
        "Held-out reviews say how well it does, with what it is told and without.",
        "teach runs/cards/20260101-120000 --decoder adapter --words smollm2-135m",
    )
    teach.add_argument("run", metavar="RUN", help="a run folder of data with reviews")
    teach.add_argument(
        "--decoder",
        choices=("adapter", "lstm", "cnn", "transformer"),
        default="adapter",
        help="who is taught (default: adapter)",
    )
    teach.add_argument(
        "--words",
        metavar="NAME",
        default="smollm2-135m",
        help="the language model of the adapter, which stays as it is: an asset, a "
        "Hugging Face folder or hub name, or a GGUF file (default: smollm2-135m)",
    )
    teach.add_argument(
        "--told",
        choices=("merged", "encoder"),
        default="merged",
        help="the vectors that the model ranks by, or those of its text encoder "
        "(default: merged)",
    )
    teach.add_argument(
        "--soft-tokens",
        type=int,
        default=8,
        metavar="P",
        help="that the adapter makes of them (default: 8)",
    )
    teach.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="bfloat16",
        help="operands of the language model's products (default: bfloat16)",
    )
    teach.add_argument("--steps", type=int, metavar="N", help="steps at most")
    teach.add_argument("--batch-size", type=int, metavar="N", help="reviews of a step")
    teach.add_argument("--learning-rate", type=float, metavar="RATE", help="at its top")
    teach.add_argument(
        "--reviews",
        type=int,
        default=0,
        metavar="N",
        help="of each part a random draw of so many (default: all)",
    )
    teach.add_argument(
        "--model", choices=("graph", "text", "fused"), help="default: the run's last"
    )
    teach.add_argument("--seed", type=int, default=0, help="of all draws (default: 0)")
    teach.add_argument(
        "--name", help="of the folder RUN/words/NAME (default: the decoder's)"
    )
    teach.add_argument(
        "--overwrite", action="store_true", help="replace the words of that name"
    )
    teach.add_argument(
        "--show",
        type=int,
        default=0,
        metavar="N",
        help="print so many held-out reviews, and what it says in their place",
    )
    add_json(teach)
