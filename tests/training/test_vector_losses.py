"""Losses of vectors against loops in NumPy, and cases worked out by hand."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.graph.placement import OneDevice
from llmgnn_jax.parallel.mesh import DATA
from llmgnn_jax.training.vector_losses import (
    alignment_uniformity,
    first_of_each,
    info_nce,
    perturbed,
    uniformity,
)

ONE = OneDevice(backend="segment")


@dataclass(frozen=True)
class Programs(OneDevice):
    """As under `pmap`, but of `vmap`: the same collectives on one device."""

    def everyones(self, rows_b: jax.Array) -> jax.Array:
        return jax.lax.all_gather(rows_b, DATA, tiled=True)


MANY = Programs(backend="segment")


def in_programs(function: Any, *arrays: jax.Array, count: int = 3) -> jax.Array:
    """(B, ...) of a function that several programs compute rows of."""
    cut = [array.reshape(count, -1, *array.shape[1:]) for array in arrays]
    found = jax.vmap(function, axis_name=DATA)(*cut)
    return found.reshape(-1, *found.shape[2:])


def drawn(seed: int, *, rows: int = 6, width: int = 4) -> jax.Array:
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=(rows, width)), jnp.float32)


def unit(vectors: Any) -> np.ndarray:
    array = np.asarray(vectors, np.float64)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def slow_uniformity(vectors: np.ndarray) -> float:
    pairs = itertools.combinations(vectors, 2)
    near = [math.exp(-2 * ((one - other) ** 2).sum()) for one, other in pairs]
    return math.log(sum(near) / len(near))


@pytest.mark.parametrize("seed", range(3))
def test_alignment_and_uniformity_equal_loops(seed: int) -> None:
    users, items = drawn(seed), drawn(seed + 10)
    items = items.at[4].set(items[1])  # A pair of one item counts too.
    rows = jnp.arange(6)
    found = alignment_uniformity(users, items, rows_b=rows, weight=0.7, placement=ONE)
    both = unit(users), unit(items)
    spread = sum(map(slow_uniformity, both)) / 2
    expected = ((both[0] - both[1]) ** 2).sum(axis=1) + 0.7 * spread
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # However rows are spread over programs.
    spread_out = in_programs(
        lambda u, i, r: alignment_uniformity(
            u, i, rows_b=r, weight=0.7, placement=MANY
        ),
        *(users, items, rows),
    )
    np.testing.assert_allclose(spread_out, expected, rtol=1e-5)


def test_alignment_and_uniformity_by_hand() -> None:
    # Users lie on axes, 2 apart in squares; items opposite each other, 4 apart.
    users = jnp.asarray([[3.0, 0.0], [0.0, 0.5]])
    items = jnp.asarray([[2.0, 0.0], [-1.0, 0.0]])
    options = {"rows_b": jnp.arange(2), "placement": ONE}
    found = alignment_uniformity(users, items, weight=0.5, **options)
    spread = 0.5 * (-4.0 - 8.0) / 2
    np.testing.assert_allclose(found, [0.0 + spread, 2.0 + spread], rtol=1e-6)
    # All in one place: as bad as it gets.
    alike = jnp.ones((4, 3))
    options = {"rows_b": jnp.arange(4), "placement": ONE}
    assert float(uniformity(alike, **options)) == pytest.approx(0.0, abs=1e-6)
    assert float(uniformity(10 * drawn(0, rows=4), **options)) < -10


def test_lengths_have_no_gradient() -> None:
    users, items = drawn(0), drawn(1)

    def loss(users: jax.Array) -> jax.Array:
        rows = jnp.arange(6)
        return jnp.mean(
            alignment_uniformity(users, items, rows_b=rows, weight=1.0, placement=ONE)
        )

    gradient = jax.grad(loss)(users)
    np.testing.assert_allclose(jnp.sum(gradient * users, axis=1), 0.0, atol=1e-6)
    assert float(loss(5.0 * users)) == pytest.approx(float(loss(users)), rel=1e-5)
    # A step against it lowers what it is the gradient of.
    moved = users - 0.1 * gradient
    decrease = float(loss(users) - loss(moved))
    assert decrease == pytest.approx(0.1 * float(jnp.sum(gradient**2)), rel=0.1)


def test_programs_share_a_gradient() -> None:
    """The mean of what programs give their own parameters is that of one program."""
    users, items = drawn(0), drawn(1)

    def loss(scale: jax.Array, users: jax.Array, items: jax.Array, rows: Any, on: Any):
        return jnp.mean(
            alignment_uniformity(
                jnp.tanh(scale[None, :] * users),
                items,
                rows_b=rows,
                weight=1.0,
                placement=on,
            )
        )

    scale, rows = jnp.asarray([0.5, 1.0, 2.0, -1.0]), jnp.arange(6)
    expected = jax.grad(loss)(scale, users, items, rows, ONE)
    gradients = in_programs(
        lambda u, i, r: jax.grad(loss)(scale, u, i, r, MANY)[None],
        *(users, items, rows),
    )
    np.testing.assert_allclose(gradients.mean(axis=0), expected, rtol=1e-4, atol=1e-6)


def slow_info_nce(first: Any, second: Any, keep: Any, temperature: float) -> float:
    """The mean over kept rows."""
    first, second, losses = unit(first), unit(second), []
    kept = np.flatnonzero(keep)
    for row in kept:
        scores = [first[row] @ second[other] / temperature for other in kept]
        total = math.log(sum(map(math.exp, scores)))
        losses.append(total - first[row] @ second[row] / temperature)
    return float(np.mean(losses))


@pytest.mark.parametrize(
    "keep", [[1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 0, 1], [0, 0, 0, 0, 1, 0]]
)
def test_info_nce_equals_a_loop(keep: list[int]) -> None:
    first, second, kept = drawn(3), drawn(4), jnp.asarray(keep, bool)
    rows = jnp.arange(6)
    found = info_nce(
        first, second, keep_b=kept, rows_b=rows, temperature=0.3, placement=ONE
    )
    expected = slow_info_nce(first, second, keep, 0.3)
    assert float(jnp.mean(found)) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    np.testing.assert_array_equal(np.asarray(found)[~np.asarray(kept)], 0.0)
    spread_out = in_programs(
        lambda one, other, kept, rows: info_nce(
            one, other, keep_b=kept, rows_b=rows, temperature=0.3, placement=MANY
        ),
        *(first, second, kept, rows),
    )
    np.testing.assert_allclose(spread_out, found, rtol=1e-5, atol=1e-6)


def test_info_nce_by_hand() -> None:
    axes = jnp.eye(2)
    options = {"keep_b": jnp.ones(2, bool), "rows_b": jnp.arange(2)}
    found = info_nce(axes, 3 * axes, temperature=0.5, placement=ONE, **options)
    np.testing.assert_allclose(found, math.log1p(math.exp(-2.0)), rtol=1e-6)
    crossed = info_nce(axes, axes[::-1], temperature=0.5, placement=ONE, **options)
    np.testing.assert_allclose(crossed, math.log1p(math.exp(2.0)), rtol=1e-6)


def test_info_nce_of_nothing_has_no_gradient() -> None:
    def loss(first: jax.Array) -> jax.Array:
        return jnp.sum(
            info_nce(
                first,
                drawn(1),
                keep_b=jnp.zeros(6, bool),
                rows_b=jnp.arange(6),
                temperature=0.1,
                placement=ONE,
            )
        )

    value, gradient = jax.value_and_grad(loss)(drawn(0))
    assert float(value) == 0
    np.testing.assert_array_equal(gradient, 0.0)


def test_the_first_row_of_each_number() -> None:
    numbers = jnp.asarray([4, 7, 4, 7, 7, 2])
    keep = jnp.asarray([True, False, True, True, True, True])
    expected = [True, False, False, True, False, True]
    rows = jnp.arange(6)
    found = first_of_each(numbers, keep_b=keep, rows_b=rows, placement=ONE)
    np.testing.assert_array_equal(found, expected)
    spread_out = in_programs(
        lambda numbers, keep, rows: first_of_each(
            numbers, keep_b=keep, rows_b=rows, placement=MANY
        ),
        *(numbers, keep, rows),
    )
    np.testing.assert_array_equal(spread_out, expected)


def test_noise_has_a_length_and_keeps_to_the_orthant() -> None:
    vectors = drawn(0, rows=8).at[3].set(0.0)
    numbers = jnp.asarray([5, 1, 5, 0, 2, 3, 4, 6])
    key = jax.random.key(1)
    noise = np.asarray(perturbed(vectors, numbers, key=key, length=0.1) - vectors)
    others = np.asarray([row for row in range(8) if row != 3])
    np.testing.assert_allclose(np.linalg.norm(noise[others], axis=1), 0.1, rtol=1e-4)
    assert not noise[3].any()
    signs = np.sign(np.asarray(vectors))
    assert (np.sign(noise[others]) == signs[others]).all()
    # One number, one noise; another number or key, another.
    np.testing.assert_allclose(np.abs(noise[0]), np.abs(noise[2]), rtol=1e-3)
    assert np.abs(np.abs(noise[0]) - np.abs(noise[1])).max() > 1e-3
    other = perturbed(vectors, numbers, key=jax.random.key(2), length=0.1)
    assert np.abs(np.asarray(other - vectors) - noise)[others].max(axis=1).min() > 1e-3
