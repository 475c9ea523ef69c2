"""The benchmark of texts of one length: what is encoded, and that all agree."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmarks import text_lengths, texts
from benchmarks.harness import Unavailable
from benchmarks.harness.measure import measure
from benchmarks.harness.system import Effort
from llmgnn_jax.errors import UserError


@pytest.fixture
def _no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_lengths.assets, "fetch", lambda name: None)


@pytest.mark.usefixtures("_no_download")
@pytest.mark.parametrize("length", [16, 512])
def test_all_texts_have_the_words_that_fill_a_length(length: int) -> None:
    made = texts.unpack_texts(text_lengths.inputs_of(length, tokens=4096)())
    assert len(made) == 4096 // length
    for text in made:
        words = text.split(" ")
        assert len(words) == length - 2, "[CLS] and [SEP] are two tokens more"
        assert set(words) <= set(text_lengths.WORDS)
    assert len(set(made)) == len(made)


def test_a_missing_encoder_is_a_row_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fetch(name: str) -> None:
        raise UserError(f"{name}: no mirror has it")

    monkeypatch.setattr(text_lengths.assets, "fetch", fetch)
    with pytest.raises(Unavailable, match="no mirror has it"):
        text_lengths.inputs_of(16, tokens=64)()


def test_every_length_is_a_size_of_its_own_and_quick_runs_are_shorter() -> None:
    full, quick = text_lengths.cases(False), text_lengths.cases(True)
    assert [case.size for case in full] == [case.size for case in quick]
    assert len({case.size for case in full}) == len(text_lengths.LENGTHS)
    for case in full:
        ours, *peers = case.systems
        assert ours.system == "llmgnn_jax"
        assert len(peers) == len(text_lengths.PEERS)


# Starts processes that import PyTorch.
@pytest.mark.slow
def test_all_systems_give_the_same_vectors_and_nobody_pads(
    tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sentence_transformers", reason="PyTorch is absent")
    vocabulary = (tiny_encoder / "vocab.txt").read_text("utf-8").split()[4:]
    monkeypatch.setattr(text_lengths.assets, "fetch", lambda name: None)
    # Letters alone: what the tokenizer would not cut.
    monkeypatch.setattr(
        text_lengths, "WORDS", [word for word in vocabulary if word.isalpha()][:8]
    )
    # A peer of each kind: each is a process that imports PyTorch.
    names = ("TextEncoder", "batch 8", "1024 tokens a batch")
    case = text_lengths.cases(True)[0]
    systems = tuple(
        dataclasses.replace(
            system,
            # The tiny encoder has 256 places.
            options={
                **system.options,
                "encoder": str(tiny_encoder),
                "max_length": 64,
            },
        )
        for system in case.systems
        if system.variant in names
    )
    case = dataclasses.replace(
        case,
        # As many texts as a batch of ours has rows: a power of two.
        inputs=text_lengths.inputs_of(16, tokens=16 * 64),
        systems=systems,
    )
    result = measure(case, Effort(rounds=1, turn_s=0.0, warm_up_s=0.0, threads=1))
    assert not result.missing
    assert len(result.parity) == len(names) - 1
    for measured in result.measured:
        assert measured.notes["tokens_per_text"] == pytest.approx(16)
        assert measured.notes["padding"] == pytest.approx(0.0)
        assert np.all(np.asarray(measured.seconds) > 0)
