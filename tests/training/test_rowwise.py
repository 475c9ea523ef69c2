"""Row-wise Adagrad beside its formula in NumPy, alone and within a step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from llmgnn_jax.config import Config, TrainConfig
from llmgnn_jax.parallel.mesh import AXES
from llmgnn_jax.parallel.strategy import Meshed
from llmgnn_jax.text import kernels
from llmgnn_jax.training.optimizer import build_optimizer
from llmgnn_jax.training.program import compile_steps
from llmgnn_jax.training.rowwise import EPS, scale_by_rowwise_adagrad
from llmgnn_jax.training.state import create_state
from llmgnn_jax.training.step import batch_loss

ROWWISE = {"train.table_optimizer": "rowwise_adagrad"}


def stepped(table, sums, gradient, rate):
    """One row after another, as the formula is written (FBGEMM, DLRM)."""
    table, sums = table.copy(), sums.copy()
    for row, of_row in enumerate(gradient):
        sums[row] += np.mean(of_row.astype(np.float64) ** 2)
        table[row] -= rate * of_row / (np.sqrt(sums[row]) + EPS)
    return table, sums


def test_rows_go_by_the_formula_and_others_stay():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(40, 8)).astype(np.float32)
    first, optimizer = table, scale_by_rowwise_adagrad()
    state = optimizer.init({"t": jnp.asarray(table)})
    assert state.squares["t"].shape == (40,)
    sums = np.zeros(40, np.float32)
    for step in range(4):
        gradient = rng.normal(size=(40, 8), scale=10.0**-step).astype(np.float32)
        gradient[rng.permutation(40)[:30]] = 0.0
        gradient[:3] = 0.0
        expected, expected_sums = stepped(table, sums, gradient, 0.3)
        scaled, state = jax.jit(optimizer.update)({"t": jnp.asarray(gradient)}, state)
        found = np.asarray(table - np.float32(0.3) * np.asarray(scaled["t"]))
        found_sums = np.asarray(state.squares["t"])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(found_sums, expected_sums, rtol=1e-5)
        still = ~gradient.any(axis=1)
        np.testing.assert_array_equal(found[still], table[still])
        np.testing.assert_array_equal(found_sums[still], sums[still])
        table, sums = found, found_sums
    np.testing.assert_array_equal(table[:3], first[:3])
    assert not sums[:3].any()


def updates_of(params, **changes):
    """Five updates under a gradient that is everywhere 0.3."""
    optimizer = build_optimizer(Config(recipe="r", train=TrainConfig(**changes)))
    state, found = optimizer.init(params), []
    gradients = jax.tree.map(lambda p: jnp.full_like(p, 0.3), params)
    update = jax.jit(optimizer.update)
    for _ in range(5):
        updates, state = update(gradients, state, params)
        found.append(updates)
    return found


OTHERS: dict[str, Any] = {
    "text_projection": jnp.full((4, 3), 3.0),
    "fusion": {"kernel": jnp.full((6, 12), 6.0)},
    "gcn_0": {"kernel": jnp.full((3, 3), 5.0)},
    "text_encoder": {0: {"kernel": jnp.full((3, 3), 5.0)}},
}


@pytest.mark.parametrize("half_life", [0, 2])
def test_the_table_has_a_step_size_of_its_own_that_halves(half_life):
    found = updates_of(
        {"node_embedding": jnp.ones((2, 3)), **OTHERS},
        table_optimizer="rowwise_adagrad",
        table_learning_rate=0.7,
        half_life=half_life,
    )
    for step, updates in enumerate(found):
        size = 0.7 * (0.5 ** (step / half_life) if half_life else 1.0)
        expected = -size / np.sqrt(step + 1)
        np.testing.assert_allclose(updates["node_embedding"], expected, rtol=1e-5)


@pytest.mark.parametrize("table", [{}, {"node_embedding": jnp.ones((2, 3))}])
def test_all_else_goes_by_adam(table):
    """Models of text and node classifiers have nothing else."""
    options = {"half_life": 2, "weight_decay": 0.1}
    adam = updates_of({**OTHERS, **table}, **options)
    rowwise = updates_of(
        {**OTHERS, **table}, **options, table_optimizer="rowwise_adagrad"
    )
    for one, other in zip(adam, rowwise, strict=True):
        for name in OTHERS:
            jax.tree.map(np.testing.assert_array_equal, one[name], other[name])


@pytest.mark.slow
def test_a_sampled_step_moves_the_rows_that_it_reads(small):
    made = small(
        "fused",
        **ROWWISE,
        **{
            "graph.fanouts": (2, 2),
            "train.negatives": "uniform",
            "train.num_negatives": 2,
            "train.batch_size": 4,
            "train.table_learning_rate": 0.3,
            "train.half_life": 0,
        },
    )
    before = made.state()
    table = np.asarray(made.params["node_embedding"])
    gradients, _ = jax.grad(batch_loss, has_aux=True)(
        made.params,
        made.definition,
        made.data,
        key=jax.random.wrap_key_data(before.key_data),
        step=before.step,
        config=made.config,
    )
    gradient = np.asarray(gradients["node_embedding"])
    expected, sums = stepped(table, np.zeros(len(table), np.float32), gradient, 0.3)
    state, metrics = made.program()(before, made.data, jnp.int32(1))
    found = np.asarray(state.params["node_embedding"])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    (found_sums,) = (
        np.asarray(leaf)
        for leaf in jax.tree.leaves(state.opt_state)
        if leaf.shape == (len(table),)
    )
    np.testing.assert_allclose(found_sums, sums, rtol=1e-4)
    still = ~gradient.any(axis=1)
    assert 5 <= still.sum() < len(table) - 5
    np.testing.assert_array_equal(found[still], table[still])
    assert not found_sums[still].any()
    leaves = [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(gradients)]
    norm = np.linalg.norm(np.concatenate(leaves))
    np.testing.assert_allclose(metrics.gradient_norm[0], norm, rtol=1e-5)


def lowered(name, strategy=None):
    """A step of few rows of a large table."""
    params = {"node_embedding": jnp.ones((20_000, 64))}
    config = Config(recipe="r", train=TrainConfig(table_optimizer=name))
    optimizer = build_optimizer(config)

    def loss(params, rows, *, key, step):
        value = jnp.sum(jnp.sin(params["node_embedding"][rows]))
        return value, jnp.zeros((), jnp.int32)

    state = create_state(params, optimizer, seed=0)
    rows = jnp.arange(8)
    if strategy is not None:
        state, rows = strategy.place(state), strategy.place(rows)
    program = compile_steps(loss, optimizer, capacity=1, strategy=strategy, state=state)
    return program.lower(state, rows, jnp.int32(1))


def passes(name):
    """Bytes that it reads and writes, in tables."""
    cost = lowered(name).compile().cost_analysis()
    return cost["bytes accessed"] / (20_000 * 64 * 4)


@pytest.mark.parametrize("name", ["adam", "rowwise_adagrad"])
def test_no_kernel_is_called_for_tables_in_pieces(name):
    """It cannot be cut: XLA would bring the whole table to each device."""
    mesh = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), AXES)
    pieces = Meshed(
        mesh=mesh, backend="segment", exchange="all_to_all", slack=1.5, row_slack=1.5
    )
    assert "llmgnn_" not in lowered(name, pieces).as_text()
    if kernels.usable():
        assert "llmgnn_row_squares" in lowered(name).as_text()


def test_a_step_passes_over_the_table_seldom():
    """Two passes less for each moment and more, and the gradient's norm costs none:
    squares that are written out for it would be two more."""
    assert passes("rowwise_adagrad") < passes("adam") - 6.5
