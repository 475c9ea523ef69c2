"""The systems of the text benchmarks on a small encoder, each in its worker."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import text_encode, text_train, texts
from benchmarks.bert_weights import Shape
from benchmarks.harness import Case
from benchmarks.harness.measure import CaseResult, measure
from benchmarks.harness.system import Effort, System

# Each test starts processes that import PyTorch.
pytestmark = pytest.mark.slow

EFFORT = Effort(rounds=1, turn_s=0.0, warm_up_s=0.0, threads=1)
SHAPE = Shape(
    vocab_size=120,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=64,
)
# Compiling takes half a minute a system: one of them stands for all.
COMPILED = "torch.compile"


@pytest.fixture(autouse=True)
def _pytorch() -> None:
    pytest.importorskip("torch", reason="PyTorch is absent")


def few(systems: tuple[System, ...], *, compiled: str = "") -> tuple[System, ...]:
    """Without the tuned allocator, and with one that is compiled."""
    return tuple(
        system
        for system in systems
        if "malloc" not in system.variant
        and (COMPILED not in system.variant or system.variant == compiled)
    )


def check_rows(result: CaseResult, case: Case, *, may_miss: str = "no such") -> None:
    """Every system has a row, is compared, and says what it pads."""
    missing = {n: why for n, why in result.missing.items() if may_miss not in n}
    assert not missing
    names = {m.system.name for m in result.measured} | set(result.missing)
    assert names == {system.name for system in case.systems}
    first, *others = [m.system.name for m in result.measured]
    assert first.startswith("llmgnn_jax")
    assert set(result.parity) == set(others)
    for measured in result.measured:
        json.dumps(measured.notes)
        assert measured.seconds
        assert 0 <= measured.notes["padding"] < 1


@pytest.mark.parametrize("mode", ["full", "lora"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_training_step_agrees(mode: str, precision: str) -> None:
    size = text_train.Size(shape=SHAPE, texts=8, tokens=12)
    case = Case(
        size=size.name,
        precision=precision,
        unit="tokens/s",
        inputs=text_train.inputs_of(size, mode),
        systems=few(
            text_train.systems(size, mode, precision),
            compiled=COMPILED if (mode, precision) == ("full", "float32") else "",
        ),
        tolerance=text_train.TOLERANCES[precision],
        about=text_train.about,
    )
    result = measure(case, EFFORT)
    check_rows(result, case, may_miss="PEFT")
    assert "96 tokens a batch" in result.about
    assert {m.units for m in result.measured} == {96}
    (trained,) = {m.notes["trained"] for m in result.measured}
    # Rank 8 on queries and values of both layers.
    adapters = 2 * 2 * 2 * 8 * SHAPE.hidden_size
    assert (trained == adapters) == (mode == "lora")


def test_ragged_texts_are_padded_packed_or_parted_alike() -> None:
    size = text_train.Size(shape=SHAPE, texts=8, tokens=32, reviews=True)
    rng = np.random.default_rng(0)
    counts = rng.integers(2, 33, 8 * text_train.BATCHES)

    def inputs() -> dict[str, np.ndarray]:
        uniform = dataclasses.replace(size, reviews=False)
        return {
            **text_train.inputs_of(uniform, "full")(),
            "token_ids": rng.integers(1, 120, counts.sum()).astype(np.int32),
            "token_ends": np.cumsum(counts),
        }

    case = Case(
        size=size.name,
        precision="float32",
        unit="texts/s",
        inputs=inputs,
        systems=few(text_train.systems(size, "full", "float32")),
        tolerance=1e-3,
        about=text_train.about,
    )
    result = measure(case, EFFORT)
    check_rows(result, case)
    padding = {m.system.variant: m.notes["padding"] for m in result.measured}
    assert padding["full, packed rows"] < padding["eager"]
    assert padding["eager, 4 parts by length"] < padding["eager"]
    assert {m.units for m in result.measured} == {8}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_encoder_gives_the_same_vectors(
    tiny_encoder: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sentence_transformers", reason="PyTorch is absent")
    words = (tiny_encoder / "vocab.txt").read_text("utf-8").split()[4:]
    rng = np.random.default_rng(0)
    corpus = [" ".join(rng.choice(words, size)) for size in rng.integers(1, 60, 40)]
    monkeypatch.setattr(text_encode, "ENCODER", str(tiny_encoder))

    def inputs() -> dict[str, np.ndarray]:
        packed = texts.pack_texts(corpus)
        if precision == "float32":
            return packed
        return {**packed, **text_encode.reference(packed)}

    chosen = tuple(
        dataclasses.replace(
            system, options={**system.options, "encoder": str(tiny_encoder)}
        )
        for system in few(text_encode.systems(precision))
        if system.variant not in ("batch 8", "batch 64", "batch 128")
    )
    case = Case(
        size="40 texts",
        precision=precision,
        unit="texts/s",
        inputs=inputs,
        systems=chosen,
        tolerance=text_encode.TOLERANCES[precision],
        about=text_encode.about,
    )
    result = measure(case, EFFORT)
    check_rows(result, case)
    (tokens,) = {m.notes["tokens_per_text"] for m in result.measured}
    assert tokens > 10
    cosines = [m.notes.get("cosine_to_float32") for m in result.measured]
    if precision == "float32":
        assert set(cosines) == {None}
    else:
        assert all(0.999 < cosine < 1 for cosine in cosines)


def test_padding_is_what_sentence_transformers_pads(tiny_encoder: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    pytest.importorskip("sentence_transformers", reason="PyTorch is absent")
    from benchmarks.torch_baseline.text_encode import sentence_transformer

    words = (tiny_encoder / "vocab.txt").read_text("utf-8").split()[4:]
    rng = np.random.default_rng(1)
    corpus = [" ".join(rng.choice(words, size)) for size in rng.integers(1, 60, 50)]
    model = sentence_transformer(tiny_encoder, max_length=48, dtype=torch.float32)
    places, tokens = 0, []
    preprocess = model.preprocess

    def counted(batch: list[str], **keywords: object) -> dict:
        nonlocal places
        features = preprocess(batch, **keywords)
        places += features["input_ids"].numel()
        tokens.append(int(features["attention_mask"].sum()))
        return features

    model.preprocess = counted
    model.encode(corpus, batch_size=8, show_progress_bar=False)
    counts = [len(model.tokenizer(text)["input_ids"]) for text in corpus]
    counts = np.minimum(counts, 48)
    sizes = np.array([len(text) for text in corpus])
    assert len(tokens) == 7
    assert sum(tokens) == counts.sum()
    found = texts.padding_of_batches(counts, sizes, batch_size=8)
    assert found == pytest.approx(1 - counts.sum() / places)
