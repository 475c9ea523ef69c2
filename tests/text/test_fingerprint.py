"""Weights in memory lead to their own vectors in the store, adapters too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.model import initialise, with_adapters
from llmgnn_jax.text.fingerprint import params_hash
from llmgnn_jax.text.lora import Adapters, merge_adapters
from llmgnn_jax.text.store import VectorStore
from llmgnn_jax.text.tokens import tiny_tokenizer

TOKENIZER = tiny_tokenizer(["heist", "robots"])
TEXTS = ["heist", "robots heist"]


@pytest.fixture(scope="module")
def model():
    config = BertConfig(
        vocab_size=TOKENIZER.vocab_size,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=16,
    )
    return initialise(config, seed=0)


def encoder_of(model, params):
    return TextEncoder(
        model=model._replace(params=params),
        tokenizer=TOKENIZER,
        weights=params_hash(params),
        max_length=16,
    )


def adapted(model, *, alpha, value):
    """The merged parameters of an encoder whose adapters' B is a constant."""
    adapters = Adapters(rank=2, alpha=alpha)
    params = with_adapters(model, adapters, seed=1).params
    with pytest.raises(ValueError, match=r"no adapters \(merge them\), got layer_0"):
        params_hash(params)
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            jnp.full_like(leaf, value) if path[-1].key == "lora_b" else leaf
        ),
        params,
    )
    return merge_adapters(params, scale=adapters.scale)


def test_every_change_of_the_weights_is_another_encoder(model, tmp_path):
    plain = encoder_of(model, model.params)
    assert encoder_of(model, jax.tree.map(jnp.array, model.params)).identity == (
        plain.identity
    )
    # Adapters that change nothing give the same vectors.
    same = encoder_of(model, adapted(model, alpha=4.0, value=0.0))
    assert same.identity == plain.identity
    others = [
        encoder_of(model, adapted(model, alpha=alpha, value=value))
        for alpha, value in ((4.0, 0.5), (8.0, 0.5), (4.0, 0.6))
    ]
    leaves, structure = jax.tree.flatten(model.params)
    leaves[-1] = leaves[-1].at[0].add(1e-6)
    one = jax.tree.unflatten(structure, leaves)
    others.append(encoder_of(model, one))
    assert len({plain.identity, *(other.identity for other in others)}) == 5
    # None is given what another one has stored.
    for encoder in (plain, *others):
        store = VectorStore.open(tmp_path, identity=encoder.identity, dim=encoder.dim)
        vectors, report = store.encode(TEXTS, encoder)
        assert report.encoded == 2
        np.testing.assert_array_equal(vectors, encoder.encode(TEXTS))


def test_names_shapes_and_types_count():
    zeros = np.zeros(4, np.float32)
    trees = [
        {"a": zeros},
        {"b": zeros},
        {"a": {"a": zeros}},
        {"a": zeros.reshape(2, 2)},
        {"a": zeros.astype(np.int32)},
        {"a": zeros[:2], "b": zeros[:2]},
    ]
    assert len({params_hash(tree) for tree in trees}) == len(trees)
