"""`llmgnn generate`: what a decoder says after a prompt, as it says it."""

import argparse
import dataclasses
import logging
import sys

from llmgnn_jax.cli.arguments import Verb, add_json
from llmgnn_jax.cli.output import print_json
from llmgnn_jax.errors import UserError


def add_generate(verb: Verb) -> None:
    """Adds the verb."""
    parser = verb(
        "generate",
        "Let a decoder go on from a prompt, or answer it; the text comes to the "
        "terminal as it is generated.",
        'generate "Name a film about robots." --max-new-tokens 60',
    )
    parser.add_argument(
        "prompt", metavar="PROMPT", help="the text; - reads it from standard input"
    )
    parser.add_argument(
        "--decoder",
        metavar="NAME",
        default="smollm2-135m",
        help="smollm2-135m (English), a Hugging Face folder or hub name of a llama, "
        "mistral, qwen2, qwen3 or gemma, or a GGUF file (default: smollm2-135m)",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="go on from the prompt as it is, not as a turn of a conversation",
    )
    parser.add_argument(
        "--system", metavar="TEXT", help="what the conversation begins with"
    )
    parser.add_argument(
        "--max-new-tokens",
        type=int,
        default=128,
        metavar="N",
        help="most tokens (default: 128)",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.0,
        metavar="T",
        help="0 takes the likeliest token always (default: 0)",
    )
    parser.add_argument(
        "--top-k",
        type=int,
        default=0,
        metavar="K",
        help="draw among the K likeliest tokens; 0: all (default: 0)",
    )
    parser.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        metavar="P",
        help="draw among the likeliest tokens of this probability together "
        "(default: 1)",
    )
    parser.add_argument(
        "--stop",
        action="append",
        default=[],
        metavar="TEXT",
        help="end before this text; may be repeated",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the draws (default: 0)"
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="what matrices are kept in (default: float32)",
    )
    add_json(parser)


def generate(options: argparse.Namespace) -> int:
    """Prints the text piece by piece, or one document."""
    if options.max_new_tokens < 1:
        raise UserError.field(
            "--max-new-tokens", expected="1 or more", got=options.max_new_tokens
        )
    if options.plain and options.system is not None:
        raise UserError.field(
            "--system", expected="none with --plain", got=repr(options.system)
        )
    prompt = sys.stdin.read() if options.prompt == "-" else options.prompt
    # How weights are loaded is of no interest here.
    logging.getLogger("llmgnn_jax").setLevel(logging.WARNING)
    from llmgnn_jax.text.generation.chat import Turn
    from llmgnn_jax.text.generation.generator import TextGenerator
    from llmgnn_jax.text.generation.sampling import SamplingOptions

    drawing = SamplingOptions(
        temperature=options.temperature, top_k=options.top_k, top_p=options.top_p
    )
    generator = TextGenerator.load(options.decoder, dtype=options.dtype)
    if not options.plain:
        turns = [Turn(role="user", text=prompt)]
        if options.system is not None:
            turns.insert(0, Turn(role="system", text=options.system))
        prompt = generator.chat(turns)
    if options.json:
        (found,) = generator.generate(
            [prompt],
            max_new_tokens=options.max_new_tokens,
            options=drawing,
            stop=options.stop,
            seed=options.seed,
        )
        print_json(
            {
                **dataclasses.asdict(found),
                "prompt": str(prompt),
                "prompt_tokens": generator.count_tokens([prompt])[0],
                "decoder": options.decoder,
                "seed": options.seed,
            }
        )
        return 0
    for piece in generator.stream(
        prompt,
        max_new_tokens=options.max_new_tokens,
        options=drawing,
        stop=options.stop,
        seed=options.seed,
    ):
        print(piece, end="", flush=True)
    print()
    return 0
