"""A fine-tuning step of MiniLM: forward, backward, AdamW; all of it, or adapters.

    python -m benchmarks.text_train --json benchmarks/results/text_train.json

The shape of all-MiniLM-L6-v2 with random weights. The loss is that of the contrastive
training that the model is meant for: the two halves of a batch are pairs, their vectors
(mean over tokens, unit length) must find one another among all of the batch
(cross-entropy of 20 x cosine). No dropout on either side. `full` trains all parameters;
`lora` adapters of rank 8 on queries and values, the rest frozen.

Two sizes: 64 texts of 64 random tokens each, and 64 reviews of gift cards, cut at 128
tokens, where the peers pad to the longest and ours may pack several into a row. In
bfloat16 parameters, gradients and Adam's moments of ours are float32, operands of the
products bfloat16. Parity is that of the first step's gradients and of the losses of
three steps, AdamW between them; of bfloat16 without what PyTorch sums up in bfloat16
(`bert_weights.for_parity`).
"""

import dataclasses
import functools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from benchmarks import texts
from benchmarks.bert_weights import (
    MINILM,
    Shape,
    random_adapters,
    random_weights,
    with_prefix,
)
from benchmarks.harness import Case, System, Unavailable, main
from benchmarks.harness.allocator import KEEPS_MEMORY
from benchmarks.harness.system import Inputs, Precision
from benchmarks.work import of_text_training
from llmgnn_jax import assets
from llmgnn_jax.errors import UserError

Mode: TypeAlias = Literal["full", "lora"]
ENCODER = "minilm-l6"
RANK = 8
SETTING = {
    "learning_rate": 2e-5,
    "weight_decay": 0.01,
    "temperature": 0.05,
    "alpha": 16.0,
}
# Batches that are drawn beforehand and taken in turn.
BATCHES = 4
KEEPING = ", tuned malloc"
# Variant -> options of `torch_baseline.text_train.setup`.
PEERS: dict[Precision, dict[str, dict[str, Any]]] = {
    "float32": {
        "eager": {},
        "eager, eager attention": {"attention": "eager"},
        "torch.compile": {"compiled": True},
        "torch.compile, eager attention": {"attention": "eager", "compiled": True},
    },
    "bfloat16": {
        "autocast": {"numerics": "autocast"},
        "autocast, eager attention": {"numerics": "autocast", "attention": "eager"},
        "autocast, torch.compile": {"numerics": "autocast", "compiled": True},
        "bfloat16 weights": {"numerics": "bfloat16"},
        "bfloat16 weights, torch.compile": {"numerics": "bfloat16", "compiled": True},
        "float32, products in bfloat16": {"numerics": "products"},
        "float32, products in bfloat16, torch.compile": {
            "numerics": "products",
            "compiled": True,
        },
    },
}
# Further ones: adapters by PEFT itself, and batches cut into four of like lengths.
PEFT = {
    "float32": {"PEFT": {"adapters": "peft"}},
    "bfloat16": {"PEFT, autocast": {"adapters": "peft", "numerics": "autocast"}},
}
PARTS = {
    "float32": {
        "eager, 4 parts by length": {"parts": 4},
        "torch.compile, 4 parts by length": {"parts": 4, "compiled": True},
    },
    "bfloat16": {
        "autocast, 4 parts by length": {"parts": 4, "numerics": "autocast"},
        "autocast, eager attention, 4 parts by length": {
            "parts": 4,
            "numerics": "autocast",
            "attention": "eager",
        },
        "bfloat16 weights, 4 parts by length": {"parts": 4, "numerics": "bfloat16"},
    },
}
# Once more with an allocator that keeps what is freed, and ours too.
KEPT = {
    "float32": ("eager", "torch.compile"),
    "bfloat16": (
        "autocast",
        "autocast, torch.compile",
        "bfloat16 weights",
        "float32, products in bfloat16",
    ),
}
# Of each array's largest entry. In bfloat16 the systems round at other places.
TOLERANCES: dict[Precision, float] = {"float32": 1e-3, "bfloat16": 0.2}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """What is trained on what.

    Attributes:
        shape: Of the encoder.
        texts: Of a batch; its halves are pairs.
        tokens: Of each text; of reviews the most.
        reviews: Whether texts are reviews rather than random tokens.
    """

    shape: Shape
    texts: int
    tokens: int
    reviews: bool = False

    @property
    def name(self) -> str:
        """For tables."""
        what = (
            f"{self.texts} gift-card reviews up to {self.tokens} tokens"
            if self.reviews
            else f"{self.texts} x {self.tokens} tokens"
        )
        if self.shape == MINILM:
            return what
        return f"{what}, {self.shape.num_hidden_layers} layers"


def inputs_of(size: Size, mode: Mode) -> Callable[[], Inputs]:
    """Weights, adapters, and the tokens of all batches."""

    def make() -> Inputs:
        tokens = review_tokens(size) if size.reviews else random_tokens(size)
        inputs = {
            **tokens,
            "texts": np.asarray(size.texts),
            **with_prefix(random_weights(size.shape, seed=0), "weight."),
        }
        if mode == "lora":
            adapters = random_adapters(size.shape, rank=RANK, seed=1)
            inputs |= with_prefix(adapters, "adapter.")
        return inputs

    return make


