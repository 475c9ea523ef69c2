"""Adapters: what they add, what they cost, where they are put."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.cnn import CNNConfig
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.lstm import LSTMConfig
from llmgnn_jax.text.encoders.model import apply, declare, initialise, with_adapters
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.lora import Adapters, merge_adapters, unmerge_adapters
from llmgnn_jax.text.native import library
from llmgnn_jax.text.parameters import flat
from llmgnn_jax.text.trainable import combine, partition, trainable

# No two of the sizes of rows, tokens, layers, heads and ranks are alike.
BERT = BertConfig(
    vocab_size=50,
    hidden_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=56,
    max_position_embeddings=24,
)
LLAMA = DecoderConfig(
    vocab_size=50,
    hidden_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=10,
    intermediate_size=56,
    max_position_embeddings=24,
)
QWEN3 = dataclasses.replace(LLAMA, family="qwen3")
ATTENTION = Adapters(rank=3, alpha=7.5, targets=("query", "value"))
EVERYWHERE = Adapters(rank=3, alpha=7.5, targets=("",))


@pytest.fixture(params=["kernels", "formulas"])
def path(request, monkeypatch):
    """Our kernels for CPUs, or the formulas that run where they cannot be had."""
    if request.param == "formulas":
        monkeypatch.setattr(kernels, "usable", lambda: False)
    elif reason := library.unavailable_because():
        pytest.skip(f"native kernels: {reason}")
    return request.param


def adapted(config, adapters=ATTENTION, *, seed=0, **options):
    """An encoder whose adapters change its kernels by about as much as they are."""
    model = with_adapters(initialise(config, seed=seed), adapters, seed=seed, **options)
    return model._replace(params=stirred(model.params, seed=seed))


def stirred(params, *, seed=0):
    rng = np.random.default_rng(seed)

    return jax.tree.map(
        lambda leaf: leaf + 0.1 * rng.normal(size=leaf.shape).astype(np.float32),
        params,
    )


def rows_of(seed=0):
    rng = np.random.default_rng(seed)
    mask = np.arange(12)[None, :] < np.array([12, 5, 9])[:, None]
    ids = np.where(mask, rng.integers(1, 50, mask.shape), 0).astype(np.int32)
    return TokenRows(ids_BL=ids, mask_BL=mask)


def encoded(model, params=None, rows=None):
    """Compiled anew at each call: which path runs is part of no cache's key."""
    rows = rows or rows_of()
    params = model.params if params is None else params
    hidden = jax.jit(lambda params: apply(model.graphdef, params, rows))(params)
    return np.where(rows.mask_BL[..., None], hidden, 0)


def adapted_layers(params):
    return {
        name.removesuffix(".lora_a")
        for name in flat(params)
        if name.endswith(".lora_a")
    }


@pytest.mark.parametrize(
    ("config", "adapters"),
    [(BERT, ATTENTION), (BERT, EVERYWHERE), (QWEN3, EVERYWHERE)],
)
def test_fresh_adapters_change_nothing(config, adapters):
    plain = initialise(config, seed=0)
    fresh = with_adapters(plain, adapters, seed=1)
    np.testing.assert_allclose(encoded(fresh), encoded(plain), atol=2e-6)
    for name, leaf in flat(plain.params).items():
        assert flat(fresh.params)[name] is leaf
    for name, leaf in flat(fresh.params).items():
        assert leaf.dtype == jnp.float32
        if name.endswith("lora_a"):
            bound = leaf.shape[0] ** -0.5
            assert 0.9 * bound < np.abs(leaf).max() <= bound
        if name.endswith("lora_b"):
            assert not np.any(leaf)
    other = with_adapters(plain, adapters, seed=2)
    again = with_adapters(plain, adapters, seed=1)
    name = "layer_1.attention.query.lora_a"
    assert (flat(fresh.params)[name] == flat(again.params)[name]).all()
    assert (flat(fresh.params)[name] != flat(other.params)[name]).any()
    assert (
        flat(fresh.params)[name] != flat(fresh.params)["layer_0.attention.query.lora_a"]
    ).any()


