"""Encoders whose parameters lie in pieces: the same values, gradients in pieces."""

import re

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

from llmgnn_jax.parallel.fsdp import GATHER
from llmgnn_jax.parallel.mesh import AXES
from llmgnn_jax.parallel.strategy import Meshed
from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.cnn import CNNConfig
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.lstm import LSTMConfig
from llmgnn_jax.text.encoders.model import apply, declare, initialise, with_adapters
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.encoders.word_vectors import WordVectorsConfig
from llmgnn_jax.text.lora import Adapters

LAYERS = 3
BERT = BertConfig(
    vocab_size=61,
    hidden_size=32,
    num_hidden_layers=LAYERS,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=16,
    type_vocab_size=2,
)
FAMILIES = {
    "bert": BERT,
    "decoder": DecoderConfig(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=16,
    ),
    "lstm": LSTMConfig(vocab_size=61, dim=16, hidden_size=8, num_layers=2),
    "cnn": CNNConfig(vocab_size=61, dim=16, filters=8, widths=(2, 3)),
    "words": WordVectorsConfig(vocab_size=61, dim=16),
}


def strategy(data, model=1):
    devices = np.array(jax.devices()[: data * model]).reshape(data, model)
    return Meshed(
        mesh=Mesh(devices, AXES, axis_types=(AxisType.Auto,) * 2),
        backend="segment",
        exchange="ring",
        slack=2.0,
        row_slack=1.25,
        parameters="fsdp",
    )


def rows_of(texts):
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 61, (texts, 12)).astype(np.int32)
    return TokenRows(
        ids_BL=ids, mask_BL=np.arange(12) < rng.integers(1, 13, (texts, 1))
    )


def loss_of(model, rows):
    def loss(params):
        hidden = apply(model.graphdef, params["text_encoder"], rows)
        return (hidden * rows.mask_BL[..., None] * 3).__pow__(3).mean()

    return loss


def compiled(on, model, rows):
    """Value and gradient of a loss on a mesh, and the parameters there."""

    def both(params):
        with on.traced():
            return jax.value_and_grad(loss_of(model, rows))(params)

    params = on.place({"text_encoder": model.params})
    return jax.jit(both).lower(params).compile(), params


def check(on, model, rows, **options):
    params = {"text_encoder": model.params}
    with kernels.left_out():
        expected = jax.jit(jax.value_and_grad(loss_of(model, rows)))(params)
    made = model
    if options:
        made = model._replace(graphdef=declare(model.config, **options).graphdef)
    program, placed = compiled(on, made, rows)
    got = program(placed)
    for one, two in zip(*map(jax.tree.leaves, (got, expected)), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    # A gradient is where its parameter is: a piece of it on each device.
    for leaf, gradient in zip(*map(jax.tree.leaves, (placed, got[1])), strict=True):
        if leaf.ndim > 1:
            held = leaf.addressable_shards[0].data.shape
            assert gradient.addressable_shards[0].data.shape == held
            assert leaf.size > np.prod(held)
    return program.as_text()


@pytest.mark.parametrize("family", FAMILIES)
def test_values_and_gradients_are_those_of_one_device(family):
    check(strategy(4), initialise(FAMILIES[family], seed=0), rows_of(8))


@pytest.mark.parametrize("remat", ["dots", "layers"])
def test_with_cut_matrices_and_recomputed_layers(remat):
    check(strategy(2, 2), initialise(BERT, seed=0), rows_of(8), remat=remat)


def test_texts_that_cannot_be_dealt_evenly():
    check(strategy(4), initialise(BERT, seed=0), rows_of(6))


def test_layers_that_are_not_alike_run_one_after_another():
    adapters = Adapters(rank=4, targets=(r"layer_1\..*query",))
    model = with_adapters(initialise(BERT, seed=0), adapters, seed=0)
    text = check(strategy(4), model, rows_of(8))
    assert len(gathers(text)) > 6 * LAYERS


@pytest.mark.parametrize("remat", ["none", "dots", "layers"])
@pytest.mark.parametrize("family", ["bert", "decoder"])
def test_a_layer_is_gathered_when_it_runs_forward_and_backward(family, remat):
    model = declare(FAMILIES[family], remat=remat)
    model = model._replace(params=initialise(FAMILIES[family], seed=0).params)
    program, _ = compiled(strategy(4), model, rows_of(8))
    found = gathers(program.as_text())
    in_loops = [line for line in found if "/while/body/" in line]
    matrices = {"bert": 6, "decoder": 7}[family]
    # Once in the loop of each direction, of one layer: nothing of all of them.
    assert len(in_loops) == 2 * matrices
    for line in in_loops:
        assert f"[{LAYERS}," not in line.partition("all-gather")[0]
    # Outside of them: tables that are not looked up by word.
    others = [line for line in found if line not in in_loops]
    assert len(others) == {"bert": 2, "decoder": 0}[family]
    # Nothing brings all words to a device, forward or backward.
    every = [line for line in program.as_text().splitlines() if " all-gather" in line]
    assert not [line for line in every if "[61,32]" in line]


def gathers(text):
    return [
        line
        for line in text.splitlines()
        if re.search(r" all-gather(-start)?\(", line) and GATHER in line
    ]
