"""What `accelerator` measures of texts: fine-tuning an encoder, and encoding."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import text_encode, text_train, texts, work
from benchmarks.accelerator_graphs import without_tuned_malloc
from benchmarks.bert_weights import MINILM
from benchmarks.harness import Case, System
from benchmarks.harness.system import OURS, Inputs, Precision
from benchmarks.random_encoder import ragged_texts, write_encoder


def text_train_cases(gpu: bool) -> list[Case]:
    """MiniLM's shape, all of it and adapters."""
    size = text_train.Size(shape=MINILM, texts=256, tokens=128)
    if not gpu:
        shape = replace(MINILM, num_hidden_layers=2)
        size = text_train.Size(shape=shape, texts=16, tokens=32)
    chosen: list[tuple[text_train.Mode, Precision]] = [
        ("full", "bfloat16"),
        ("full", "float32"),
        ("lora", "bfloat16"),
    ]
    return [
        replace(
            text_train.case_of(size, mode, precision),
            systems=_text_train_systems(size, mode, precision, gpu=gpu),
        )
        for mode, precision in chosen
    ]


def _text_train_systems(
    size: text_train.Size, mode: text_train.Mode, precision: Precision, *, gpu: bool
) -> tuple[System, ...]:
    known = without_tuned_malloc(text_train.systems(size, mode, precision))
    if not gpu:
        return tuple(one for one in known if one.system == OURS or _is_eager(one))
    ours = tuple(one for one in known if one.system == OURS)
    peers = {one.variant: one for one in known if one.system != OURS}
    # "Products in bfloat16" is TF32 on a GPU, and PyTorch's own attention is flash.
    names = {
        ("full", "bfloat16"): (
            "autocast, torch.compile",
            "bfloat16 weights, torch.compile",
            "autocast",
        ),
        ("full", "float32"): ("torch.compile", "eager"),
        ("lora", "bfloat16"): ("autocast, torch.compile", "PEFT, autocast"),
    }[mode, precision]
    kept = [peers[name] for name in names]
    replayed = replace(
        kept[0],
        variant=f"{kept[0].variant}, reduce-overhead",
        options={**kept[0].options, "reduce_overhead": True},
    )
    return (*ours, *kept, replayed)


def _is_eager(system: System) -> bool:
    return not system.options.get("compiled") and "PEFT" not in system.variant


def text_encode_cases(gpu: bool, folder: Path) -> list[Case]:
    """Texts of random words by an encoder of random weights."""
    shape, count, longest = MINILM, 8_192, 256
    budgets, batches = (16_384, 65_536), (128, 512)
    if not gpu:
        shape = replace(MINILM, num_hidden_layers=2)
        count, longest, budgets, batches = 64, 64, (512,), (32,)

    @functools.cache
    def encoder() -> str:
        return str(write_encoder(folder / "encoder", shape))

    @functools.cache
    def corpus() -> tuple[list[str], np.ndarray]:
        return ragged_texts(count, shape, longest=longest)

    def inputs(precision: Precision) -> Inputs:
        encoder()
        given = texts.pack_texts(corpus()[0])
        if precision == "float32":
            return given
        setting = {"encoder": str(folder / "encoder"), "max_length": longest}
        return {**given, **text_encode.reference(given, **setting)}

    def systems(precision: Precision) -> tuple[System, ...]:
        setting = {"encoder": str(folder / "encoder"), "max_length": longest}
        rows: list[tuple[str, str, str, dict[str, Any]]] = [
            (OURS, "TextEncoder", "ours.text_encode:setup", {"dtype": precision}),
        ]
        numerics = {"numerics": precision}
        for tokens in budgets:
            rows.append(
                (
                    "pytorch",
                    f"{tokens} tokens a batch",
                    "torch_baseline.text_encode:setup_by_tokens",
                    {"batch_tokens": tokens, **numerics},
                )
            )
        for size in batches:
            rows.append(
                (
                    "sentence-transformers",
                    f"batch {size}",
                    "torch_baseline.text_encode:setup",
                    {"batch_size": size, **numerics},
                )
            )
        return tuple(
            System(
                system=system,
                variant=variant,
                setup=f"benchmarks.{setup}",
                options={**setting, **options},
            )
            for system, variant, setup, options in rows
        )

    return [
        Case(
            size=f"{count:,} texts of random words, {longest} tokens at most",
            precision=precision,
            unit="texts/s",
            inputs=functools.partial(inputs, precision),
            systems=systems(precision),
            tolerance=text_encode.TOLERANCES[precision],
            about=text_encode.about,
            work=_encoding_work(corpus, shape, precision, batch_tokens=budgets[0]),
        )
        for precision in ("bfloat16", "float32")
    ]


def _encoding_work(
    corpus: Callable[[], tuple[list[str], np.ndarray]],
    shape: Any,
    precision: Precision,
    *,
    batch_tokens: int,
) -> Callable[[Inputs], work.Work]:
    return lambda inputs: work.of_encoding(
        corpus()[1], shape, precision=precision, batch_tokens=batch_tokens
    )
