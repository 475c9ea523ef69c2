"""Texts to vectors with MiniLM: tokenising, encoding, pooling, in texts a second.

    python -m benchmarks.text_encode --rounds 5 --json results.json

Two corpora of ragged length: titles, genres and tags of 9,742 movies, and 2,972 reviews
of gift cards. Both sides are given strings and give unit vectors in the order of the
strings; texts are cut at 256 tokens. The peers are sentence-transformers, which sorts
by length itself, with every batch size that might be its best, and the same encoder in
plain PyTorch in batches of like token counts. A run is a pass over the corpus;
`--texts N` takes N of its texts.

Parity is that of all vectors. In bfloat16 each row also says what its vectors' mean
cosine is to those of float32 (`notes.cosine_to_float32`). `notes.padding` is the share
of padding in a side's batches.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import texts
from benchmarks.harness import Case, System, Unavailable, main
from benchmarks.harness.allocator import KEEPS_MEMORY
from benchmarks.harness.system import Inputs, Precision
from llmgnn_jax import assets
from llmgnn_jax.errors import UserError

ENCODER = "minilm-l6"
MAX_LENGTH = 256
CORPORA: dict[str, Callable[[], list[str]]] = {
    "movies": texts.movies,
    "gift-card reviews": texts.reviews,
}
QUICK_TEXTS = 512
SETTING = {"encoder": ENCODER, "max_length": MAX_LENGTH}
# Variant -> options of `torch_baseline.text_encode`: for sentence-transformers ...
SENTENCES: dict[Precision, dict[str, dict[str, Any]]] = {
    "float32": {
        **{f"batch {size}": {"batch_size": size} for size in (8, 16, 32, 64, 128)},
        "batch 32, eager attention": {"batch_size": 32, "attention": "eager"},
        "batch 32, torch.compile": {"batch_size": 32, "compiled": True},
    },
    "bfloat16": {
        **{
            f"batch {size}": {"batch_size": size, "numerics": "bfloat16"}
            for size in (8, 16, 32, 64, 128)
        },
        **{
            f"batch {size}, autocast": {"batch_size": size, "numerics": "autocast"}
            for size in (16, 32)
        },
        "batch 32, torch.compile": {
            "batch_size": 32,
            "numerics": "bfloat16",
            "compiled": True,
        },
    },
}
# ... and for the encoder alone, in batches of at most so many places.
BUDGETS: dict[Precision, dict[str, dict[str, Any]]] = {
    "float32": {f"{n} tokens a batch": {"batch_tokens": n} for n in (256, 512, 1024)},
    "bfloat16": {
        f"{n} tokens a batch": {"batch_tokens": n, "numerics": "bfloat16"}
        for n in (256, 512, 1024)
    },
}
# Once more with an allocator that keeps what is freed, and ours too.
KEEPING = ("batch 16", "batch 64")
# Of each array's largest entry; those of unit vectors are below 1, so that in float32
# no entry differs by more than 1e-4.
TOLERANCES: dict[Precision, float] = {"float32": 1e-4, "bfloat16": 0.05}


def inputs_of(
    read: Callable[[], list[str]], count: int | None, precision: Precision
) -> Callable[[], Inputs]:
    """The corpus and, in bfloat16, the vectors that float32 gives."""

    def make() -> Inputs:
        try:
            assets.fetch(ENCODER)
        except UserError as error:
            raise Unavailable(str(error)) from None
        inputs = texts.pack_texts(texts.subset(read(), count))
        return inputs if precision == "float32" else {**inputs, **reference(inputs)}

    return make


def reference(
    inputs: Inputs, *, encoder: str = "", max_length: int = MAX_LENGTH
) -> Inputs:
    """`reference` (N, D) float32: our vectors in float32."""
    with tempfile.TemporaryDirectory() as folder:
        for name, array in inputs.items():
            np.save(Path(folder) / f"{name}.npy", array)
        # In a process of its own: this one imports neither torch nor JAX.
        module = ["-m", "benchmarks.ours.text_encode"]
        words = [folder, encoder or ENCODER, str(max_length)]
        subprocess.run([sys.executable, *module, *words], check=True)
        return {"reference": np.load(Path(folder) / "reference.npy")}


def about(inputs: Inputs) -> str:
    """How many texts, and how ragged they are."""
    lengths = np.diff(inputs["text_ends"], prepend=0)
    low, high = np.percentile(lengths, [50, 99])
    return f"{len(lengths):,} texts, median {low:.0f} bytes, 99 % below {high:.0f}."


def systems(precision: Precision) -> tuple[System, ...]:
    """Ours and the peers of one precision."""
    ours = [
        System(
            system="llmgnn_jax",
            variant=f"TextEncoder{suffix}",
            setup="benchmarks.ours.text_encode:setup",
            options={**SETTING, "dtype": precision},
            environment=environment,
        )
        for suffix, environment in (("", {}), (", tuned malloc", KEEPS_MEMORY))
    ]

    def peer(name: str, setup: str, variant: str, options: dict[str, Any]) -> System:
        keeping = variant.endswith(", tuned malloc")
        return System(
            system=name,
            variant=variant,
            setup=f"benchmarks.torch_baseline.text_encode:{setup}",
            options={**SETTING, **options},
            environment=KEEPS_MEMORY if keeping else {},
        )

    sentences = SENTENCES[precision]
    kept = {f"{variant}, tuned malloc": sentences[variant] for variant in KEEPING}
    return (
        *ours,
        *(
            peer("sentence-transformers", "setup", variant, options)
            for variant, options in {**sentences, **kept}.items()
        ),
        *(
            peer("pytorch", "setup_by_tokens", variant, options)
            for variant, options in BUDGETS[precision].items()
        ),
    )


def cases(quick: bool, *, texts: int | None = None) -> Sequence[Case]:
    """Both corpora in both precisions; `--quick` takes 512 texts of each."""
    count = QUICK_TEXTS if quick and texts is None else texts
    return [
        Case(
            size=name if count is None else f"{count} {name}",
            precision=precision,
            unit="texts/s",
            inputs=inputs_of(read, count, precision),
            systems=systems(precision),
            tolerance=TOLERANCES[precision],
            about=about,
        )
        for name, read in CORPORA.items()
        for precision in ("float32", "bfloat16")
    ]


def add_tokens(document: dict[str, Any], _: Path | None) -> None:
    """Adds `tokens_per_s` to each row: of texts alone, without padding."""
    for row in document["rows"]:
        row["tokens_per_s"] = row["median"] * row["notes"]["tokens_per_text"]


def extra(document: dict[str, Any]) -> str:
    """Padding, tokens a second and nearness to float32, a line for each row."""
    lines = []
    for row in document["rows"]:
        notes = row["notes"]
        said = f"padding {notes['padding']:.1%}, {row['tokens_per_s']:,.0f} tokens/s"
        if "cosine_to_float32" in notes:
            said += f", mean cosine to float32 {notes['cosine_to_float32']:.5f}"
        name = f"{row['system']} {row['variant']}"
        lines.append(f"{row['size']}, {row['precision']}, {name}: {said}")
    return "\n".join(lines)


if __name__ == "__main__":
    main(
        "text_encode",
        cases,
        description=__doc__ or "",
        options_of_cases={
            "texts": {
                "type": int,
                "metavar": "N",
                "help": "of each corpus, drawn at random by a fixed seed",
            }
        },
        finish=add_tokens,
        more=extra,
    )
