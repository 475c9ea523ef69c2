"""Sets of whole numbers, by sorting."""

import numpy as np
import pytest

from llmgnn_jax.data.distinct import among, distinct


@pytest.mark.parametrize("count", [0, 1, 500])
def test_as_numpy_has_it(count: int) -> None:
    random = np.random.default_rng(count)
    values, others = random.integers(-50, 50, size=(2, count))
    np.testing.assert_array_equal(distinct(values), np.unique(values))
    np.testing.assert_array_equal(
        among(values, np.sort(others)), np.isin(values, others)
    )


def test_nothing_is_among_nothing() -> None:
    assert not among(np.arange(3), np.zeros(0, np.int64)).any()
