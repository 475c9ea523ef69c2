"""A decoder's layouts, and a small one with a tokenizer in a folder."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken, decoders, pre_tokenizers

from llmgnn_jax.text.generation.cached_decoder import CachedDecoder
from llmgnn_jax.text.generation.panel_layout import laid_out
from llmgnn_jax.text.native import library
from llmgnn_jax.text.pretrained import save_encoder
from llmgnn_jax.text.tokens import FastTokenizer
from tests.text.generation.decoders import TINY, noisy

MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


@pytest.fixture(params=["rows", "panels"])
def lay_out(request: pytest.FixtureRequest) -> Callable[..., tuple[Any, Any]]:
    """(model) -> a generative model and its parameters, in either layout."""
    if request.param == "rows":
        return lambda model, dtype="float32": (
            CachedDecoder.of(model, dtype=dtype),
            model.params,
        )
    if reason := library.unavailable_because():
        pytest.skip(f"native kernels: {reason}")
    return lambda model, dtype="float32": laid_out(model, dtype=dtype)


@pytest.fixture(scope="session")
def tiny_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama of random weights, as Hugging Face has it, whose tokens are bytes."""
    folder = tmp_path_factory.mktemp("tiny-decoder")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {
        token: number for number, token in enumerate((*MARKS, *alphabet, "he", "ro"))
    }
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocabulary, [("h", "e"), ("r", "o")])
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(
        [AddedToken(mark, special=True, normalized=False) for mark in MARKS]
    )
    FastTokenizer(backend, pad_token=MARKS[0]).save(folder)
    config = dataclasses.replace(
        TINY,
        vocab_size=len(vocabulary),
        head="tied",
        special_tokens=(("eos_token_id", 2),),
    )
    model = noisy(config, seed=3)
    save_encoder(folder, params=model.params, config=config)
    assert json.loads((folder / "config.json").read_bytes())["eos_token_id"] == 2
    return folder
