"""Orders of rows are those of `np.lexsort`, ties and all."""

import numpy as np
import pytest

from llmgnn_jax.data.ordering import lexsorted

RNG = np.random.default_rng(0)
ROWS = 2_000
KEYS = {
    "users": RNG.integers(0, 40, ROWS).astype(np.int32),
    "items": RNG.integers(-3, 9, ROWS),
    "times": RNG.integers(1_500_000_000, 1_500_000_020, ROWS),
    "stars": RNG.choice(
        np.array([-1.5, -0.0, 0.0, 0.5, 3e38, -3e38], np.float32), ROWS
    ),
    "draws": RNG.random(ROWS),
    "draws that repeat": RNG.integers(0, 5, ROWS) / 4 - 0.5,
    # Their span and a place do not fit into 63 bits.
    "far apart": RNG.choice(np.array([-(2**62), 0, 2**62]), ROWS),
}


@pytest.mark.parametrize("name", KEYS)
def test_one_key(name: str) -> None:
    key = KEYS[name]
    assert lexsorted([key]).tolist() == np.argsort(key, kind="stable").tolist()


@pytest.mark.parametrize(
    "names",
    [
        ("stars", "times", "items", "users"),
        ("draws", "users"),
        ("draws that repeat", "times", "users"),
        ("far apart", "stars"),
    ],
)
def test_several_keys(names: tuple[str, ...]) -> None:
    keys = [KEYS[name] for name in names]
    assert lexsorted(keys).tolist() == np.lexsort(keys).tolist()


@pytest.mark.parametrize("size", [0, 1, 2])
def test_few_rows(size: int) -> None:
    keys = [key[:size] for key in (KEYS["stars"], KEYS["items"])]
    assert lexsorted(keys).tolist() == np.lexsort(keys).tolist()
