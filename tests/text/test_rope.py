"""Rotary positions: the frequencies and what config.json may call them."""

import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.rope import Rope, rotate, rotation

LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 512,
}


def test_frequencies_by_hand() -> None:
    plain = Rope(rope_theta=16.0).frequencies(4)
    np.testing.assert_allclose(plain, [1, 0.25])
    np.testing.assert_allclose(
        Rope(rope_theta=16.0, rope_type="linear", factor=5.0).frequencies(4),
        plain / 5,
    )
    rope = Rope(rope_theta=1e4, rope_type="llama3", **LLAMA3)
    plain, got = Rope(rope_theta=1e4).frequencies(16), rope.frequencies(16)
    waves = 2 * np.pi / plain
    short, long = waves < 512 / 4, waves > 512 / 1
    assert short.sum() == 3
    assert long.sum() == 4
    np.testing.assert_allclose(got[short], plain[short])
    np.testing.assert_allclose(got[long], plain[long] / 8)
    (between,) = np.flatnonzero(~short & ~long)
    share = (512 / waves[between] - 1) / (4 - 1)
    expected = (1 - share) * plain[between] / 8 + share * plain[between]
    np.testing.assert_allclose(got[between], expected, rtol=1e-6)


def test_rotations_keep_lengths_and_see_distances_alone() -> None:
    query, key = np.random.default_rng(0).normal(size=(2, 1, 1, 1, 8))
    rope = Rope(rope_theta=100.0)

    def turned(x: np.ndarray, place: int) -> np.ndarray:
        turn = rotation(jnp.full((1, 1), place), rope, head_dim=8)
        return np.asarray(rotate(jnp.asarray(x, jnp.float32), turn)).ravel()

    lengths = [np.linalg.norm(turned(query, place)) for place in (0, 1, 37)]
    np.testing.assert_allclose(lengths, np.linalg.norm(query), rtol=1e-6)
    near, far = (turned(query, 5 + add) @ turned(key, 2 + add) for add in (0, 40))
    np.testing.assert_allclose(near, far, atol=1e-5)
    assert abs(turned(query, 6) @ turned(key, 2) - near) > 1e-3


@pytest.mark.parametrize("kind", ["rope_type", "type"])
def test_old_and_new_keys_say_the_same(kind: str) -> None:
    scaling = {kind: "llama3", **LLAMA3}
    expected = Rope(rope_theta=5e5, rope_type="llama3", **LLAMA3)
    old = {"rope_theta": 5e5, "rope_scaling": scaling}
    new = {"rope_parameters": {"rope_theta": 5e5, **scaling}}
    assert Rope.from_values(old) == Rope.from_values(new) == expected
    assert Rope.from_values(expected.to_values()) == expected
    linear = Rope(rope_type="linear", factor=2.0)
    assert Rope.from_values({"rope_scaling": {kind: "linear", "factor": 2.0}}) == linear
    assert Rope.from_values(linear.to_values()) == linear
    assert Rope.from_values({}) == Rope.from_values(Rope().to_values()) == Rope()
    # Without the length from before it is the length there is.
    del scaling["original_max_position_embeddings"]
    found = Rope.from_values({"rope_scaling": scaling, "max_position_embeddings": 99})
    assert found.original_max_position_embeddings == 99


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rope_scaling": {"type": "yarn"}}, "rope_type: expected one of default, lin"),
        (
            {"rope_scaling": {"type": "linear"}},
            "expected the keys factor",
        ),
        (
            {"rope_scaling": {"type": "linear", "factor": 0}},
            "factor: expected",
        ),
        ({"rope_theta": "high"}, "rope_theta: expected a number above 0, got 'high'"),
        ({"partial_rotary_factor": 0.5}, r"partial_rotary_factor: expected 1"),
        ({"rope_parameters": {"full": {"rope_type": "default"}}}, "one set of numbers"),
        ({"rope_parameters": "default"}, "rope_parameters: expected one set"),
        (
            {"rope_scaling": {"type": "llama3", **LLAMA3, "low_freq_factor": 4.0}},
            "low_freq_factor: expected a number below high_freq_factor 4",
        ),
    ],
)
def test_other_positions_are_one_line(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Rope.from_values(values)
    assert "\n" not in str(caught.value)
