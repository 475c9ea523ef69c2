"""Which parameters are trained: masks, and what they split."""

import jax
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.model import declare
from llmgnn_jax.text.lora import Adapters
from llmgnn_jax.text.parameters import flat
from llmgnn_jax.text.trainable import combine, partition, trainable

BERT = BertConfig(
    vocab_size=20,
    hidden_size=8,
    num_hidden_layers=12,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=16,
)
LLAMA = DecoderConfig(
    vocab_size=20,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=4,
    intermediate_size=12,
)
ADAPTERS = Adapters(rank=2, targets=("query", r"layer_1\.feed_forward", "down"))


@pytest.fixture(scope="module", params=[BERT, LLAMA], ids=["bert", "llama"])
def params(request):
    """Shapes of all parameters, adapters included."""
    return declare(request.param, adapters=ADAPTERS).params


def chosen(mask):
    return {name for name, yes in flat(mask).items() if yes}


def test_paths_are_in_the_order_of_the_leaves(params):
    leaves = jax.tree.leaves(params)
    names = list(flat(params))
    assert len(names) == len(set(names)) == len(leaves)
    for name, leaf in zip(names, leaves, strict=True):
        inside = params
        for part in name.split("."):
            inside = inside[part]
        assert inside is leaf
    assert "layer_1.attention.query.lora_a" in names


def test_modes(params):
    names = set(flat(params))
    adapters = {name for name in names if name.rpartition(".")[2].startswith("lora_")}
    masks = {mode: trainable(params, mode=mode) for mode in ("frozen", "lora", "full")}
    for mask in masks.values():
        assert jax.tree.structure(mask) == jax.tree.structure(params)
        assert all(type(leaf) is bool for leaf in jax.tree.leaves(mask))
    assert chosen(masks["frozen"]) == set()
    assert chosen(masks["lora"]) == adapters != set()
    assert chosen(masks["full"]) == names


@pytest.mark.parametrize("mode", ["frozen", "lora", "full"])
def test_what_is_frozen_by_pattern_is_taken_away_from_any_mode(params, mode):
    before = chosen(trainable(params, mode=mode))
    freeze = (r"^layer_0\.", "norm|embeddings|words")
    after = chosen(trainable(params, mode=mode, freeze=freeze))
    gone = {
        name
        for name in before
        if name.startswith("layer_0.")
        or any(part in name for part in ("norm", "embeddings", "words"))
    }
    assert after == before - gone
    assert (mode == "frozen") == (gone == set())
    assert chosen(trainable(params, mode=mode, freeze=("",))) == set()


def test_a_pattern_means_what_it_says():
    params = declare(BERT).params
    one = chosen(trainable(params, mode="full", freeze=("layer_1",)))
    # "layer_10" and "layer_11" have it in their names, too.
    assert {name.partition(".")[0] for name in one} == {
        "embeddings",
        *(f"layer_{number}" for number in (0, *range(2, 10))),
    }
    exact = chosen(trainable(params, mode="full", freeze=(r"^layer_1\.",)))
    assert len(exact) - len(one) == 2 * 16
    bias = chosen(trainable(params, mode="full", freeze=(r"\.bias$",)))
    assert all(not name.endswith(".bias") for name in bias)
    assert len(bias) == 4 + 12 * 8


@pytest.mark.parametrize(
    ("freeze", "line"),
    [
        (
            ("embeddings", "encoder.layer.0"),
            "freeze: expected patterns found in names such as embeddings.norm.bias, "
            "got 'encoder.layer.0'",
        ),
        (
            ("*",),
            "freeze: expected regular expressions, got '*' (nothing to repeat at "
            "position 0)",
        ),
    ],
)
@pytest.mark.parametrize("mode", ["lora", "full"])
def test_patterns_that_are_none_are_one_line(freeze, line, mode):
    params = declare(BERT, adapters=ADAPTERS).params
    with pytest.raises(UserError) as caught:
        trainable(params, mode=mode, freeze=freeze)
    assert str(caught.value) == line


@pytest.mark.parametrize("mode", ["frozen", "lora", "full"])
def test_parts_are_put_together_again(params, mode):
    mask = trainable(params, mode=mode)
    trained, frozen = partition(params, mask)
    assert set(flat(trained)) == chosen(mask)
    assert set(flat(frozen)) == set(flat(params)) - chosen(mask)
    for one, other in ((trained, frozen), (frozen, trained)):
        again = combine(one, other)
        assert jax.tree.structure(again) == jax.tree.structure(params)
        assert all(
            a is b
            for a, b in zip(
                jax.tree.leaves(again), jax.tree.leaves(params), strict=True
            )
        )


@pytest.mark.parametrize("seed", range(20))
def test_any_mask_is_a_partition(seed):
    rng = np.random.default_rng(seed)

    def tree(depth):
        return {
            f"{kind}{number}": tree(depth - 1) if kind == "d" else float(number)
            for number in range(rng.integers(1, 4))
            if (kind := "d" if depth and rng.random() < 0.6 else "x")
        }

    params = tree(4)
    mask = jax.tree.map(lambda _: bool(rng.random() < 0.5), params)
    yes, no = partition(params, mask)
    assert set(flat(yes)) == chosen(mask)
    assert set(flat(yes)).isdisjoint(flat(no))
    assert combine(yes, no) == combine(no, yes) == params
    # No dict is left empty: it would be a part of the tree that nothing is in.
    for part in (yes, no):
        assert "{}" not in str(part)[1:-1]
    before = str(yes)
    combine(yes, no)
    assert str(yes) == before, "combining changes no argument"
