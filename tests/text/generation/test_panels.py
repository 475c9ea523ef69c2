"""Matrices in panels, and products with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.text.generation.panels import (
    columns_of,
    in_panels,
    matrix_of,
    panel_product,
)
from llmgnn_jax.text.native import library

SIZES = [(1, 1), (40, 32), (17, 33), (64, 70), (100, 500)]


def matrices_of(depth: int, columns: int, count: int = 2) -> list[np.ndarray]:
    random = np.random.default_rng(depth + columns)
    return list(random.normal(size=(count, depth, columns)).astype(np.float32))


def rounded(x: np.ndarray, dtype: str) -> np.ndarray:
    return np.asarray(jnp.asarray(x).astype(dtype).astype(jnp.float32))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", SIZES)
def test_panels_hold_the_matrix(size: tuple[int, int], dtype: str) -> None:
    matrices = matrices_of(*size)
    stack = in_panels(matrices, dtype=dtype)
    assert stack.dtype == dtype
    for number, matrix in enumerate(matrices):
        wanted = rounded(matrix, dtype)
        found = matrix_of(stack[number], columns=size[1])
        np.testing.assert_array_equal(found, wanted)
        some = np.random.default_rng(0).integers(0, size[1], (3, 4))
        np.testing.assert_array_equal(columns_of(stack[number], some), wanted.T[some])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rows", [*range(1, 18), 33, 61])
def test_products_of_any_number_of_rows(rows: int, dtype: str) -> None:
    if reason := library.unavailable_because():
        pytest.skip(f"native kernels: {reason}")
    random = np.random.default_rng(rows)
    for depth, columns in SIZES:
        matrices = matrices_of(depth, columns)
        bias = random.normal(size=(2, columns)).astype(np.float32)
        x = random.normal(size=(rows, depth)).astype(np.float32)
        stack = in_panels(matrices, dtype=dtype)
        for number in (0, 1):
            matrix = np.float64(rounded(matrices[number], dtype))
            wanted = np.float64(x) @ matrix + bias[number]
            found = panel_product(x, stack, bias, number)
            np.testing.assert_allclose(found, wanted, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_of_products(dtype: str) -> None:
    if reason := library.unavailable_because():
        pytest.skip(f"native kernels: {reason}")
    matrices = matrices_of(17, 45)
    random = np.random.default_rng(0)
    x = random.normal(size=(5, 17)).astype(np.float32)
    bias = random.normal(size=(2, 45)).astype(np.float32)
    given = random.normal(size=(5, 45)).astype(np.float32)
    stack = in_panels(matrices, dtype=dtype)
    _, back = jax.vjp(lambda *a: panel_product(*a, 1), x, stack, bias)
    of_x, of_stack, of_bias = back(given)
    matrix = rounded(matrices[1], dtype)
    np.testing.assert_allclose(of_x, given @ matrix.T, atol=1e-4)
    np.testing.assert_allclose(of_bias[1], given.sum(axis=0), atol=1e-5)
    assert not np.asarray(of_bias[0]).any()
    found = matrix_of(of_stack[1], columns=45)
    slack = 1e-4 if dtype == "float32" else 0.05
    np.testing.assert_allclose(found, x.T @ given, atol=slack)
    assert not np.asarray(of_stack[0].astype(jnp.float32)).any()


def test_shapes_that_do_not_fit_are_errors_of_the_call() -> None:
    if reason := library.unavailable_because():
        pytest.skip(f"native kernels: {reason}")
    stack = in_panels(matrices_of(8, 40), dtype="float32")
    bias = np.zeros((2, 40), np.float32)
    with pytest.raises(jax.errors.JaxRuntimeError, match="panels: expected"):
        panel_product(np.ones((3, 9), np.float32), stack, bias, 0)
    with pytest.raises(jax.errors.JaxRuntimeError, match="bias: expected"):
        panel_product(np.ones((3, 8), np.float32), stack, bias, 2)
