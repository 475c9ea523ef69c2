"""Integrated gradients: exact, adaptive, and honest about jumps."""

from collections.abc import Sequence

import numpy as np
import pytest

from llmgnn_jax.evidence.integral import integrate


def cubic(place: float) -> tuple[float, Sequence[np.ndarray]]:
    """f(m) = m_0^2 m_1 + 4 m_1 along m = a 1, in two groups."""
    return place**3 + 4 * place, [
        np.array([2 * place**2]),
        np.array([place**2 + 4, 0.0]),
    ]


def test_polynomials_are_exact() -> None:
    found = integrate(cubic, nodes=2, tolerance=1e-9)
    assert (found.start, found.end) == (0, 5)
    np.testing.assert_allclose(found.attributions[0], [2 / 3])
    np.testing.assert_allclose(found.attributions[1], [13 / 3, 0])
    assert found.residual == pytest.approx(0, abs=1e-12)
    # Both ends, and the nodes.
    assert found.evaluations == 4


def test_kinks_are_found() -> None:
    """f(m) = relu(m_0 + m_1 - 0.74) - relu(0.3 - m_0): slopes change at two places."""

    def kinked(place: float) -> tuple[float, Sequence[np.ndarray]]:
        first, second = float(2 * place > 0.74), float(place < 0.3)
        value = first * (2 * place - 0.74) - second * (0.3 - place)
        return value, [np.array([first + second, first])]

    rough = integrate(kinked, nodes=4, tolerance=10.0)
    assert abs(rough.residual) > 0.01
    fine = integrate(kinked, nodes=4, tolerance=1e-4)
    assert abs(fine.residual) <= 1e-4 * 1.26
    np.testing.assert_allclose(fine.attributions[0], [0.93, 0.63], atol=2e-4)


def test_a_jump_is_told() -> None:
    """No slope shows it, however fine the pieces are."""

    def jump(place: float) -> tuple[float, Sequence[np.ndarray]]:
        return float(place > 0), [np.zeros(3)]

    found = integrate(jump, nodes=4, tolerance=0.01, most_panels=9)
    assert found.residual == 1
    assert found.evaluations <= 2 + 9 * 2 * 4 + 9


def test_a_score_of_nothing_ends() -> None:
    found = integrate(lambda _: (0.0, [np.zeros(2)]), nodes=1, tolerance=0.01)
    assert found.residual == 0
    assert found.evaluations == 3