def random_tokens(size: Size) -> Inputs:
    """`token_ids`, one text after another, and `token_ends`, where each ends."""
    count = BATCHES * size.texts
    rng = np.random.default_rng(2)
    # From 1: BERT pads with 0, whose vector PyTorch does not train.
    ids = rng.integers(1, size.shape.vocab_size, count * size.tokens)
    ends = size.tokens * np.arange(1, count + 1)
    return {"token_ids": ids.astype(np.int32), "token_ends": ends.astype(np.int64)}


def review_tokens(size: Size) -> Inputs:
    """The same of reviews, drawn at random."""
    chosen = texts.subset(texts.reviews(), BATCHES * size.texts)
    # Drawn, but in the order of the file, where a product's reviews are together.
    order = np.random.default_rng(3).permutation(len(chosen))
    try:
        assets.fetch(ENCODER)
    except UserError as error:
        raise Unavailable(str(error)) from None
    with tempfile.TemporaryDirectory() as folder:
        for name, array in texts.pack_texts([chosen[row] for row in order]).items():
            np.save(Path(folder) / f"{name}.npy", array)
        # In a process of its own: this one imports neither torch nor JAX.
        module = ["-m", "benchmarks.ours.text_train"]
        words = [folder, ENCODER, str(size.tokens)]
        subprocess.run([sys.executable, *module, *words], check=True)
        return {
            name: np.load(Path(folder) / f"{name}.npy")
            for name in ("token_ids", "token_ends")
        }


def about(inputs: Inputs) -> str:
    """Tokens of a batch, and what padding to the longest costs."""
    counts = np.diff(inputs["token_ends"], prepend=0).reshape(-1, inputs["texts"])
    places = counts.max(axis=1) * counts.shape[1]
    return (
        f"{counts.sum(axis=1).mean():,.0f} tokens a batch; padded to the longest, "
        f"{1 - counts.sum() / places.sum():.0%} of its places are padding."
    )


def systems(size: Size, mode: Mode, precision: Precision) -> tuple[System, ...]:
    """Ours and the peers of one precision."""
    common = {
        **SETTING,
        "mode": mode,
        "shape": dataclasses.asdict(size.shape),
        "unit": "texts" if size.reviews else "tokens",
    }
    layouts = {mode: "rows"}
    if size.reviews:
        layouts = {f"{mode}, packed rows": "packed", f"{mode}, padded rows": "rows"}
    ours = [
        System(
            system="llmgnn_jax",
            variant=f"{variant}{suffix}",
            setup="benchmarks.ours.text_train:setup",
            options={**common, "dtype": precision, "layout": layout},
            environment=environment,
        )
        for variant, layout in layouts.items()
        for suffix, environment in (("", {}), (KEEPING, KEEPS_MEMORY))
    ]
    peers = {
        **PEERS[precision],
        **(PEFT[precision] if mode == "lora" else {}),
        **(PARTS[precision] if size.reviews else {}),
    }
    peers |= {f"{variant}{KEEPING}": peers[variant] for variant in KEPT[precision]}
    return (
        *ours,
        *(
            System(
                system="pytorch",
                variant=variant,
                setup="benchmarks.torch_baseline.text_train:setup",
                options={**common, **options},
                environment=KEEPS_MEMORY if variant.endswith(KEEPING) else {},
            )
            for variant, options in peers.items()
        ),
    )


def case_of(size: Size, mode: Mode, precision: Precision) -> Case:
    """All systems at one size."""
    return Case(
        size=f"{mode}, {size.name}",
        precision=precision,
        unit="texts/s" if size.reviews else "tokens/s",
        inputs=inputs_of(size, mode),
        systems=systems(size, mode, precision),
        tolerance=TOLERANCES[precision],
        about=about,
        work=functools.partial(
            of_text_training,
            shape=size.shape,
            full=mode == "full",
            per_token=not size.reviews,
            precision=precision,
        ),
    )


def cases(quick: bool) -> Sequence[Case]:
    """Both sizes, modes and precisions; `--quick` takes a third of the model."""
    fixed = Size(shape=MINILM, texts=64, tokens=64)
    ragged = Size(shape=MINILM, texts=64, tokens=128, reviews=True)
    if quick:
        shape = dataclasses.replace(MINILM, num_hidden_layers=2)
        fixed = Size(shape=shape, texts=16, tokens=32)
        ragged = Size(shape=shape, texts=16, tokens=64, reviews=True)
    modes: tuple[Mode, ...] = ("full", "lora")
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    return [
        case_of(size, mode, precision)
        for size in (fixed, ragged)
        for mode in modes
        for precision in precisions
    ]


if __name__ == "__main__":
    main("text_train", cases, description=__doc__ or "")