@pytest.mark.parametrize(
    ("config", "adapters"),
    [(BERT, ATTENTION), (BERT, EVERYWHERE), (QWEN3, EVERYWHERE)],
)
def test_merged_kernels_give_the_adapted_output(config, adapters, path):
    model, plain = adapted(config, adapters), declare(config)
    merged = merge_adapters(model.params, scale=adapters.scale)
    assert jax.tree.structure(merged) == jax.tree.structure(plain.params)
    expected = encoded(model)
    got = encoded(plain, merged)
    assert np.abs(got - expected).max() <= 1e-5
    # They do change it.
    without = merge_adapters(model.params, scale=0.0)
    assert np.abs(encoded(plain, without) - expected).max() > 0.1
    # y = x W + (alpha / R) (x A) B, once more by hand.
    layer = model.params["layer_1"]["attention"]["query"]
    by_hand = np.float64(layer["kernel"]) + 7.5 / 3 * (
        np.float64(layer["lora_a"]) @ np.float64(layer["lora_b"])
    )
    kernel = merged["layer_1"]["attention"]["query"]["kernel"]
    np.testing.assert_allclose(kernel, by_hand, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "config", [BERT, LSTMConfig(vocab_size=50, dim=8, hidden_size=6)]
)
def test_unmerging_is_the_inverse(config):
    adapters = EVERYWHERE
    model = adapted(config, adapters)
    merged = merge_adapters(model.params, scale=adapters.scale)
    # The kernels of the second argument are not read.
    blind = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf * np.nan if path[-1].key == "kernel" else leaf,
        model.params,
    )
    again = unmerge_adapters(merged, blind, scale=adapters.scale)
    assert jax.tree.structure(again) == jax.tree.structure(model.params)
    for name, leaf in flat(again).items():
        expected = flat(model.params)[name]
        np.testing.assert_allclose(leaf, expected, atol=1e-5, err_msg=name)
        if "kernel" in name:
            assert not np.allclose(flat(merged)[name], expected, atol=1e-2)
    # Parameters without adapters are merged already.
    jax.tree.map(
        np.testing.assert_array_equal,
        merge_adapters(merged, scale=adapters.scale),
        merged,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "config", "options"),
    [
        ("kernels", BERT, {}),
        ("formulas", BERT, {}),
        ("kernels", BERT, {"scan": True}),
        ("kernels", LLAMA, {"remat": "layers"}),
    ],
    indirect=["path"],
)
def test_gradients_are_those_through_the_merged_kernel(config, options, path):
    model, plain = adapted(config, EVERYWHERE, **options), declare(config)
    rows = rows_of()
    weights = np.random.default_rng(3).normal(size=(*rows.ids_BL.shape, 40))
    weights = (weights * rows.mask_BL[..., None]).astype(np.float32)

    def through_adapters(params):
        return (apply(model.graphdef, params, rows) * weights).sum()

    def through_kernels(params):
        merged = merge_adapters(params, scale=EVERYWHERE.scale)
        return (apply(plain.graphdef, merged, rows) * weights).sum()

    value, got = jax.jit(jax.value_and_grad(through_adapters))(model.params)
    same, expected = jax.jit(jax.value_and_grad(through_kernels))(model.params)
    np.testing.assert_allclose(value, same, rtol=1e-4, atol=1e-3)
    got, expected = flat(got), flat(expected)
    for name in got:
        size = np.abs(expected[name]).max()
        assert np.abs(got[name] - expected[name]).max() <= 1e-3 * size + 1e-3, name
        if "lora" in name:
            assert size > 1e-2, name


def products_of(model, mode):
    """Shapes of all products in the compiled gradient, and its floating operations."""
    rows = rows_of()
    trained, frozen = partition(model.params, trainable(model.params, mode=mode))

    def loss(trained, frozen):
        return (apply(model.graphdef, combine(trained, frozen), rows) ** 2).sum()

    compiled = jax.jit(jax.grad(loss)).lower(trained, frozen).compile()
    found = re.findall(
        r"= \(?f32\[([\d,]+)\]\S* (?:dot|custom-call)\(", compiled.as_text()
    )
    shapes = {tuple(map(int, shape.split(","))) for shape in found}
    return shapes, compiled.cost_analysis()["flops"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("kernels", {}),
        ("formulas", {}),
        ("kernels", {"scan": True, "remat": "layers"}),
    ],
    indirect=["path"],
)
def test_a_frozen_kernels_gradient_is_never_computed(options, path):
    model = adapted(BERT, EVERYWHERE, **options)
    # Query, key and value are one product; each may be computed transposed.
    kernels_ = ((40, 120), (40, 40), (40, 56), (56, 40))
    of_lora, cheap = products_of(model, "lora")
    of_full, dear = products_of(model, "full")
    for shape in kernels_:
        assert {shape, shape[::-1]} & of_full, "what the test looks for is there"
        assert not {shape, shape[::-1]} & of_lora
    # The adapters' own gradients are: three of rank 3 side by side, and single ones.
    for shape in ((40, 9), (9, 120), (40, 3), (3, 56), (56, 3), (3, 40)):
        assert {shape, shape[::-1]} & of_lora
    if path == "formulas":
        # XLA counts no operations of custom calls.
        tokens, layers = 3 * 12, 2
        one = 2 * tokens * layers * sum(a * b for a, b in kernels_)
        assert dear - cheap >= one


