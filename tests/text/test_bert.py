"""The encoder: parity with PyTorch, padding, declaration."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.model import apply, declare, initialise
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.pooling import POOLINGS, l2_normalise, pool
from llmgnn_jax.text.pretrained import load_encoder, read_config, save_encoder

TINY = BertConfig(
    vocab_size=50,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=24,
)
run = jax.jit(apply, static_argnums=0)


def encoded(model, ids, mask, types=None, *, graphdef=None):
    rows = TokenRows(ids_BL=ids, mask_BL=mask, type_ids_BL=types)
    return run(graphdef or model.graphdef, model.params, rows)


def ragged(seed, *, rows=6, length=16, vocab=50, low=1):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, length + 1, rows)
    lengths[0] = length
    mask = np.arange(length)[None, :] < lengths[:, None]
    return np.where(mask, rng.integers(low, vocab, mask.shape), 0).astype(
        np.int32
    ), mask


def peer_of(family, **changes):
    """(transformers' class, its small configuration) of each family."""
    transformers = pytest.importorskip("transformers")
    shape = {"vocab_size": 50, "max_position_embeddings": 24}
    names = {
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        # So that attention, norms and activations are far from linear.
        "initializer_range": 0.3,
    }
    small = {"dim": 64, "n_layers": 3, "n_heads": 4, "hidden_dim": 96}
    if family == "distilbert":
        names = {**small, "initializer_range": 0.3}
    name = {
        "bert": "Bert",
        "roberta": "Roberta",
        "xlm-roberta": "XLMRoberta",
        "distilbert": "DistilBert",
        "mpnet": "MPNet",
    }[family]
    config = getattr(transformers, f"{name}Config")
    return getattr(transformers, f"{name}Model"), config(**(shape | names | changes))


FAMILIES = [
    ("bert", {}),
    ("bert", {"hidden_act": "gelu_new"}),
    ("bert", {"hidden_act": "relu"}),
    ("roberta", {}),
    ("xlm-roberta", {"type_vocab_size": 1}),
    ("distilbert", {}),
    ("distilbert", {"activation": "relu"}),
    ("mpnet", {}),
    ("mpnet", {"max_position_embeddings": 220}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "changes"), FAMILIES)
def test_hidden_states_and_gradients_are_pytorchs(tmp_path, family, changes):
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    torch.manual_seed(0)
    module, config = peer_of(family, **changes)
    peer = module(config).eval()
    with torch.no_grad():
        for name, value in peer.named_parameters():
            if name.endswith("bias") or "LayerNorm" in name or "layer_norm" in name:
                value.add_(0.3 * torch.randn(value.shape))
            if name.endswith("relative_attention_bias.weight"):
                value.mul_(3)
    peer.save_pretrained(tmp_path / "theirs")
    model = load_encoder(tmp_path / "theirs")
    assert model.config.family == family

    # Ids from 3: lower ones are padding to some, whatever the mask says.
    ids, mask = ragged(1, length=min(16, model.config.max_tokens), low=3)
    if model.config.max_tokens > 200:
        ids, mask = ragged(1, length=200, low=3)
    pad = config.pad_token_id
    ids = np.where(mask, ids, pad).astype(np.int32)
    weights = np.random.default_rng(3).normal(size=(*ids.shape, 64)) * mask[..., None]
    variants = [{}]
    if family == "bert":
        types = np.random.default_rng(2).integers(0, 2, ids.shape).astype(np.int32)
        variants.append({"type_ids_BL": types})
    for extra in variants:
        named = dict.fromkeys(extra, "token_type_ids")
        hidden = peer(
            input_ids=torch.tensor(ids).long(),
            attention_mask=torch.tensor(mask).long(),
            **{peers: torch.tensor(extra[ours]) for ours, peers in named.items()},
        ).last_hidden_state
        rows = TokenRows(ids_BL=ids, mask_BL=mask, **extra)
        got = np.asarray(run(model.graphdef, model.params, rows))
        expected = hidden.detach().numpy()
        assert np.abs(got - expected)[mask].max() <= 1e-4
        for pooling in POOLINGS:
            ours, theirs = (
                np.asarray(l2_normalise(pool(hidden_BLD, mask, pooling=pooling)))
                for hidden_BLD in (got, expected)
            )
            assert np.abs(ours - theirs).max() <= 1e-5

    @jax.jit
    def loss(params):
        return (apply(model.graphdef, params, rows) * weights).sum()

    # Through the table of names, so that each gradient is laid beside its own.
    save_encoder(
        tmp_path / "g", params=jax.grad(loss)(model.params), config=model.config
    )
    (hidden * torch.tensor(weights)).sum().backward()
    ours = load_file(tmp_path / "g" / "model.safetensors")
    for name, parameter in peer.named_parameters():
        if "pooler" in name:
            continue
        theirs = np.zeros(parameter.shape) if parameter.grad is None else parameter.grad
        size = np.abs(np.asarray(theirs)).max()
        # A key's bias has none, softmax does not see it: what is there is rounding.
        unseen = name.endswith(("key.bias", ".k.bias", "k_lin.bias"))
        slack = 2e-3 if unseen else 1e-7
        assert np.abs(ours[name] - np.asarray(theirs)).max() <= 1e-3 * size + slack, (
            name
        )


@pytest.mark.parametrize(("family", "changes"), FAMILIES[::3] + FAMILIES[-1:])
def test_what_we_save_is_loaded_by_pytorch(tmp_path, family, changes):
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    module, config = peer_of(family, **changes)
    first = module(config)
    first.save_pretrained(tmp_path / "theirs")
    model = load_encoder(tmp_path / "theirs")
    save_encoder(tmp_path / "ours", params=model.params, config=model.config)
    again = module.from_pretrained(tmp_path / "ours").eval()
    for name, value in first.state_dict().items():
        if "pooler" not in name and "position_ids" not in name:
            assert torch.equal(value, again.state_dict()[name]), name
    assert load_encoder(tmp_path / "ours").config == model.config


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"scan": True}, {"remat": "layers"}])
@pytest.mark.parametrize("buckets", [0, 8])
def test_scanned_and_rematerialised_layers_give_the_same(changes, buckets):
    config = dataclasses.replace(TINY, relative_attention_num_buckets=buckets)
    model, other = initialise(config, seed=0), declare(config, **changes)
    ids, mask = ragged(2)
    rows = TokenRows(ids_BL=ids, mask_BL=mask)

    def loss(graphdef):
        return lambda params: (apply(graphdef, params, rows) ** 3).mean()

    expected = jax.jit(jax.value_and_grad(loss(model.graphdef)))(model.params)
    got = jax.jit(jax.value_and_grad(loss(other.graphdef)))(model.params)
    for one, two in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_texts_packed_into_a_row_give_what_they_give_alone():
    config = dataclasses.replace(TINY, relative_attention_num_buckets=8)
    model = initialise(config, seed=0)
    rng = np.random.default_rng(0)
    model = model._replace(
        params=jax.tree.map(
            lambda leaf: leaf + 0.3 * rng.normal(size=leaf.shape), model.params
        )
    )
    counts = (7, 1, 5)
    texts = [rng.integers(1, 50, count).astype(np.int32) for count in counts]
    packed = TokenRows(
        ids_BL=np.pad(np.concatenate(texts), (0, 3))[None],
        mask_BL=(np.arange(16) < 13)[None],
        segments_BL=np.repeat([0, 1, 2, 3], [*counts, 3]).astype(np.int32)[None],
        positions_BL=np.concatenate(
            [np.arange(count, dtype=np.int32) for count in (*counts, 3)]
        )[None],
    )
    got = np.asarray(run(model.graphdef, model.params, packed))[0]
    start = 0
    for text in texts:
        alone = TokenRows(ids_BL=text[None], mask_BL=np.ones((1, len(text)), bool))
        expected = np.asarray(run(model.graphdef, model.params, alone))[0]
        np.testing.assert_allclose(got[start : start + len(text)], expected, atol=1e-5)
        start += len(text)


