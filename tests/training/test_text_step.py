"""The encoder inside a step: what it encodes, which vectors come of it, gradients.

Shapes: R items that a batch names, P texts of a step, I item slots, T width of a
vector.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.config import Config, replace
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.model import apply
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.lora import merge_adapters
from llmgnn_jax.text.pooling import TEXT_POOLINGS, l2_normalise
from llmgnn_jax.text.readout import READOUT, without_readout
from llmgnn_jax.text.tiny_bert import tiny_bert
from llmgnn_jax.text.trainable import combine
from llmgnn_jax.training.batch import draw_batch, num_named
from llmgnn_jax.training.encoder_parts import EncoderParts, take_apart
from llmgnn_jax.training.sides import Sides
from llmgnn_jax.training.step import batch_loss
from llmgnn_jax.training.text_step import (
    EncoderInputs,
    EncoderSpec,
    FreshTexts,
    encode_some,
)

WORDS = [*"abcdefghij", "heist", "robots"]
NO_TEXT = (3, 8)
NUM_ITEMS, SLOTS = 15, 18
MODES = ("lora", "full")
LAYOUTS = ("packed", "rows")


def item_texts() -> list[str]:
    """Of 1 to 14 words, all different; two items have none."""
    rng = np.random.default_rng(4)
    texts = [" ".join(rng.choice(WORDS, 1 + item)) for item in range(NUM_ITEMS)]
    return ["" if item in NO_TEXT else text for item, text in enumerate(texts)]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """An encoder in the middle of its training."""

    encoder: TextEncoder
    parts: EncoderParts
    inputs: EncoderInputs

    def spec(self, layout: str, *, texts: int = NUM_ITEMS, places: int = 0) -> Any:
        everything = int(self.inputs.counts_I.sum())
        return EncoderSpec(
            graphdef=self.parts.graphdef,
            readout=self.encoder.readout,
            texts=texts,
            places=(places or everything + 7) if layout == "packed" else 0,
        )

    def vectors(self) -> np.ndarray:
        """(items, T) as the encoder gives them that a run leaves behind."""
        params = combine(self.parts.trained, self.parts.frozen)
        if self.parts.scale is not None:
            params = merge_adapters(params, scale=self.parts.scale)
        return self.encoder.with_params(params).encode(item_texts())


READOUTS: dict[str, dict[str, Any]] = {
    **{pooling: {"pooling": pooling} for pooling in TEXT_POOLINGS},
    "convolutional": {"head": "convolutional"},
}


@functools.cache
def trained(mode: str, readout: str = "mean") -> Trained:
    config = replace(
        Config(recipe="r"),
        **{"text.mode": mode, "text.lora_rank": 3, "text.freeze": ("positions",)},
    )
    encoder = tiny_bert(WORDS, dim=16, **READOUTS[readout])
    parts = take_apart(encoder, config)
    # Adapters that change something, and texts that attention tells apart.
    rng = np.random.default_rng(0)
    moved = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(0.2 * rng.normal(size=leaf.shape), jnp.float32),
        parts.trained,
    )
    lists = encoder.tokens(item_texts())
    counts = np.zeros(SLOTS, np.int32)
    ids = np.zeros((SLOTS, max(map(len, lists))), np.int32)
    for item, tokens in enumerate(lists):
        counts[item] = 0 if item in NO_TEXT else len(tokens)
        ids[item, : len(tokens)] = tokens
    return Trained(
        encoder=encoder,
        parts=dataclasses.replace(parts, trained=moved),
        inputs=EncoderInputs(
            frozen=parts.frozen, ids_IL=jnp.asarray(ids), counts_I=jnp.asarray(counts)
        ),
    )


@functools.partial(jax.jit, static_argnums=0)
def _encoded(
    spec: EncoderSpec, params: Any, inputs: EncoderInputs, items_R: Any, key: Any
) -> tuple[jax.Array, ...]:
    fresh = encode_some(spec, params, inputs, items_R=items_R, key=key)
    return fresh.items_P, fresh.vectors_PT, fresh.known_P


def encoded(
    made: Trained, spec: EncoderSpec, items: Any, *, seed: int = 0
) -> FreshTexts:
    items_P, vectors_PT, known_P = _encoded(
        spec,
        made.parts.trained,
        made.inputs,
        jnp.asarray(items, jnp.int32),
        jax.random.key(seed),
    )
    return FreshTexts(items_P=items_P, vectors_PT=vectors_PT, known_P=known_P)


def chosen(fresh: FreshTexts) -> list[int]:
    """The items that were encoded, ascending."""
    return sorted(np.asarray(fresh.items_P)[np.asarray(fresh.known_P)].tolist())


@pytest.mark.slow
@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", MODES)
def test_vectors_are_those_of_the_encoder(mode: str, layout: str, readout: str) -> None:
    made = trained(mode, readout)
    expected = made.vectors()
    # Else it would say nothing of what is trained.
    assert np.abs(expected - made.encoder.encode(item_texts())).max() > 0.01
    fresh = encoded(made, made.spec(layout), range(NUM_ITEMS))
    assert chosen(fresh) == [i for i in range(NUM_ITEMS) if i not in NO_TEXT]
    for item, vector, known in zip(
        fresh.items_P, fresh.vectors_PT, fresh.known_P, strict=True
    ):
        if known:
            np.testing.assert_allclose(vector, expected[item], atol=2e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_distinct_item_with_a_text_is_encoded_once(layout: str) -> None:
    made = trained("lora")
    named = [7, 3, 7, 0, 14, 0, 7, 3, 8, 8]
    fresh = encoded(made, made.spec(layout, texts=9), named)
    assert chosen(fresh) == [0, 7, 14]
    # Nobody has a text.
    fresh = encoded(made, made.spec(layout, texts=4), [*NO_TEXT, *NO_TEXT, 16])
    assert chosen(fresh) == []
    assert np.isfinite(fresh.vectors_PT).all()


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_items_are_drawn_where_there_are_too_many(layout: str) -> None:
    """By step and item: neither by their order nor by how often they are named."""
    made = trained("lora")
    spec = made.spec(layout, texts=4)
    first = encoded(made, spec, range(NUM_ITEMS), seed=1)
    again = encoded(made, spec, [*range(NUM_ITEMS)][::-1], seed=1)
    other = encoded(made, spec, range(NUM_ITEMS), seed=2)
    assert len(chosen(first)) == len(chosen(other)) == 4
    assert chosen(first) == chosen(again) != chosen(other)
    doubled = encoded(made, spec, [*range(NUM_ITEMS), *[5] * 20], seed=1)
    assert chosen(doubled) == chosen(first)


def test_each_item_is_drawn_as_often() -> None:
    made = trained("lora")
    spec = made.spec("rows", texts=4)
    draws = 600

    @jax.jit
    def drawn(keys: jax.Array) -> tuple[jax.Array, jax.Array]:
        def one(_: None, key: jax.Array) -> Any:
            fresh = encode_some(
                spec,
                made.parts.trained,
                made.inputs,
                items_R=jnp.arange(NUM_ITEMS, dtype=jnp.int32),
                key=key,
            )
            return None, (fresh.items_P, fresh.known_P)

        return jax.lax.scan(one, None, keys)[1]

    items, known = drawn(jax.random.split(jax.random.key(5), draws))
    assert known.all()
    counts = np.bincount(np.asarray(items).reshape(-1), minlength=NUM_ITEMS)
    assert not counts[list(NO_TEXT)].any()
    share = 4 / (NUM_ITEMS - len(NO_TEXT))
    spread = np.sqrt(draws * share * (1 - share))
    others = np.delete(counts, NO_TEXT)
    assert np.abs(others - draws * share).max() < 4 * spread
    assert others.std() > 0.3 * spread  # Drawn, not dealt out.


def test_what_finds_no_place_keeps_its_stored_vector() -> None:
    made = trained("full")
    expected, counts = made.vectors(), np.asarray(made.inputs.counts_I)
    stored = np.random.default_rng(1).normal(size=(SLOTS, 16)).astype(np.float32)
    places = 40
    fresh = encoded(made, made.spec("packed", places=places), range(NUM_ITEMS))
    kept = chosen(fresh)
    assert 0 < len(kept) < NUM_ITEMS - len(NO_TEXT)
    assert counts[kept].sum() <= places
    # The next one in the order of the draw would not have fitted.
    order = np.asarray(fresh.items_P)[: len(kept) + 1]
    assert counts[order].sum() > places
    result = np.asarray(fresh.put_into(jnp.asarray(stored)))
    for item in range(SLOTS):
        if item in kept:
            np.testing.assert_allclose(result[item], expected[item], atol=2e-6)
        else:
            np.testing.assert_array_equal(result[item], stored[item])


def test_a_text_that_fills_all_places_is_encoded() -> None:
    made = trained("lora")
    longest = int(np.argmax(made.inputs.counts_I))
    places = int(made.inputs.counts_I[longest])
    fresh = encoded(made, made.spec("packed", places=places), [longest])
    assert chosen(fresh) == [longest]
    np.testing.assert_allclose(fresh.vectors_PT[0], made.vectors()[longest], atol=2e-6)


def test_put_into() -> None:
    fresh = FreshTexts(
        items_P=jnp.array([4, 0, 5, 5]),
        vectors_PT=jnp.arange(8.0).reshape(4, 2),
        known_P=jnp.array([True, True, False, False]),
    )
    got = fresh.put_into(jnp.full((6, 2), -1.0))
    expected = np.full((6, 2), -1.0)
    expected[4], expected[0] = [0, 1], [2, 3]
    np.testing.assert_array_equal(got, expected)
    # What is replaced has no gradient, what is kept has all of it.
    stored, new = jax.grad(
        lambda stored, new: (
            dataclasses.replace(fresh, vectors_PT=new).put_into(stored).sum()
        ),
        argnums=(0, 1),
    )(jnp.zeros((6, 2)), jnp.zeros((4, 2)))
    np.testing.assert_array_equal(stored.sum(axis=1), [0, 2, 2, 2, 0, 2])
    np.testing.assert_array_equal(new.sum(axis=1), [2, 2, 0, 0])


# Gradients


def weighed(vectors_PT: jax.Array, items_P: jax.Array, known_P: jax.Array) -> jax.Array:
    """A scalar in which each item's vector has weights of its own."""
    weights_IT = jnp.asarray(
        np.random.default_rng(2).normal(size=(SLOTS, vectors_PT.shape[1])), jnp.float32
    )
    terms_P = jnp.sum(vectors_PT * weights_IT[items_P], axis=1)
    return jnp.sum(jnp.where(known_P, terms_P, 0.0))


