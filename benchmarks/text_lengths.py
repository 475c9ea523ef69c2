"""Texts of one length to vectors with MiniLM, from 16 to 512 tokens, in texts a second.

    python -m benchmarks.text_lengths --json benchmarks/results/text_lengths.json

Strings in, unit vectors out, as in `text_encode`; here nobody pads, and what is left is
how fast each side computes. 16,384 tokens a run, float32. `tokens_per_s` of a row has
the texts' own tokens and the two that begin and end each.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import texts
from benchmarks.harness import Case, System, Unavailable, main
from benchmarks.harness.system import Inputs
from benchmarks.text_encode import ENCODER, TOLERANCES, about, add_tokens
from llmgnn_jax import assets
from llmgnn_jax.errors import UserError

LENGTHS = (16, 32, 64, 128, 256, 512)
TOKENS, QUICK_TOKENS = 16_384, 4_096
# Each is one token of BERT's vocabulary.
WORDS = (
    "film",
    "music",
    "card",
    "house",
    "man",
    "war",
    "friend",
    "night",
    "good",
    "old",
)
SETTING = {"encoder": ENCODER, "max_length": max(LENGTHS)}
# Variant -> function and options of `torch_baseline.text_encode`.
PEERS: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    **{
        ("sentence-transformers", f"batch {size}"): ("setup", {"batch_size": size})
        for size in (8, 32)
    },
    **{
        ("pytorch", f"{count} tokens a batch"): (
            "setup_by_tokens",
            {"batch_tokens": count},
        )
        for count in (512, 1024, 4096)
    },
}


def inputs_of(length: int, *, tokens: int) -> Callable[[], Inputs]:
    """So many texts that all tokens together are `tokens`."""

    def make() -> Inputs:
        try:
            assets.fetch(ENCODER)
        except UserError as error:
            raise Unavailable(str(error)) from None
        random = np.random.default_rng(length)
        # [CLS] and [SEP] are two of them.
        words = random.choice(WORDS, size=(tokens // length, length - 2))
        return texts.pack_texts([" ".join(row) for row in words.tolist()])

    return make


def systems() -> tuple[System, ...]:
    """Ours and the peers."""
    ours = System(
        system="llmgnn_jax",
        variant="TextEncoder",
        setup="benchmarks.ours.text_encode:setup",
        options={**SETTING, "dtype": "float32"},
    )
    peers = [
        System(
            system=system,
            variant=variant,
            setup=f"benchmarks.torch_baseline.text_encode:{setup}",
            options={**SETTING, **options},
        )
        for (system, variant), (setup, options) in PEERS.items()
    ]
    return (ours, *peers)


def cases(quick: bool) -> Sequence[Case]:
    """Every length; `--quick` takes fewer texts."""
    return [
        Case(
            size=f"{length} tokens",
            precision="float32",
            unit="texts/s",
            inputs=inputs_of(length, tokens=QUICK_TOKENS if quick else TOKENS),
            systems=systems(),
            tolerance=TOLERANCES["float32"],
            about=about,
        )
        for length in LENGTHS
    ]


if __name__ == "__main__":
    main("text_lengths", cases, description=__doc__ or "", finish=add_tokens)
