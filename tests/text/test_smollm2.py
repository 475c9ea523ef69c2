"""The real SmolLM2, where it is in the cache already."""

from pathlib import Path

import jax
import numpy as np
import pytest

from llmgnn_jax import assets
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.decoder import logits
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.pretrained.load import load_language_model
from llmgnn_jax.text.tokens import load_tokenizer

PROMPT = "The best films about robots are"
NEW = 40


@pytest.fixture(scope="module")
def folder() -> Path:
    path = assets.where("smollm2-135m")
    if path is None:
        pytest.skip(
            "smollm2-135m is not in the cache (`llmgnn data fetch smollm2-135m`)"
        )
    return path


@pytest.mark.slow
def test_logits_and_greedy_tokens_are_pytorchs(folder: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    pytest.importorskip("accelerate", reason="accelerate is not cached")
    transformers = pytest.importorskip("transformers")
    model, tokenizer = load_language_model(folder), load_tokenizer(folder)
    prompt = tokenizer.encode([PROMPT], max_length=32)[0]
    run = jax.jit(logits, static_argnums=0)
    tokens, length, scores = list(prompt), len(prompt) + NEW, []
    for _ in range(NEW):
        ids = np.zeros((1, length), np.int32)
        ids[0, : len(tokens)] = tokens
        rows = TokenRows(ids_BL=ids, mask_BL=np.arange(length)[None] < len(tokens))
        scores.append(np.asarray(run(model.graphdef, model.params, rows))[0])
        tokens.append(int(scores[-1][len(tokens) - 1].argmax()))
    name = next(folder.glob("*.gguf")).name
    peer = transformers.AutoModelForCausalLM.from_pretrained(
        str(folder), gguf_file=name, dtype=torch.float32
    ).eval()
    with torch.inference_mode():
        expected = peer(torch.tensor([prompt])).logits[0].numpy()
        generated = peer.generate(
            torch.tensor([prompt]), max_new_tokens=NEW, do_sample=False
        )
    assert np.abs(scores[0][: len(prompt)] - expected).max() <= 1e-3
    assert generated[0].tolist() == tokens
    theirs = transformers.AutoTokenizer.from_pretrained(str(folder), gguf_file=name)
    for text in (
        PROMPT,
        "Hello  world 2024!\n\tTabs",
        "我喜欢",
        "naïve café, 'tis 12345",
    ):
        ours = tokenizer.encode([text], max_length=64)[0]
        assert theirs(text)["input_ids"] == ours


@pytest.mark.slow
def test_it_encodes_texts(folder: Path) -> None:
    encoder = TextEncoder.load("smollm2-135m", pooling="last", max_length=32)
    one, near, far = encoder.encode(
        ["a heist film with robots", "robots rob a bank in this film", "boil the rice"]
    )
    assert one @ near > one @ far
