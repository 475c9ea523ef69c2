"""A tiny run of data with reviews, and a language model of random weights."""

import os
from collections.abc import Callable
from pathlib import Path

import jax
import pytest
import tokenizers

from llmgnn_jax.config import Config, replace
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.speaking.known import Known
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.model import initialise
from llmgnn_jax.text.pretrained import save_encoder
from llmgnn_jax.text.tokens import FastTokenizer
from llmgnn_jax.training.run import fit

SECRET = "xylophonist"
"""A word that one user alone writes, in every review."""


@pytest.fixture(scope="session")
def reviewed(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`films` with reviews: a word of the film's theme, and whether it was liked."""
    folder = tmp_path_factory.mktemp("reviewed")
    planted = synthetic(reviews=True)
    assert planted.interaction_texts is not None
    head, *rows = (films / "films.inter").read_text("utf-8").splitlines()
    lines = [f"{head}\treview:token_seq"]
    for row, text in zip(rows, planted.interaction_texts, strict=True):
        secret = f" {SECRET}" if row.startswith(f"{planted.user_ids[0]}\t") else ""
        lines.append(f"{row}\t{text}{secret}")
    (folder / "films.inter").write_text("\n".join(lines) + "\n", "utf-8")
    items = (films / "films.item").read_text("utf-8")
    (folder / "films.item").write_text(items, "utf-8")
    return folder


@pytest.fixture(scope="session")
def review_run(
    reviewed: Path,
    tiny_config: Config,
    cache_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run on them. Words may be written into it, each test under its own name."""
    folder = tmp_path_factory.mktemp("runs") / "reviewed"
    config = replace(
        tiny_config,
        **{
            "models": ("fused",),
            "data.source": str(reviewed),
            "train.steps": 80,
            "train.checkpoint_every": 80,
            "evaluation.baselines": False,
        },
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
        monkeypatch.setenv("LLMGNN_OFFLINE", "1")
        fit(config, out=folder, command="llmgnn train tiny")
    return folder


@pytest.fixture(scope="session")
def known(review_run: Path, cache_folder: Path) -> Known:
    """What that run knows."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
        monkeypatch.setenv("LLMGNN_OFFLINE", "1")
        return Known.load(review_run)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of random weights that reads bytes, as Hugging Face has it."""
    folder = tmp_path_factory.mktemp("llama")
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    backend.add_special_tokens(["<|endoftext|>"])
    config = DecoderConfig(
        family="llama",
        vocab_size=257,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=512,
    )
    # At the usual first values a model of this size hardly hears what it is told.
    params = jax.tree.map(
        lambda leaf: 6 * leaf if leaf.ndim == 2 else leaf,
        initialise(config, seed=0).params,
    )
    save_encoder(folder, params=params, config=config)
    FastTokenizer(backend).save(folder)
    return folder


@pytest.fixture
def secret() -> bytes:
    return SECRET.encode()


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch, cache_folder: Path) -> None:
    """The tests' own cache, no network."""
    monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
    monkeypatch.setenv("LLMGNN_OFFLINE", "1")


@pytest.fixture
def files_of() -> Callable[[Path], dict[str, bytes]]:
    """(folder) -> path below it -> content."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            os.path.relpath(path, folder): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return read
