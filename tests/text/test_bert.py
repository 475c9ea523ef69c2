"""The encoder: parity with PyTorch, padding, declaration."""

import json

import jax
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders import bert
from llmgnn_jax.text.encoders.bert import BertConfig
from llmgnn_jax.text.pooling import POOLINGS, l2_normalise, pool
from llmgnn_jax.text.pretrained import load_bert

TINY = BertConfig(
    vocab_size=50,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=24,
)
apply = jax.jit(bert.apply, static_argnums=0)


def ragged(seed, *, rows=6, length=16, vocab=50):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, length + 1, rows)
    lengths[0] = length
    mask = np.arange(length)[None, :] < lengths[:, None]
    return np.where(mask, rng.integers(1, vocab, mask.shape), 0).astype(np.int32), mask


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_parity_with_pytorch(tmp_path, activation):
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    peer = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=50,
            hidden_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=96,
            max_position_embeddings=24,
            hidden_act=activation,
            # So that attention, norms and activations are far from linear.
            initializer_range=0.3,
        ),
    ).eval()
    with torch.no_grad():
        for name, value in peer.named_parameters():
            if name.endswith("bias") or "LayerNorm" in name:
                value.add_(0.3 * torch.randn(value.shape))
    peer.save_pretrained(tmp_path)
    model = load_bert(tmp_path)
    assert model.config.hidden_act == activation

    ids, mask = ragged(1)
    types = np.random.default_rng(2).integers(0, 2, ids.shape).astype(np.int32)
    for type_ids in (None, types) if activation == "gelu" else (None,):
        with torch.inference_mode():
            expected = peer(
                input_ids=torch.tensor(ids).long(),
                attention_mask=torch.tensor(mask).long(),
                token_type_ids=torch.tensor(0 * types if type_ids is None else types),
            ).last_hidden_state.numpy()
        got = np.asarray(apply(model.graphdef, model.params, ids, mask, type_ids))
        assert np.abs(got - expected)[mask].max() <= 1e-5
        for pooling in POOLINGS:
            ours, theirs = (
                np.asarray(l2_normalise(pool(hidden, mask, pooling=pooling)))
                for hidden in (got, expected)
            )
            assert np.abs(ours - theirs).max() <= 1e-5


def test_more_padding_changes_nothing():
    model = bert.initialise(TINY, seed=0)
    ids, mask = ragged(3)
    expected = np.asarray(apply(model.graphdef, model.params, ids, mask))
    padded_ids = np.pad(ids, ((0, 3), (0, 8)), constant_values=9)
    padded_mask = np.pad(mask, ((0, 3), (0, 8)))
    got = np.asarray(apply(model.graphdef, model.params, padded_ids, padded_mask))
    np.testing.assert_allclose(got[:6, :16][mask], expected[mask], atol=1e-6)
    assert np.isfinite(got).all(), "rows of padding alone are no NaN"


def test_each_input_matters():
    model = bert.initialise(TINY, seed=0)
    ids, mask = ragged(4)
    base = np.asarray(apply(model.graphdef, model.params, ids, mask))[0]
    swapped = ids.copy()
    swapped[0, [2, 5]] = ids[0, [5, 2]] + (ids[0, 2] == ids[0, 5])
    order = np.asarray(apply(model.graphdef, model.params, swapped, mask))[0]
    assert np.abs(order - base).max() > 1e-3
    types = np.ones_like(ids)
    typed = np.asarray(apply(model.graphdef, model.params, ids, mask, types))[0]
    assert np.abs(typed - base).max() > 1e-3


def test_params_are_a_pure_dict_with_string_keys_and_declaring_allocates_nothing():
    declared, model = bert.declare(TINY), bert.initialise(TINY, seed=0)
    assert declared.graphdef == model.graphdef
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), model.params)
    abstract = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), declared.params)
    assert shapes == abstract
    for leaf in jax.tree.leaves(declared.params):
        assert isinstance(leaf, jax.ShapeDtypeStruct)
    for path, leaf in jax.tree_util.tree_flatten_with_path(model.params)[0]:
        assert isinstance(leaf, jax.Array)
        assert all(isinstance(key.key, str) for key in path)
    assert set(model.params) == {"embeddings", "layer_0", "layer_1"}


def test_gradients_flow_to_every_parameter():
    model = bert.initialise(TINY, seed=0)
    ids, mask = ragged(5)

    @jax.jit
    def loss(params):
        hidden = bert.apply(model.graphdef, params, ids, mask)
        return l2_normalise(pool(hidden, mask, pooling="mean"))[:, 0].sum()

    for path, leaf in jax.tree_util.tree_flatten_with_path(
        jax.grad(loss)(model.params)
    )[0]:
        # A key's bias moves all scores of a query alike: softmax does not see it.
        name = jax.tree_util.keystr(path)
        assert np.isfinite(leaf).all()
        assert np.abs(leaf).max() > (-1 if "['key']['bias']" in name else 1e-7), name


def test_bfloat16_is_near_float32():
    model = bert.initialise(TINY, seed=0)
    rough = bert.declare(TINY, dtype="bfloat16")
    ids, mask = ragged(6)
    exact, near = (
        l2_normalise(
            pool(apply(graphdef, model.params, ids, mask), mask, pooling="mean")
        )
        for graphdef in (model.graphdef, rough.graphdef)
    )
    assert near.dtype == np.float32
    assert (exact * near).sum(axis=1).min() > 0.999
    assert np.abs(exact - near).max() > 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "swish9"}, "hidden_act: expected one of gelu, gelu_new"),
        ({"num_attention_heads": 5}, "expected a divisor of hidden_size 32, got 5"),
        ({"hidden_size": 0}, "hidden_size: expected a whole number from 1, got 0"),
        ({"vocab_size": "many"}, "vocab_size: expected a whole number from 1"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps: expected a number above 0"),
        ({"model_type": "t5"}, r"model_type: expected 'bert' \(the one supported\)"),
        ({"position_embedding_type": "relative_key"}, "expected 'absolute'"),
        ({"is_decoder": True}, "is_decoder: expected False"),
        ({"vocab_size": None, "hidden_size": None}, "keys vocab_size, hidden_size"),
    ],
)
def test_config_that_is_not_supported_is_one_line(tmp_path, change, message):
    values = {"model_type": "bert", **TINY.__dict__, **change}
    path = tmp_path / "config.json"
    kept = {key: value for key, value in values.items() if value is not None}
    path.write_text(json.dumps(kept))
    with pytest.raises(UserError, match=message) as caught:
        BertConfig.from_json(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"{", b"[1]", b"\xff"])
def test_config_that_is_none_is_one_line(tmp_path, content):
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"config\.json: expected"):
        BertConfig.from_json(path)
