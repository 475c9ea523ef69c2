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
from llmgnn_jax.training.vector_losses import alignment_uniformity, uniformity

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
    found = alignment_uniformity(
        users, items, rows_b=rows, weight=0.7, placement=ONE
    )
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
