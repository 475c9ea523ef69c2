"""Output heads and attention pooling, against slow loops and PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.heads import HeadConfig, apply_head, initialise_head
from llmgnn_jax.text.pooling import POOLINGS, AttentionPooling, pool

LENGTHS = np.array([6, 1, 4, 0])
MASK = np.arange(6)[None, :] < LENGTHS[:, None]
HIDDEN = np.random.default_rng(0).normal(size=(4, 6, 5)).astype(np.float32)
KINDS = [
    *({"kind": "dense", "pooling": pooling} for pooling in (*POOLINGS, "attention")),
    {"kind": "convolutional", "filters": 7, "widths": (1, 2, 3, 8)},
]


def random_head(**values):
    head = initialise_head(HeadConfig(inputs=5, outputs=3, **values), seed=0)
    rng = np.random.default_rng(1)
    params = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(rng.normal(size=leaf.shape), jnp.float32),
        head.params,
    )
    return head._replace(params=params)


def attention_pooled(hidden, mask, query):
    result = np.zeros((len(hidden), hidden.shape[2]))
    for row, (vectors, real) in enumerate(zip(hidden, mask, strict=True)):
        if not real.any():
            continue
        scores = vectors[real] @ query / np.sqrt(hidden.shape[2])
        weights = np.exp(scores) / np.exp(scores).sum()
        result[row] = weights @ vectors[real]
    return result


def slow(head, hidden, mask):
    """In float64, one row and one place at a time."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), head.params)
    if head.config.kind == "dense":
        if head.config.pooling == "attention":
            features = attention_pooled(hidden, mask, params["attention"]["query"])
        else:
            features = np.asarray(pool(hidden, mask, pooling=head.config.pooling))
    else:
        features = np.zeros((len(hidden), 7 * 4))
        for row, real in enumerate(mask):
            vectors = hidden[row][real]
            for part in range(4):
                convolution = params["convolutions"][f"convolution_{part}"]
                width = len(convolution["kernel"])
                for place in range(len(vectors)):
                    found = convolution["bias"].copy()
                    for step in range(width):
                        at = place + step - (width - 1) // 2
                        if 0 <= at < len(vectors):
                            found += vectors[at] @ convolution["kernel"][step]
                    ours = features[row, 7 * part : 7 * part + 7]
                    np.maximum(ours, found, out=ours)
    return features @ params["output"]["kernel"] + params["output"]["bias"]


