"""The CPU kernels: what the plain formulas give, values and gradients."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders import layers
from llmgnn_jax.text.encoders.attention import allowed_pairs, attend_to
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.native import library
from tests.native.other_processors import check_with_flags

# Of tiles and panels: below, at and above their sizes, and several blocks of depth.
SIZES = [
    (1, 1, 1),
    (14, 32, 32),
    (33, 70, 45),
    (5, 2100, 17),
    (37, 64, 500),
    (700, 96, 40),
    (260, 1030, 130),
]


@pytest.fixture(autouse=True)
def native() -> None:
    if reason := library.unavailable_because():
        pytest.skip(f"native kernels: {reason}")


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def rounded(x: np.ndarray) -> np.ndarray:
    return np.asarray(jnp.asarray(x).astype(jnp.bfloat16).astype(jnp.float32))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_products_and_their_gradients(size: tuple[int, int, int], dtype: str) -> None:
    rows, depth, columns = size
    x, w, b = normal(0, rows, depth), normal(1, depth, columns), normal(2, columns)
    given = normal(3, rows, columns)
    y, back = jax.vjp(lambda *a: kernels.dense(*a, dtype), x, w, b)
    found = [np.asarray(part) for part in (y, *back(given))]
    plain = [np.float64(part) for part in (x, w, b, given)]

    def wanted(x: np.ndarray, w: np.ndarray, given: np.ndarray) -> list[np.ndarray]:
        return [x @ w + plain[2], given @ w.T, x.T @ given, plain[3].sum(axis=0)]

    exact = wanted(plain[0], plain[1], plain[3])
    if dtype == "bfloat16":
        coarse = wanted(*(np.float64(rounded(part)) for part in (x, w, given)))
        for one, two, other in zip(found[:3], coarse, exact, strict=False):
            # Processors without products of bfloat16 do not round to it.
            error = np.minimum(np.abs(one - two), np.abs(one - other)).max()
            assert error <= 2e-6 * np.sqrt(max(size)) * max(1, np.abs(two).max())
        return
    for one, other, inner in zip(
        found, exact, (depth, columns, rows, rows), strict=True
    ):
        # As near as float32 is: whatever the products are made of.
        assert np.abs(one - other).max() <= 5e-6 * np.sqrt(inner) + 1e-6


def test_float32_is_no_worse_than_numpys() -> None:
    x, w = normal(0, 64, 512), normal(1, 512, 64)
    exact = np.float64(x) @ np.float64(w)
    ours = np.abs(np.asarray(kernels.dense(x, w, None, "float32")) - exact)
    # NumPy's sums are cut into parts on some processors, which loses less.
    assert np.sqrt((ours**2).mean()) <= 2 * np.sqrt(((x @ w - exact) ** 2).mean())
    # Values of very different sizes, where one bfloat16 would lose all.
    x[:, ::2] *= 1e-4
    x[:, 1::4] *= 1e4
    exact = np.float64(x) @ np.float64(w)
    ours = np.abs(np.asarray(kernels.dense(x, w, None, "float32")) - exact)
    assert ours.max() <= 2 * np.abs(x @ w - exact).max()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_row_is_the_same_wherever_it_stands(dtype: str) -> None:
    x, w = normal(0, 300, 200), normal(1, 200, 77)
    w2 = normal(2, 77, 200)
    together = np.asarray(kernels.dense(x, w, None, dtype))
    fed = np.asarray(kernels.feed_forward(x, w, np.zeros(77), w2, np.zeros(200), dtype))
    for start in (0, 1, 13, 31, 140, 299):
        alone = kernels.dense(x[start : start + 3], w, None, dtype)
        np.testing.assert_array_equal(alone, together[start : start + 3])
        alone = kernels.feed_forward(
            x[start : start + 3], w, np.zeros(77), w2, np.zeros(200), dtype
        )
        np.testing.assert_array_equal(alone, fed[start : start + 3])
    assert (np.asarray(kernels.dense(x, w, None, dtype)) == together).all()


@pytest.mark.parametrize(
    ("rows", "width", "wide"), [(1, 5, 7), (130, 64, 96), (300, 33, 1100)]
)
def test_feed_forward(rows: int, width: int, wide: int) -> None:
    x, given = normal(0, rows, width), normal(1, rows, width)
    inner, inner_bias = 0.3 * normal(2, width, wide), normal(3, wide)
    outer, outer_bias = 0.1 * normal(4, wide, width), normal(5, width)

    def plain(x, inner, inner_bias, outer, outer_bias):
        high = jax.lax.Precision.HIGHEST
        sums = jnp.dot(x, inner, precision=high) + inner_bias[None]
        active = jax.nn.gelu(sums, approximate=False)
        return jnp.dot(active, outer, precision=high) + outer_bias[None]

    arguments = (x, inner, inner_bias, outer, outer_bias)
    wanted, wanted_back = jax.vjp(plain, *arguments)
    found, back = jax.vjp(lambda *a: kernels.feed_forward(*a, "float32"), *arguments)
    # Without a gradient the same, though nothing is kept.
    again = kernels.feed_forward(*arguments, "float32")
    np.testing.assert_array_equal(found, again)
    for one, two in zip(
        (found, *back(given)), (wanted, *wanted_back(given)), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=2e-5 * np.abs(two).max())
    near = kernels.feed_forward(*arguments, "bfloat16")
    assert np.abs(near - wanted).max() <= 3e-2 * np.abs(wanted).max()


def texts_of(batch: int, length: int, seed: int, *, packed: bool) -> TokenRows:
    random = np.random.default_rng(seed)
    used = random.integers(0, length + 1, batch)
    used[0] = length
    mask = np.arange(length) < used[:, None]
    segments = None
    if packed:
        starts = random.random((batch, length)) < 0.2
        segments = np.cumsum(starts, axis=1).astype(np.int32)
    return TokenRows(ids_BL=jnp.zeros_like(mask), mask_BL=mask, segments_BL=segments)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("batch", "length", "heads", "groups", "width"),
    [(3, 7, 2, 2, 4), (20, 40, 4, 2, 16), (2, 150, 6, 3, 24), (2, 70, 2, 1, 64)],
)
def test_attention(
    batch: int,
    length: int,
    heads: int,
    groups: int,
    width: int,
    causal: bool,
    packed: bool,
) -> None:
    rows = texts_of(batch, length, 0, packed=packed)
    mask = np.asarray(rows.mask_BL)
    segments = 0 if rows.segments_BL is None else rows.segments_BL
    texts = jnp.where(mask, segments, -1).astype(jnp.int32)
    joined = normal(1, batch, length, (heads + 2 * groups) * width)
    given = normal(2, batch, length, heads * width) * mask[..., None]

    def plain(joined):
        parts = joined.reshape(batch, length, heads + 2 * groups, width)
        query, key, value = jnp.split(parts, (heads, heads + groups), axis=2)
        out = attend_to(
            query,
            key,
            value,
            allowed_BLM=allowed_pairs(rows, causal=causal),
            dtype="float32",
        )
        return jnp.where(mask[..., None], out.reshape(given.shape), 0.0)

    wanted, wanted_back = jax.vjp(jax.jit(plain), joined)
    found, back = jax.vjp(
        lambda j: kernels.attend(j, texts, heads, groups, causal, "float32"), joined
    )
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    np.testing.assert_allclose(back(given)[0], wanted_back(given)[0], atol=2e-5)
    assert not np.asarray(found)[~mask].any()

    near, near_back = jax.vjp(
        lambda j: kernels.attend(j, texts, heads, groups, causal, "bfloat16"), joined
    )
    for one, two in ((near, wanted), (near_back(given)[0], wanted_back(given)[0])):
        assert np.abs(one - two).max() <= 2e-2 * np.abs(two).max()
    assert not np.asarray(near)[~mask].any()


def test_what_is_no_number_is_not_passed_over() -> None:
    joined = normal(0, 1, 20, 3 * 16)
    texts = jnp.zeros((1, 20), jnp.int32)
    for value in (np.nan, np.inf):
        joined[0, 3, :16] = value  # a query
        out = np.asarray(kernels.attend(joined, texts, 1, 1, False, "float32"))
        assert not np.isfinite(out[0, 3]).any()
        assert np.isfinite(np.delete(out[0], 3, axis=0)).all()


def test_attention_holds_out_large_scores() -> None:
    joined = np.zeros((1, 3, 6), np.float32)
    joined[0, :, 0] = (300, -300, 0)  # queries
    joined[0, :, 2] = (300, -300, 0)  # keys
    joined[0, :, 4] = (1, 2, 3)  # values
    out = kernels.attend(joined, jnp.zeros((1, 3), jnp.int32), 1, 1, False, "float32")
    np.testing.assert_allclose(out[0, :, 0], (1, 2, 2), rtol=1e-6)


@pytest.mark.parametrize(("rows", "width"), [(1, 3), (5, 16), (300, 70)])
@pytest.mark.parametrize("added", [False, True])
def test_layer_norm(rows: int, width: int, added: bool) -> None:
    x, addend = 3 + normal(0, rows, width), normal(1, rows, width)
    scale, bias = normal(2, width), normal(3, width)
    given = normal(4, rows, width)

    def plain(x, addend, scale, bias):
        s = x + addend if added else x
        centred = s - s.mean(axis=1, keepdims=True)
        variance = (centred**2).mean(axis=1, keepdims=True)
        return centred / jnp.sqrt(variance + 1e-5) * scale[None] + bias[None]

    def ours(x, addend, scale, bias):
        return kernels.layer_norm(x, addend if added else None, scale, bias, 1e-5)

    wanted, wanted_back = jax.vjp(plain, x, addend, scale, bias)
    found, back = jax.vjp(ours, x, addend, scale, bias)
    for one, two in zip(
        (found, *back(given)), (wanted, *wanted_back(given)), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=2e-4, atol=2e-4)


def test_gelu_far_out() -> None:
    x = np.linspace(-100, 100, 4001, dtype=np.float32)[:, None]
    one, zero = np.ones((1, 1), np.float32), np.zeros(1, np.float32)

    def ours(x):
        return kernels.feed_forward(x, one, zero, one, zero, "float32")

    wanted, wanted_back = jax.vjp(lambda x: jax.nn.gelu(x, approximate=False), x)
    found, back = jax.vjp(ours, x)
    np.testing.assert_allclose(found, wanted, atol=5e-7, rtol=1e-6)
    np.testing.assert_allclose(
        back(one + 0 * x)[0], wanted_back(1 + 0 * x)[0], atol=2e-6
    )


@pytest.mark.parametrize(
    ("name", "arguments", "match"),
    [
        ("dense", ((3, 4), (5, 2), None), "as many rows as a has columns"),
        ("dense", ((3, 4), (4, 2), (3,)), "one number for each column"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    name: str, arguments: tuple, match: str
) -> None:
    arrays = [
        None if shape is None else np.ones(shape, np.float32) for shape in arguments
    ]
    with pytest.raises(Exception, match=match):
        jax.block_until_ready(getattr(kernels, name)(*arrays, "float32"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ("-mno-amx-tile", "-mno-amx-bf16"),
        ("-mno-amx-tile", "-mno-avx512bf16"),
        ("-mno-avx512f",),
        ("-mno-avx",),
    ],
)
def test_what_other_processors_compile(flags: tuple[str, ...], tmp_path: Path) -> None:
    check_with_flags("llmgnn_jax.text.native", __file__, *flags, cache=tmp_path)


def test_other_derivatives_than_the_first_are_refused_in_a_line() -> None:
    x, w = jnp.asarray(normal(0, 1, 4, 6)), jnp.asarray(normal(1, 6, 6))

    def loss(x: jax.Array) -> jax.Array:
        return (layers.dense(x, w, None, dtype="float32") ** 2).sum()

    def of_gradient(x: jax.Array) -> jax.Array:
        return (jax.grad(loss)(x) ** 2).sum()

    for differentiate in (jax.grad, lambda f: jax.jit(jax.grad(f))):
        with pytest.raises(UserError, match=r"first derivatives .*=0 to") as e:
            differentiate(of_gradient)(x)
        assert str(e.value).startswith("llmgnn_dense: ")
        assert "\n" not in str(e.value)
    # JAX says so itself, in a line, of whatever has a gradient of its own.
    with pytest.raises(TypeError, match=r"forward-mode .*custom_vjp") as told:
        jax.jvp(loss, (x,), (x,))
    assert "\n" not in str(told.value).strip()
    # By the plain formulas both are there.
    with kernels.left_out():
        second = jax.grad(of_gradient)(x)
        _, along = jax.jvp(loss, (x,), (x,))
    expected = 8 * x[0] @ w @ w.T @ w @ w.T
    np.testing.assert_allclose(second[0], expected, rtol=1e-4, atol=1e-3)
    assert float(along) == pytest.approx(2 * float(loss(x)), rel=1e-4)


@pytest.mark.parametrize("size", [(1, 1, 1), (5, 16, 3), (37, 51, 12), (70, 129, 64)])
def test_softmax_of_targets(size: tuple[int, int, int]) -> None:
    rows, columns, width = size
    rng = np.random.default_rng(0)
    left, right = 3 * normal(1, rows, width), normal(2, columns, width)
    shift, given = normal(3, columns), normal(4, rows)
    keep = rng.random((rows, columns)) < 0.7
    keep[0] = False  # Its target alone: a loss of 0.
    targets = rng.integers(columns, size=rows).astype(np.int32)

    def plain(left: jax.Array, right: jax.Array) -> jax.Array:
        scores = left @ right.T
        own = scores[jnp.arange(rows), targets]
        beside = keep & (jnp.arange(columns)[None, :] != targets[:, None])
        others = jnp.where(beside, scores - shift[None, :], -jnp.inf)
        logits = jnp.concatenate([own[:, None], others], axis=1)
        return jax.nn.logsumexp(logits, axis=1) - own

    def ours(left: jax.Array, right: jax.Array) -> jax.Array:
        return kernels.softmax_targets(left, right, shift, keep, targets)

    found, back = jax.vjp(ours, left, right)
    expected, plain_back = jax.vjp(plain, jnp.asarray(left), jnp.asarray(right))
    assert float(found[0]) == pytest.approx(0.0, abs=1e-5)
    np.testing.assert_allclose(found, expected, atol=2e-5, rtol=2e-5)
    for one, other in zip(back(given), plain_back(jnp.asarray(given)), strict=True):
        np.testing.assert_allclose(one, other, atol=5e-5, rtol=5e-5)


def test_softmax_of_targets_hides_nothing_that_is_no_number() -> None:
    left, right = normal(0, 3, 8), normal(1, 40, 8)
    keep, targets = np.zeros((3, 40), bool), np.zeros(3, np.int32)
    right[39] = np.nan
    losses = kernels.softmax_targets(left, right, np.zeros(40), keep, targets)
    assert np.isnan(losses).all()
    with pytest.raises(Exception, match="numbers of items"):
        kernels.softmax_targets(left, right, np.zeros(40), keep, targets - 1)