def test_more_padding_changes_nothing():
    model = initialise(TINY, seed=0)
    ids, mask = ragged(3)
    expected = np.asarray(encoded(model, ids, mask))
    padded_ids = np.pad(ids, ((0, 3), (0, 8)), constant_values=9)
    padded_mask = np.pad(mask, ((0, 3), (0, 8)))
    got = np.asarray(encoded(model, padded_ids, padded_mask))
    np.testing.assert_allclose(got[:6, :16][mask], expected[mask], atol=1e-6)
    assert np.isfinite(got).all(), "rows of padding alone are no NaN"


def test_each_input_matters():
    model = initialise(TINY, seed=0)
    ids, mask = ragged(4)
    base = np.asarray(encoded(model, ids, mask))[0]
    swapped = ids.copy()
    swapped[0, [2, 5]] = ids[0, [5, 2]] + (ids[0, 2] == ids[0, 5])
    order = np.asarray(encoded(model, swapped, mask))[0]
    assert np.abs(order - base).max() > 1e-3
    types = np.ones_like(ids)
    typed = np.asarray(encoded(model, ids, mask, types))[0]
    assert np.abs(typed - base).max() > 1e-3


def test_params_are_a_pure_dict_with_string_keys_and_declaring_allocates_nothing():
    declared, model = declare(TINY), initialise(TINY, seed=0)
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
    model = initialise(TINY, seed=0)
    ids, mask = ragged(5)

    @jax.jit
    def loss(params):
        rows = TokenRows(ids_BL=ids, mask_BL=mask)
        hidden = apply(model.graphdef, params, rows)
        return l2_normalise(pool(hidden, mask, pooling="mean"))[:, 0].sum()

    for path, leaf in jax.tree_util.tree_flatten_with_path(
        jax.grad(loss)(model.params)
    )[0]:
        # A key's bias moves all scores of a query alike: softmax does not see it.
        name = jax.tree_util.keystr(path)
        assert np.isfinite(leaf).all()
        assert np.abs(leaf).max() > (-1 if "['key']['bias']" in name else 1e-7), name


def test_bfloat16_is_near_float32():
    model = initialise(TINY, seed=0)
    rough = declare(TINY, dtype="bfloat16")
    ids, mask = ragged(6)
    exact, near = (
        l2_normalise(
            pool(encoded(model, ids, mask, graphdef=graphdef), mask, pooling="mean")
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
        ({"model_type": "t5"}, "model_type: expected one of bert, cnn, distilbert, "),
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
        read_config(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"{", b"[1]", b"\xff"])
def test_config_that_is_none_is_one_line(tmp_path, content):
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"config\.json: expected"):
        read_config(tmp_path)