@pytest.mark.parametrize("values", KINDS, ids=str)
def test_outputs_are_those_of_a_slow_loop(values):
    head = random_head(**values)
    got = jax.jit(apply_head, static_argnums=0)(
        head.graphdef, head.params, HIDDEN, MASK
    )
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, slow(head, HIDDEN, MASK), atol=2e-5)
    # A text without tokens has the bias alone.
    np.testing.assert_allclose(got[3], head.params["output"]["bias"], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("values", KINDS, ids=str)
def test_padding_changes_nothing_and_gradients_stay_finite(values):
    head = random_head(**values)
    spoilt = np.where(MASK[:, :, None], HIDDEN, np.nan)
    spoilt[:, 0] = np.where(MASK[:, :1], spoilt[:, 0], 0)
    longer = np.pad(spoilt, ((0, 0), (0, 5), (0, 0)), constant_values=np.nan)
    mask = np.pad(MASK, ((0, 0), (0, 5)))

    def loss(params, hidden):
        return (apply_head(head.graphdef, params, hidden, mask) ** 2).sum()

    value, gradients = jax.value_and_grad(loss, (0, 1))(head.params, longer)
    plain = apply_head(head.graphdef, head.params, HIDDEN, MASK)
    assert value == pytest.approx(float((plain**2).sum()), rel=1e-4)
    for leaf in jax.tree.leaves(gradients):
        assert np.isfinite(leaf).all()
        assert np.abs(leaf).max() > 1e-3
    assert not np.asarray(gradients[1])[~mask].any()


def test_the_convolutional_head_is_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    head = random_head(kind="convolutional", filters=7, widths=(2, 3))
    parts = [head.params["convolutions"][f"convolution_{n}"] for n in range(2)]
    hidden = torch.tensor(HIDDEN[:1], requires_grad=True)
    found = []
    for part, width in zip(parts, (2, 3), strict=True):
        padded = torch.nn.functional.pad(
            hidden.transpose(1, 2), ((width - 1) // 2, width // 2)
        )
        kernel, bias = (torch.tensor(np.array(part[n].T)) for n in ("kernel", "bias"))
        found.append(torch.nn.functional.conv1d(padded, kernel, bias))
    largest = torch.relu(torch.cat(found, dim=1)).max(dim=2).values
    output = torch.tensor(np.array(head.params["output"]["kernel"]))
    expected = largest @ output + torch.tensor(np.array(head.params["output"]["bias"]))
    (expected**2).sum().backward()

    def outputs(vectors):
        return apply_head(head.graphdef, head.params, vectors, MASK[:1])

    np.testing.assert_allclose(
        outputs(HIDDEN[:1]), expected.detach().numpy(), atol=1e-5
    )
    gradient = jax.grad(lambda x: (outputs(x) ** 2).sum())(HIDDEN[:1])
    theirs = hidden.grad.numpy()
    assert np.abs(gradient - theirs).max() <= 1e-5 * np.abs(theirs).max()


def test_attention_pooling_starts_as_the_mean_and_learns():
    pooling = AttentionPooling(5)
    np.testing.assert_allclose(
        pooling(HIDDEN, MASK), pool(HIDDEN, MASK, pooling="mean"), atol=1e-6
    )
    query = np.array([3, -2, 0, 1, 5], np.float32)
    pooling.query[...] = jnp.asarray(query)
    np.testing.assert_allclose(
        pooling(HIDDEN, MASK), attention_pooled(HIDDEN, MASK, query), atol=1e-5
    )
    # A query of one token's direction, very long, takes that token.
    pooling.query[...] = jnp.asarray(1e4 * HIDDEN[0, 2])
    best = np.argmax(HIDDEN[0] @ HIDDEN[0, 2])
    np.testing.assert_allclose(pooling(HIDDEN, MASK)[0], HIDDEN[0, best], atol=1e-5)


def test_first_weights_of_heads():
    head = initialise_head(HeadConfig(inputs=16, outputs=400), seed=0)
    kernel = np.asarray(head.params["output"]["kernel"])
    assert 0.24 < np.abs(kernel).max() <= 0.25
    assert not np.asarray(head.params["output"]["bias"]).any()
    other = initialise_head(HeadConfig(inputs=16, outputs=400), seed=1)
    assert (kernel != other.params["output"]["kernel"]).all()


def test_bfloat16_is_near_float32():
    for values in KINDS:
        head = random_head(**values)
        config = HeadConfig(inputs=5, outputs=3, **values)
        rough = initialise_head(config, seed=0, dtype="bfloat16").graphdef
        exact = apply_head(head.graphdef, head.params, HIDDEN, MASK)
        near = apply_head(rough, head.params, HIDDEN, MASK)
        assert near.dtype == np.float32
        assert 0 < np.abs(near - exact).max() < 0.03 * np.abs(exact).max()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"kind": "linear"},
            "head: expected one of dense, convolutional, got 'linear'",
        ),
        ({"pooling": "max"}, "pooling: expected one of mean, cls, last, attention"),
        ({"outputs": 0}, "outputs: expected a whole number from 1, got 0"),
        ({"filters": 1.0}, "filters: expected a whole number from 1"),
        ({"widths": ()}, "widths: expected one or more whole numbers from 1"),
    ],
)
def test_heads_out_of_range_are_one_line(values, message):
    with pytest.raises(UserError, match=message):
        HeadConfig(**{"inputs": 4, "outputs": 2, **values})
