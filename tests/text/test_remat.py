"""What the backward pass keeps: the same gradients, from less memory or more work."""

import dataclasses
import typing

import jax
import numpy as np
import pytest

from llmgnn_jax.config import TextConfig
from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.lstm import LSTMConfig
from llmgnn_jax.text.encoders.model import apply, declare, initialise
from llmgnn_jax.text.encoders.remat import Remat
from llmgnn_jax.text.encoders.rows import TokenRows

# Texts are long enough for their squares to count.
BERT = BertConfig(
    vocab_size=50,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=128,
    type_vocab_size=2,
)
DECODER = DecoderConfig(
    vocab_size=50,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=128,
)
WORDS = LSTMConfig(vocab_size=50, dim=16, hidden_size=8, num_layers=2, directions=2)
FAMILIES = {"bert": BERT, "decoder": DECODER, "lstm": WORDS}
POLICIES = typing.get_args(Remat)

# Calls in a program. Of `none` for two layers, of the others in a loop's body forward
# and another's backward. The embeddings have a norm; a product's gradient is two more,
# and the last product of a layer is read by no gradient.
FOREIGN = {
    ("bert", "none"): {"dense": 20, "attend": 2, "feed_forward": 2, "norm": 5},
    ("bert", "dots"): {"dense": 10, "attend": 2, "feed_forward": 1, "norm": 5},
    ("bert", "layers"): {"dense": 12, "attend": 2, "feed_forward": 2, "norm": 5},
    ("decoder", "none"): {"dense": 30, "attend": 2},
    ("decoder", "dots"): {"dense": 15, "attend": 2},
    ("decoder", "layers"): {"dense": 19, "attend": 2},
}


@pytest.fixture
def path(request, monkeypatch):
    if request.param == "formulas":
        monkeypatch.setattr(kernels, "usable", lambda: False)
    elif not kernels.usable():
        pytest.skip("no compiler")
    return request.param


def rows_of(texts=3, length=100):
    rng = np.random.default_rng(1)
    ids = rng.integers(1, 50, (texts, length)).astype(np.int32)
    return TokenRows(ids_BL=ids, mask_BL=np.arange(length) < [[length], [60], [7]])


def gradient_of(config, remat, **options):
    """Compiled, with its parameters."""
    model = initialise(config, seed=0)
    graphdef = declare(config, remat=remat, **options).graphdef
    rows = rows_of()

    def loss(params):
        hidden = apply(graphdef, params, rows)
        return (hidden * rows.mask_BL[..., None] * 3).__pow__(3).mean()

    return jax.jit(jax.value_and_grad(loss)).lower(model.params).compile(), model.params


def test_the_choices_of_a_run_are_those_of_encoders():
    hints = typing.get_type_hints(TextConfig)
    assert typing.get_args(hints["remat"]) == POLICIES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "path"),
    [
        ("bert", "kernels"),
        ("bert", "formulas"),
        ("decoder", "kernels"),
        ("decoder", "formulas"),
        ("lstm", "kernels"),
    ],
    indirect=["path"],
)
def test_gradients_are_those_without(family, path):
    program, params = gradient_of(FAMILIES[family], "none")
    expected = program(params)
    assert any(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(expected[1]))
    for remat in POLICIES[1:]:
        program, _ = gradient_of(FAMILIES[family], remat)
        got = program(params)
        for one, two in zip(*map(jax.tree.leaves, (got, expected)), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["formulas"], indirect=True)
@pytest.mark.parametrize("family", ["bert", "decoder"])
def test_the_less_is_kept_the_more_is_computed(family, path):
    found = {}
    # In loops, of whose bodies XLA counts one.
    config = dataclasses.replace(FAMILIES[family], num_hidden_layers=8)
    for remat in POLICIES:
        program, _ = gradient_of(config, remat, scan=True)
        memory = program.memory_analysis().temp_size_in_bytes
        found[remat] = memory, program.cost_analysis()["flops"]
    kept, flops = ([found[remat][one] for remat in POLICIES] for one in (0, 1))
    assert kept == sorted(kept, reverse=True)
    assert flops == sorted(flops)
    assert len(set(kept)) == len(set(flops)) == len(POLICIES)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["kernels"], indirect=True)
@pytest.mark.parametrize(("family", "remat"), FOREIGN)
def test_products_of_our_kernels_are_kept_as_products_are(family, remat, path):
    program, _ = gradient_of(FAMILIES[family], remat)
    text = program.as_text()
    found = {
        name: text.count(f'custom_call_target="llmgnn_{name}"')
        for name in FOREIGN[family, remat]
    }
    assert found == FOREIGN[family, remat]
