"""Texts packed into rows: nothing is lost, and the vectors are what they were."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.model import initialise
from llmgnn_jax.text.encoders.word_vectors import WordVectorsConfig
from llmgnn_jax.text.fingerprint import params_hash
from llmgnn_jax.text.length_buckets import length_buckets, padding_waste
from llmgnn_jax.text.packed_pooling import pool_packed
from llmgnn_jax.text.packing import pack, packed_batches, packs_well
from llmgnn_jax.text.pooling import POOLINGS, pool
from llmgnn_jax.text.tokens import tiny_tokenizer

PAD = 9_999
WORDS = [*"abcdefghij", "heist", "robots"]


def token_lists(counts, *, seed=0):
    """Lists of these lengths; no token stands twice."""
    numbers = np.random.default_rng(seed).permutation(sum(counts)) + 10_000
    return [part.tolist() for part in np.split(numbers, np.cumsum(counts)[:-1])]


def real_like(number, *, seed=0, longest=256):
    """Token counts as titles, genres and reviews have them: many short, a long tail."""
    drawn = np.random.default_rng(seed).lognormal(3.2, 0.8, number)
    return np.clip(drawn, 3, longest).astype(int).tolist()


def found_in(batches, lists):
    """The lists as the batches hold them, by starts and counts; each at most once."""
    found = {}
    for batch in batches:
        flat = batch.ids.reshape(-1)
        for start, count, text in zip(
            batch.starts, batch.counts, batch.texts, strict=True
        ):
            if text < 0:
                assert start == count == 0
                continue
            assert text not in found
            found[int(text)] = flat[start : start + count].tolist()
    assert sorted(found) == list(range(len(lists)))
    return [found[text] for text in range(len(lists))]


@pytest.mark.parametrize(
    ("counts", "row_length", "num_rows", "num_texts"),
    [
        (real_like(300), 256, 4, 200),
        (real_like(300), 256, 1, 1000),
        ([64, 1, 63, 64, 2, 62, 5], 64, 2, 16),
        ([3, 0, 7, 0, 1], 8, 2, 8),
        ([1], 1, 1, 1),
    ],
)
def test_every_token_lies_in_one_place(counts, row_length, num_rows, num_texts):
    lists = token_lists(counts)
    batches = pack(
        lists,
        row_length=row_length,
        num_rows=num_rows,
        num_texts=num_texts,
        pad_id=PAD,
    )
    assert found_in(batches, lists) == lists
    for batch in batches:
        assert batch.ids.shape == (num_rows, row_length)
        assert batch.starts.shape == batch.counts.shape == (num_texts,)
        # Texts come first, then what is none.
        assert (np.diff((batch.texts >= 0).astype(int)) <= 0).all()
        assert batch.mask.sum() == batch.counts.sum()
        np.testing.assert_array_equal(batch.ids != PAD, batch.mask)
        for start, count in zip(batch.starts, batch.counts, strict=True):
            row, place = divmod(int(start), row_length)
            assert place + count <= row_length, "a text stays in its row"
            inside = slice(place, place + count)
            np.testing.assert_array_equal(batch.positions[row, inside], range(count))
            assert len(set(batch.segments[row, inside].tolist())) <= 1
        for row in range(num_rows):
            used = int(batch.mask[row].sum())
            # Filled up at the right; each text's segment is its own, padding's too.
            assert batch.mask[row, :used].all()
            segments = batch.segments[row, :used]
            assert (np.diff(segments) >= 0).all()
            changes = np.flatnonzero(np.diff(segments)) + 1
            starts = batch.starts[batch.counts > 0] - row * row_length
            np.testing.assert_array_equal(
                np.sort(starts[(starts > 0) & (starts < row_length)]), changes
            )
            assert (batch.segments[row, used:] > segments.max(initial=-1)).all()


def test_padding_is_little_on_texts_as_they_come():
    lists = token_lists(real_like(3000))
    rows = pack(lists, row_length=2048, num_rows=1, num_texts=256)
    places = sum(batch.mask.size for batch in rows)
    waste = 1 - sum(map(len, lists)) / places
    buckets = length_buckets(lists, batch_tokens=2048, max_length=256)
    assert waste < 0.02
    assert waste < 0.3 * padding_waste(buckets)
    # There is nearly none where neither texts nor slots for them have run out.
    full = [batch for batch in rows[:-1] if (batch.texts < 0).any()]
    assert len(full) > 40
    assert all(batch.mask.mean() > 0.995 for batch in full)


def test_no_batch_holds_more_texts_than_it_may():
    lists = token_lists([2] * 50)
    batches = pack(lists, row_length=64, num_rows=2, num_texts=7)
    assert found_in(batches, lists) == lists
    assert [int((batch.texts >= 0).sum()) for batch in batches] == [7] * 7 + [1]


def test_nothing_to_pack_and_what_does_not_fit():
    assert pack([], row_length=8, num_rows=1, num_texts=2) == []
    assert packed_batches([], most=64, pad_id=0) == []
    with pytest.raises(ValueError, match="a text of 9 tokens, above 8"):
        pack(token_lists([3, 9]), row_length=8, num_rows=4, num_texts=9)


@pytest.mark.parametrize("total", [10, 64, 65, 200, 300, 512, 513, 1500, 2048, 5000])
def test_the_last_batch_is_as_short_as_it_may_be(total):
    counts = real_like(total // 8 + 1, seed=total, longest=60)
    lists = token_lists(counts, seed=total)
    batches = packed_batches(lists, most=2048, pad_id=PAD)
    assert found_in(batches, lists) == lists
    lengths = [batch.ids.shape for batch in batches]
    assert lengths[:-1] == [(1, 2048)] * (len(batches) - 1)
    (_, last), used = lengths[-1], int(batches[-1].mask.sum())
    assert last in (64, 128, 256, 512, 1024, 2048)
    assert last >= used
    assert last == 64 or last // 2 < used
    # Unit length in one program for all, whatever the row's length is.
    assert len({batch.texts.shape for batch in batches}) == 1


# One vector a text


def packed_hidden(counts, *, width=5, seed=0):
    """A batch of texts of these lengths, a vector for each place, and each text's."""
    lists = token_lists(counts)
    (batch,) = pack(lists, row_length=24, num_rows=3, num_texts=12)
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(*batch.ids.shape, width)).astype(np.float32)
    hidden = np.where(batch.mask[:, :, None], hidden, np.nan)
    flat = hidden.reshape(-1, width)
    alone = {
        int(text): flat[start : start + count]
        for start, count, text in zip(
            batch.starts, batch.counts, batch.texts, strict=True
        )
        if text >= 0
    }
    return batch, hidden, alone


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooled_as_each_text_alone(pooling):
    """With NaN at padding, a text without tokens, and slots without a text."""
    batch, hidden, alone = packed_hidden([24, 3, 0, 7, 1, 1, 9, 12])
    got = jax.jit(pool_packed, static_argnames="pooling")(
        jnp.asarray(hidden),
        jnp.asarray(batch.starts),
        jnp.asarray(batch.counts),
        pooling=pooling,
    )
    assert got.shape == (12, 5)
    for slot, text in enumerate(batch.texts.tolist()):
        if text < 0 or not len(alone[text]):
            expected = np.zeros(5)
        else:
            vectors = jnp.asarray(alone[text])[None]
            mask = jnp.ones(vectors.shape[:2], bool)
            expected = pool(vectors, mask, pooling=pooling)[0]
        np.testing.assert_allclose(got[slot], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradients_of_pooling_reach_the_tokens_alone(pooling):
    batch, hidden, _ = packed_hidden([24, 3, 0, 7, 1, 1, 9, 12])
    weights = np.random.default_rng(1).normal(size=(12, 5)).astype(np.float32)

    def weighed(hidden):
        vectors = pool_packed(
            hidden,
            jnp.asarray(batch.starts),
            jnp.asarray(batch.counts),
            pooling=pooling,
        )
        return (vectors * weights).sum()

    got = np.asarray(jax.grad(weighed)(jnp.asarray(hidden))).reshape(-1, 5)
    expected = np.zeros_like(got)
    for slot, (start, count) in enumerate(zip(batch.starts, batch.counts, strict=True)):
        if not count:
            continue
        if pooling == "mean":
            expected[start : start + count] = weights[slot] / count
        else:
            expected[start if pooling == "cls" else start + count - 1] = weights[slot]
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


# Vectors


def encoder_of(config, *, pooling, packs):
    tokenizer = tiny_tokenizer(WORDS)
    model = initialise(config(tokenizer.vocab_size), seed=3)
    # Large enough for attention to look at some words more than at others.
    params = jax.tree.map(lambda p: p if p.ndim == 1 else 10 * p, model.params)
    model = model._replace(params=params)
    encoder = TextEncoder(
        model=model,
        tokenizer=tokenizer,
        weights=params_hash(model.params),
        pooling=pooling,
        max_length=40,
        batch_tokens=96,
    )
    if encoder.packs == packs:
        return encoder
    if packs:
        pytest.skip("native kernels: texts are not packed without them")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("llmgnn_jax.text.encode.packs_well", lambda config: False)
        return TextEncoder(
            model=model,
            tokenizer=tokenizer,
            weights=params_hash(model.params),
            pooling=pooling,
            max_length=40,
            batch_tokens=96,
        )


def bert(vocab_size):
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=64,
    )


