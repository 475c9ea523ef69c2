"""The fusion: its formula, and that it starts as the sum of both sides."""

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.models.fusion import (
    ACTIVATIONS,
    FUSIONS,
    AttentionFusion,
    ConcatFusion,
    GateFusion,
    SumFusion,
)

NUMPY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "gelu": lambda x: (
        x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    ),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "identity": lambda x: x,
}


def test_every_activation_has_a_reference() -> None:
    assert set(NUMPY) == set(ACTIVATIONS)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_formula(activation: str) -> None:
    rng = np.random.default_rng(0)
    fusion = ConcatFusion(3, activation=activation)
    shapes = {"kernel": (6, 12), "bias": (12,)}
    shapes |= {"output_kernel": (12, 6), "output_bias": (6,)}
    values = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    for name, value in values.items():
        assert getattr(fusion, name)[...].shape == shapes[name]
        getattr(fusion, name)[...] = jnp.asarray(value, jnp.float32)
    graph, text = rng.normal(size=(2, 4, 3))
    out = fusion(jnp.asarray(graph, jnp.float32), jnp.asarray(text, jnp.float32))
    both = np.concatenate([graph, text], axis=1)
    hidden = NUMPY[activation](both @ values["kernel"] + values["bias"])
    expected = hidden @ values["output_kernel"] + values["output_bias"]
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "gelu", "identity"])
def test_starts_as_the_sum_of_both_dot_products(activation: str) -> None:
    rng = np.random.default_rng(1)
    users, items = rng.normal(size=(2, 2, 7, 4)).astype(np.float32)
    fusion = ConcatFusion(4, activation=activation)
    np.testing.assert_allclose(
        fusion(*users) @ fusion(*items).T,
        users[0] @ items[0].T + users[1] @ items[1].T,
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_distance_from_start_is_a_squared_distance(activation: str) -> None:
    fusion = ConcatFusion(2, activation=activation)
    assert float(fusion.distance_from_start()) == 0.0
    expected = 0.0
    for number, name in enumerate(("kernel", "bias", "output_kernel", "output_bias")):
        parameter = getattr(fusion, name)
        moved = 0.5 * (number + 1)
        parameter[...] = parameter[...].at[(1,) * parameter[...].ndim].add(moved)
        expected += moved**2
        assert float(fusion.distance_from_start()) == pytest.approx(expected, rel=1e-5)


def moved(fusion):
    """With random parameters."""
    rng = np.random.default_rng(2)
    for name in fusion.start():
        parameter = getattr(fusion, name)
        values = rng.normal(size=parameter[...].shape)
        parameter[...] = jnp.asarray(values, jnp.float32)
    return fusion


@pytest.fixture
def sides():
    return np.random.default_rng(3).normal(size=(2, 6, 4)).astype(np.float32)


def test_sum(sides) -> None:
    fusion = SumFusion(4, activation="relu")
    np.testing.assert_allclose(fusion(*sides), sides.sum(axis=0), rtol=1e-6)
    assert float(fusion.distance_from_start()) == 0.0


def test_gate(sides) -> None:
    graph, text = sides
    start = GateFusion(4, activation="relu")
    np.testing.assert_allclose(start(graph, text), sides.mean(axis=0), rtol=1e-5)
    fusion = moved(start)
    kernel, bias = np.asarray(fusion.kernel[...]), np.asarray(fusion.bias[...])
    share = 1 / (1 + np.exp(-(np.concatenate(sides, axis=1) @ kernel + bias)))
    expected = share * graph + (1 - share) * text
    np.testing.assert_allclose(fusion(graph, text), expected, rtol=1e-4, atol=1e-5)


def test_attention(sides) -> None:
    fusion = AttentionFusion(4, activation="relu")
    np.testing.assert_allclose(fusion(*sides), np.concatenate(sides, axis=1), rtol=1e-6)
    fusion = moved(fusion)
    query, key, value = (
        np.asarray(getattr(fusion, name)[...]) for name in ("query", "key", "value")
    )
    got = np.asarray(fusion(*sides))
    for row in range(6):
        both = sides[:, row]
        scores = (both @ query) @ (both @ key).T / 2.0
        weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        expected = both + weights @ (both @ value)
        np.testing.assert_allclose(got[row], expected.reshape(-1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", FUSIONS)
def test_every_kind_is_anchored_at_its_start(kind: str) -> None:
    fusion = FUSIONS[kind](3, activation="relu")
    assert float(fusion.distance_from_start()) == 0.0
    start = {name: np.asarray(value) for name, value in fusion.start().items()}
    moved(fusion)
    expected = sum(
        float(((np.asarray(getattr(fusion, name)[...]) - value) ** 2).sum())
        for name, value in start.items()
    )
    assert float(fusion.distance_from_start()) == pytest.approx(expected, rel=1e-5)