@pytest.mark.parametrize(("config", "remat"), [(BERT, "layers"), (LLAMA, "none")])
def test_layers_need_not_be_alike(config, remat):
    adapters = Adapters(rank=3, targets=(r"layer_1\..*query", r"layer_0\..*key"))
    model, plain = adapted(config, adapters, remat=remat), declare(config)
    merged = merge_adapters(model.params, scale=adapters.scale)
    np.testing.assert_allclose(encoded(model), encoded(plain, merged), atol=2e-5)
    scanned = with_adapters(plain, adapters, seed=0, scan=True)
    with pytest.raises(UserError, match=r"scan: expected layers that are alike, got "):
        encoded(model._replace(graphdef=scanned.graphdef))


def test_bfloat16_is_near_float32():
    exact, rough = (adapted(BERT, EVERYWHERE, dtype=d) for d in ("float32", "bfloat16"))
    one, two = encoded(exact), encoded(rough)
    cosine = (one * two).sum() / np.sqrt((one**2).sum() * (two**2).sum())
    assert cosine > 0.999
    assert np.abs(one - two).max() > 1e-4


@pytest.mark.parametrize(
    ("config", "targets", "expected"),
    [
        (BERT, ("query",), {"layer_0.attention.query", "layer_1.attention.query"}),
        (
            BERT,
            ("^layer_1.*(key|value)$",),
            {"layer_1.attention.key", "layer_1.attention.value"},
        ),
        (
            BERT,
            ("output$",),
            {
                "layer_0.attention.output",
                "layer_0.feed_forward.output",
                "layer_1.attention.output",
                "layer_1.feed_forward.output",
            },
        ),
        (
            BERT,
            (r"layer_0\.feed_forward",),
            {"layer_0.feed_forward.intermediate", "layer_0.feed_forward.output"},
        ),
        (
            LLAMA,
            ("gate", "layer_1.down"),
            {"layer_0.gate", "layer_1.gate", "layer_1.down"},
        ),
    ],
)
def test_targets_are_found_in_paths(config, targets, expected):
    model = with_adapters(
        initialise(config, seed=0), Adapters(rank=2, targets=targets), seed=0
    )
    assert adapted_layers(model.params) == expected


def test_all_layers_by_an_empty_pattern():
    model = with_adapters(initialise(BERT, seed=0), EVERYWHERE, seed=0)
    kernels_ = {
        name.removesuffix(".kernel")
        for name in flat(model.params)
        if name.endswith(".kernel")
    }
    assert adapted_layers(model.params) == kernels_
    shapes = {name: leaf.shape for name, leaf in flat(model.params).items()}
    assert shapes["layer_0.feed_forward.intermediate.lora_a"] == (40, 3)
    assert shapes["layer_0.feed_forward.intermediate.lora_b"] == (3, 56)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"rank": 0}, "lora_rank: expected a number above 0, got 0"),
        ({"rank": -2}, "lora_rank: expected a number above 0, got -2"),
        ({"rank": 2.5}, "lora_rank: expected a whole number above 0, got 2.5"),
        ({"rank": True}, "lora_rank: expected a whole number above 0, got True"),
        ({"rank": "8"}, "lora_rank: expected a whole number above 0, got '8'"),
        ({"alpha": float("inf")}, "lora_alpha: expected a number above 0, got inf"),
        ({"alpha": "16"}, "lora_alpha: expected a number above 0, got '16'"),
        ({"alpha": True}, "lora_alpha: expected a number above 0, got True"),
        ({"alpha": 0.0}, "lora_alpha: expected a number above 0, got 0.0"),
        ({"alpha": float("nan")}, "lora_alpha: expected a number above 0, got nan"),
        (
            {"targets": ("(query",)},
            "lora_targets: expected regular expressions, got '(query' (missing ), "
            "unterminated subpattern at position 0)",
        ),
    ],
)
def test_kinds_that_are_none_are_one_line(values, line):
    with pytest.raises(UserError) as caught:
        Adapters(**values)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("targets", "got"), [(("q_proj", "v_proj"), "q_proj v_proj"), ((), "none")]
)
def test_targets_that_are_found_nowhere_are_one_line(targets, got):
    with pytest.raises(UserError) as caught:
        with_adapters(initialise(BERT, seed=0), Adapters(targets=targets), seed=0)
    assert str(caught.value) == (
        "lora_targets: expected patterns found in the names of layers "
        f"(intermediate, key, output, query, value), got {got}"
    )


def test_an_encoder_without_products_has_no_adapters():
    model = initialise(CNNConfig(vocab_size=50, dim=8), seed=0)
    with pytest.raises(UserError, match="got a CNN, which has none; train all of it"):
        with_adapters(model, EVERYWHERE, seed=0)