def one_by_one(made: Trained, params: Any, items: list[int]) -> jax.Array:
    """The same scalar, each text encoded in a row of its own and without padding."""
    total = jnp.zeros(())
    for item in items:
        ids = made.inputs.ids_IL[item, : int(made.inputs.counts_I[item])][None]
        rows = TokenRows(ids_BL=ids, mask_BL=jnp.ones(ids.shape, bool))
        whole = combine(params, made.parts.frozen)
        hidden = apply(made.parts.graphdef, without_readout(whole), rows)
        readout = made.encoder.readout
        vectors = l2_normalise(readout.of_rows(whole, hidden, rows.mask_BL))
        total += weighed(vectors, jnp.array([item]), jnp.array([True]))
    return total


@pytest.mark.slow
@pytest.mark.parametrize("readout", ["mean", "attention", "convolutional"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_those_of_each_text_alone(
    mode: str, layout: str, readout: str
) -> None:
    made = trained(mode, readout)
    named, spec = [2, 5, 5, 8, 11, 2, 0], made.spec(layout, texts=6)

    def scalar(params: Any) -> jax.Array:
        fresh = encode_some(
            spec,
            params,
            made.inputs,
            items_R=jnp.array(named, jnp.int32),
            key=jax.random.key(0),
        )
        return weighed(fresh.vectors_PT, fresh.items_P, fresh.known_P)

    value, got = jax.jit(jax.value_and_grad(scalar))(made.parts.trained)
    wanted, expected = jax.value_and_grad(lambda p: one_by_one(made, p, [0, 2, 5, 11]))(
        made.parts.trained
    )
    assert float(value) == pytest.approx(float(wanted), abs=1e-4)
    names = []
    for (path, one), other in zip(
        jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(expected), strict=True
    ):
        names.append(".".join(key.key for key in path))
        scale = float(jnp.abs(other).max())
        np.testing.assert_allclose(
            one, other, atol=1e-4 * max(scale, 1.0), err_msg=names[-1]
        )
        # The keys' bias alone changes nothing: it adds the same to all scores.
        if not names[-1].endswith("key.bias"):
            assert scale > 1e-4, names[-1]
    learned = {name for name in names if name.startswith(READOUT)}
    assert len(learned) == {"mean": 0, "attention": 1, "convolutional": 6}[readout]
    names = [name for name in names if name not in learned]
    if mode == "lora":
        assert {name.rpartition(".")[2] for name in names} == {"lora_a", "lora_b"}
    else:
        assert "embeddings.words" in names
        assert not any("positions" in name for name in names)
    # And the slope along the gradient is its length.
    size = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(got)))
    width = 2e-3

    def along(distance: float) -> float:
        params = jax.tree.map(
            lambda leaf, slope: leaf + distance / size * slope, made.parts.trained, got
        )
        return float(scalar(params))

    slope = (along(width) - along(-width)) / (2 * width)
    assert slope == pytest.approx(float(size), rel=0.02)


