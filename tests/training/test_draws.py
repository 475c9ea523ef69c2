"""Draws: permutations, epochs, and that rows do not depend on one another."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.data.dataset import Csr
from llmgnn_jax.graph.placement import OneDevice
from llmgnn_jax.training.draws import (
    draw_examples,
    draw_items,
    draw_of_users,
    keep_mask,
    permute,
    row_keys,
    steps_per_epoch,
)
from llmgnn_jax.training.known_items import KnownItems

KEY = jax.random.key(0)


@functools.partial(jax.jit, static_argnames="size")
def permutations(keys: jax.Array, *, size: int) -> jax.Array:
    """(number of keys, size), a whole permutation of each key."""
    return jax.vmap(lambda key: permute(key, jnp.arange(size), size=size))(keys)


@functools.partial(jax.jit, static_argnames=("num_examples", "batch"))
def examples(
    step: jax.Array, rows: jax.Array, *, num_examples: int, batch: int
) -> jax.Array:
    return draw_examples(KEY, step, rows, num_examples=num_examples, batch=batch)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 17, 1000, 65537])
def test_permute_is_a_bijection(size: int) -> None:
    found = np.asarray(permutations(jax.random.split(KEY, 4), size=size))
    assert found.dtype == np.int32
    for one in found:
        np.testing.assert_array_equal(np.sort(one), np.arange(size))
    if size >= 16:
        assert len({one.tobytes() for one in found}) == 4
        assert not (found == np.arange(size)).all(axis=1).any()


def test_permute_is_fair() -> None:
    # Of 6,400 keys, each of 16 places goes to each of 16 about 400 times; sd 19.
    found = np.asarray(permutations(jax.random.split(KEY, 6400), size=16))
    for place in range(16):
        counts = np.bincount(found[:, place], minlength=16)
        assert np.abs(counts - 400).max() < 5 * 19
    # And neighbours stay neighbours no more often than chance has it.
    found = np.asarray(permutations(jax.random.split(KEY, 40), size=1000))
    assert (np.abs(np.diff(found, axis=1)) == 1).mean() < 3 * 2 / 1000


@pytest.mark.parametrize(
    ("num_examples", "batch", "steps"), [(12, 4, 3), (13, 4, 4), (3, 8, 1), (7, 7, 1)]
)
def test_each_epoch_draws_every_example(
    num_examples: int, batch: int, steps: int
) -> None:
    assert steps_per_epoch(num_examples, batch) == steps
    rows = jnp.arange(batch, dtype=jnp.int32)
    epochs = []
    for epoch in range(3):
        drawn = np.concatenate(
            [
                examples(
                    jnp.int32(epoch * steps + step),
                    rows,
                    num_examples=num_examples,
                    batch=batch,
                )
                for step in range(steps)
            ]
        )
        # Each once, then the epoch's own first ones again to fill the last batch.
        np.testing.assert_array_equal(
            np.sort(drawn[:num_examples]), np.arange(num_examples)
        )
        again = np.resize(drawn[:num_examples], len(drawn))
        np.testing.assert_array_equal(drawn, again)
        epochs.append(drawn.tolist())
    if num_examples > 3:
        assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_rows_do_not_depend_on_one_another() -> None:
    rows = jnp.arange(16, dtype=jnp.int32)
    some = jnp.asarray([3, 11, 4], jnp.int32)
    whole = examples(jnp.int32(5), rows, num_examples=100, batch=16)
    part = examples(jnp.int32(5), some, num_examples=100, batch=16)
    np.testing.assert_array_equal(part, whole[some])
    np.testing.assert_array_equal(
        draw_items(KEY, some, num_items=50), draw_items(KEY, rows, num_items=50)[some]
    )
    np.testing.assert_array_equal(
        keep_mask(KEY, some, dropout=0.5), keep_mask(KEY, rows, dropout=0.5)[some]
    )
    keys = jax.random.key_data(row_keys(KEY, rows))
    assert len(np.unique(keys, axis=0)) == 16
    np.testing.assert_array_equal(jax.random.key_data(row_keys(KEY, some)), keys[some])


def test_items_are_uniform() -> None:
    rows = jnp.arange(7000, dtype=jnp.int32).reshape(1000, 7)
    drawn = np.asarray(draw_items(KEY, rows, num_items=7))
    assert drawn.shape == (1000, 7)
    counts = np.bincount(drawn.reshape(-1), minlength=7)
    assert len(counts) == 7
    assert np.abs(counts - 1000).max() < 5 * 30  # sd 29
    other = draw_items(jax.random.fold_in(KEY, 1), rows, num_items=7)
    assert (drawn != other).mean() == pytest.approx(6 / 7, abs=0.03)


def test_masks_differ_between_steps_and_repeat_for_the_same() -> None:
    rows = jnp.arange(4000, dtype=jnp.int32)

    def mask(step: int) -> np.ndarray:
        return np.asarray(keep_mask(jax.random.fold_in(KEY, step), rows, dropout=0.3))

    first, second = mask(0), mask(1)
    np.testing.assert_array_equal(first, mask(0))
    assert first.mean() == pytest.approx(0.7, abs=0.04)
    # Independent: both keep with 0.49, both drop with 0.09.
    assert (first == second).mean() == pytest.approx(0.58, abs=0.05)
    assert np.asarray(keep_mask(KEY, rows, dropout=0.0)).all()


def test_a_user_then_one_of_its_items() -> None:
    # Users 0 to 4 have 2, 0, 1, 3 and 0 items.
    known = KnownItems.build(
        Csr(
            indptr=np.asarray([0, 2, 2, 3, 6, 6]),
            indices=np.asarray([4, 7, 1, 0, 4, 9]),
        ),
        num_items=10,
        dense=False,
    )
    user_key, item_key = jax.random.split(KEY)

    @jax.jit
    def draw(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        return draw_of_users(
            user_key,
            item_key,
            rows,
            active_users_A=jnp.asarray([0, 2, 3]),
            known=known,
            num_active=3,
            placement=OneDevice(backend="segment"),
        )

    users, items = map(np.asarray, draw(jnp.arange(6000)))
    assert users.dtype == items.dtype == np.int32
    pairs = {(0, 4): 2, (0, 7): 2, (2, 1): 1, (3, 0): 3, (3, 4): 3, (3, 9): 3}
    found = {pair: 0 for pair in pairs}
    for pair in zip(users.tolist(), items.tolist(), strict=True):
        found[pair] += 1
    # Each of 3 users 2,000 times, each of its items as often as the others.
    chi_square = sum(
        (found[pair] - 2000 / size) ** 2 / (2000 / size) for pair, size in pairs.items()
    )
    assert chi_square < 20.5  # 5 degrees of freedom, p = 0.001
    # A row's draw does not depend on which rows are drawn with it.
    some = jnp.asarray([17, 3, 5999])
    for whole, part in zip((users, items), draw(some), strict=True):
        np.testing.assert_array_equal(part, whole[np.asarray(some)])
