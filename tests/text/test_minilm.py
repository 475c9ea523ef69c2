"""The real weights, where they are in the cache already."""

import numpy as np
import pytest

from llmgnn_jax import assets
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.tokens import load_tokenizer

TEXTS = [
    "Toy Story (1995). Animation, Children's, Comedy.",
    "A heist film with robots.",
    "Robots steal diamonds from a bank.",
    "Gardening in spring",
    "",
    "café 我喜欢 ½ tokens & such",
    "a long text about many films " * 60,
]


@pytest.fixture(scope="module")
def folder():
    path = assets.where("minilm-l6")
    if path is None:
        pytest.skip("minilm-l6 is not in the cache (`llmgnn data fetch minilm-l6`)")
    return path


@pytest.fixture(scope="module")
def encoder(folder):
    return TextEncoder.load(folder)


def test_meanings_that_are_near_have_vectors_that_are(encoder):
    vectors = encoder.encode(TEXTS[1:4])
    assert vectors.shape == (3, 384)
    similar = vectors @ vectors.T
    assert similar[0, 1] > 0.4 > 0.2 > max(similar[0, 2], similar[1, 2])


def test_pooled_vectors_equal_pytorchs(folder, encoder):
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    transformers = pytest.importorskip("transformers")
    peer = transformers.BertModel.from_pretrained(folder).eval()
    token_lists = load_tokenizer(folder).encode(TEXTS, max_length=256)
    assert max(map(len, token_lists)) == 256
    expected = []
    for ids in token_lists:
        with torch.inference_mode():
            hidden = peer(input_ids=torch.tensor([ids])).last_hidden_state
        mean = hidden[0].mean(dim=0)
        expected.append((mean / mean.norm()).numpy())
    got = encoder.encode(TEXTS)
    assert np.abs(got - np.stack(expected)).max() <= 1e-5


def test_token_ids_equal_transformers(folder):
    pytest.importorskip("torch", reason="PyTorch is absent")
    transformers = pytest.importorskip("transformers")
    peer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    expected = peer(TEXTS, truncation=True, max_length=256)["input_ids"]
    assert load_tokenizer(folder).encode(TEXTS, max_length=256) == expected