# In a whole step


@pytest.fixture(scope="module")
def in_step(small: Callable[..., Any]) -> Callable[..., tuple[Any, Any, Trained]]:
    """(mode, changes) -> a model, its data with an encoder, and that encoder."""

    def make(mode: str, **changes: Any) -> tuple[Any, Any, Trained]:
        made = trained(mode)
        stored = made.encoder.encode(item_texts())
        model = small("fused", item_vectors=stored, **changes)
        assert model.spec.item_capacity == SLOTS
        text = model.prepared.features.text
        known = np.arange(SLOTS) < NUM_ITEMS
        known[list(NO_TEXT)] = False
        text = dataclasses.replace(
            text, item_known_I=text.item_known_I & jnp.asarray(known)
        )
        features = dataclasses.replace(model.data.features, text=text)
        data = dataclasses.replace(model.data, features=features, encoder=made.inputs)
        return model, data, made

    return make


@pytest.mark.slow
@pytest.mark.parametrize("negatives", ["all", "uniform", "in_batch"])
def test_only_the_items_are_fresh(in_step: Callable[..., Any], negatives: str) -> None:
    """Users' texts are means of stored vectors, their targets left out of them."""
    model, data, made = in_step("full", **{"train.negatives": negatives})
    batch = draw_batch(
        data, key=jax.random.key(0), step=jnp.int32(3), train=model.config.train
    )
    fresh = encoded(made, made.spec("packed", texts=6), batch.items_R)
    assert len(chosen(fresh)) == 6
    options: dict[str, Any] = {"dropout": 0.0, "whole": negatives == "all"}
    net = nnx.merge(model.definition, model.params)
    sides = Sides(net, data, batch, fresh=fresh, **options)
    stored = Sides(net, data, batch, **options)
    (users, items), (stored_users, stored_items) = sides.vectors(), stored.vectors()
    np.testing.assert_array_equal(users, stored_users)
    vectors = made.vectors()
    item_IT = np.array(data.features.text.item_IT)
    item_IT[chosen(fresh)] = vectors[chosen(fresh)]
    text = dataclasses.replace(data.features.text, item_IT=jnp.asarray(item_IT))
    replaced = dataclasses.replace(
        data, features=dataclasses.replace(data.features, text=text)
    )
    _, expected = Sides(net, replaced, batch, **options).vectors()
    np.testing.assert_allclose(items, expected, atol=1e-5)
    assert np.abs(expected - stored_items).max() > 1e-3


