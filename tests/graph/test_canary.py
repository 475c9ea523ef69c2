"""The canary: what it says on which device, and that it says it once."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.graph.aggregate import canary


@pytest.fixture(autouse=True)
def fresh() -> None:
    canary.scatter_canary.cache_clear()


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        ("gpu", ("40 times", canary.GPU_FLAG, "XLA_FLAGS", "bucketed")),
        ("cpu", ("40 times", "no flag", "auto, native or csr")),
        ("tpu", ("40 times", "--graph.backend bucketed")),
    ],
)
def test_what_it_advises(platform: str, words: tuple[str, ...]) -> None:
    found = canary.judge(40.0, platform)
    assert found.slow
    assert found.ratio == 40.0
    assert all(word in found.advice for word in words)
    assert "\n" not in found.advice
    sound = canary.judge(2.0, platform)
    assert (sound.slow, sound.ratio, sound.advice) == (False, 2.0, "")


@pytest.mark.parametrize("slow", [False, True])
def test_it_is_measured_and_told_once(
    slow: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = iter([0.5, 0.01] if slow else [0.02, 0.01])
    monkeypatch.setattr(canary, "_seconds", lambda *_: next(seconds))
    with caplog.at_level(logging.INFO):
        first = canary.scatter_canary()
        assert canary.scatter_canary() is first
    assert first.ratio == pytest.approx(50.0 if slow else 2.0)
    assert first.slow == slow
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == slow
    assert all("slow on this device: 50 times" in line for line in said)


def test_both_programs_are_of_the_same_bytes() -> None:
    segments = jnp.tile(jnp.arange(canary._SEGMENTS), canary._PER_SEGMENT)
    rows = jnp.asarray(
        np.random.default_rng(0).integers(0, 9, (len(segments), canary._WIDTH)), "f4"
    )
    scattered = jax.jit(canary._scattered)
    np.testing.assert_array_equal(scattered(rows, segments), canary._dense(rows))
    assert "scatter" in scattered.lower(rows, segments).as_text()
    assert "scatter" not in jax.jit(canary._dense).lower(rows).as_text()
    assert canary._seconds(jax.jit(canary._dense), rows) > 0
