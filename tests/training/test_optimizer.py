"""The optimizer: whose weights decay, and how large a step is."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.config import Config, FusionConfig, TrainConfig
from llmgnn_jax.training.optimizer import build_optimizer

PARAMS: dict[str, Any] = {
    "node_embedding": jnp.full((2, 3), 2.0),
    "text_projection": jnp.full((4, 3), 3.0),
    "user_text_projection": jnp.full((4, 3), 3.0),
    "null_text": jnp.full(3, 4.0),
    "gcn_0": {"kernel": jnp.full((3, 3), 5.0)},
    "fusion": {"kernel": jnp.full((6, 12), 6.0), "output_bias": jnp.full(6, 7.0)},
}


def updates_of(gradient: float, *, steps: int, **changes: Any) -> list[dict[str, Any]]:
    """Updates under a gradient that is everywhere the same, at the same parameters."""
    fusion = FusionConfig(learning_rate_scale=changes.pop("scale", 1.0))
    config = Config(recipe="r", fusion=fusion, train=TrainConfig(**changes))
    optimizer = build_optimizer(config)

    @jax.jit
    def update(state: Any) -> tuple[Any, Any]:
        gradients = jax.tree.map(lambda p: jnp.full_like(p, gradient), PARAMS)
        return optimizer.update(gradients, state, PARAMS)

    state, found = optimizer.init(PARAMS), []
    for _ in range(steps):
        updates, state = update(state)
        found.append(updates)
    return found


def test_weight_decay_acts_on_the_text_projections_alone() -> None:
    (updates,) = updates_of(0.0, steps=1, weight_decay=0.1, learning_rate=0.5)
    for name in ("text_projection", "user_text_projection"):
        np.testing.assert_allclose(updates.pop(name), -0.5 * 0.1 * 3, 1e-6)
    for update in jax.tree.leaves(updates):
        assert not update.any()


@pytest.mark.parametrize("half_life", [0, 2])
def test_the_step_size_halves_and_the_fusion_has_its_own(half_life: int) -> None:
    # Where the gradient is always the same, Adam's step is the step size.
    found = updates_of(
        0.3, steps=5, learning_rate=0.02, half_life=half_life, scale=0.25
    )
    for step, updates in enumerate(found):
        size = 0.02 * (0.5 ** (step / half_life) if half_life else 1.0)
        for update in jax.tree.leaves(updates.pop("fusion")):
            np.testing.assert_allclose(update, -0.25 * size, rtol=1e-4)
        for update in jax.tree.leaves(updates):
            np.testing.assert_allclose(update, -size, rtol=1e-4)