def test_two_steps_encode_two_draws_and_one_step_always_the_same(
    in_step: Callable[..., Any],
) -> None:
    model, data, made = in_step("lora")
    spec = made.spec("packed", texts=3)

    @functools.partial(jax.jit, static_argnums=1)
    def loss(step: Any, encoder: EncoderSpec | None) -> jax.Array:
        params = dict(model.params)
        if encoder is not None:
            params["text_encoder"] = made.parts.trained
        return batch_loss(
            params,
            model.definition,
            data,
            key=jax.random.key(0),
            step=step,
            config=model.config,
            encoder=encoder,
        )[0]

    whole = [float(loss(jnp.int32(step), spec)) for step in (0, 1, 0)]
    assert whole[0] == whole[2] != whole[1]
    # Without fresh texts it is another loss; near it, since vectors are of length 1.
    assert whole[0] != float(loss(jnp.int32(0), None))


@pytest.mark.parametrize(
    ("loss", "negatives"),
    [
        ("sampled_softmax", "all"),
        ("sampled_softmax", "uniform"),
        ("sampled_softmax", "in_batch"),
        ("bpr", "uniform"),
        ("bpr", "in_batch"),
    ],
)
def test_as_many_items_as_a_batch_names(
    small: Callable[..., Any], loss: str, negatives: str
) -> None:
    made = small("graph", **{"train.loss": loss, "train.negatives": negatives})
    train = made.config.train
    batch = draw_batch(made.data, key=jax.random.key(0), step=jnp.int32(0), train=train)
    assert num_named(train) == len(batch.items_R)