def decoder(vocab_size):
    return DecoderConfig(
        vocab_size=vocab_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        intermediate_size=24,
        max_position_embeddings=64,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "pooling"),
    [(bert, "mean"), (bert, "cls"), (bert, "last"), (decoder, "last")],
)
def test_vectors_are_those_of_buckets(config, pooling):
    rng = np.random.default_rng(5)
    texts = [" ".join(rng.choice(WORDS, rng.integers(0, 45))) for _ in range(40)]
    packed = encoder_of(config, pooling=pooling, packs=True)
    bucketed = encoder_of(config, pooling=pooling, packs=False)
    assert packed.identity == bucketed.identity
    assert {batch.ids.shape[0] for batch in packed.lay_out(texts)} == {1}
    assert {batch.ids.shape[0] for batch in bucketed.lay_out(texts)} != {1}
    got, expected = packed.encode(texts), bucketed.encode(texts)
    np.testing.assert_allclose(got, expected, atol=2e-6)
    assert np.abs(np.diff(expected, axis=0)).max() > 1e-2


def test_only_attention_that_skips_other_texts_is_worth_packing(monkeypatch):
    """A bias by relative positions, or no attention at all, gains nothing."""
    relative = dataclasses.replace(bert(20), relative_attention_num_buckets=32)
    for usable in (True, False):
        monkeypatch.setattr(
            "llmgnn_jax.text.kernels.usable", lambda usable=usable: usable
        )
        assert packs_well(bert(20)) == usable
        assert packs_well(decoder(20)) == usable
        assert not packs_well(relative)
        assert not packs_well(WordVectorsConfig(vocab_size=20, dim=8))
