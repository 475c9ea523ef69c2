"""The set of known pairs on the device, against Python's own sets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.config import TrainConfig
from llmgnn_jax.data.dataset import Csr
from llmgnn_jax.training import train_data
from llmgnn_jax.training.known_items import KnownItems
from llmgnn_jax.training.native import library


def sets(sizes: list[int], num_items: int) -> list[set[int]]:
    rng = np.random.default_rng(len(sizes) + num_items)
    return [set(rng.permutation(num_items)[:size].tolist()) for size in sizes]


def known_of(
    items: list[set[int]], num_items: int, *, dense: bool, native: bool = False
) -> KnownItems:
    users = [user for user, own in enumerate(items) for _ in own]
    flat = [item for own in items for item in own]
    pairs = Csr.from_pairs(np.asarray(users, int), np.asarray(flat, int), len(items))
    return KnownItems.build(pairs, num_items=num_items, dense=dense, native=native)


@pytest.mark.parametrize(
    ("sizes", "num_items"),
    [
        ([0, 1, 0, 2, 3, 0], 5),
        ([2, 1, 0], 4),  # the longest is a power of 2: the search's worst case
        ([16, 8, 32], 40),
        ([31, 32, 33, 0, 1], 64),  # words of 32 bits are full, and one
        ([70, 0, 7, 8, 9, 40], 70),  # a user who knows all; the last word is not full
        ([0, 0, 1], 1),
        ([1, 1], 33),
    ],
)
def test_equals_sets(sizes: list[int], num_items: int) -> None:
    items = sets(sizes, num_items)
    known = known_of(items, num_items, dense=True)
    # Repeated and in no order.
    users = np.asarray([*range(len(sizes)), 0, len(sizes) - 1])[::-1]
    expected = np.asarray(
        [[item in items[user] for item in range(num_items)] for user in users]
    )
    every = np.broadcast_to(np.arange(num_items), (len(users), num_items))
    found = known.contain(jnp.asarray(users), jnp.asarray(every))
    np.testing.assert_array_equal(found, expected)
    rows = known.rows(jnp.asarray(users))
    assert rows.dtype == jnp.bool_
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("dense", [False, True])
def test_candidates_in_any_order(dense: bool) -> None:
    items = sets([6, 0, 19], 40)
    known = known_of(items, 40, dense=dense)
    candidates = np.random.default_rng(0).integers(0, 40, (3, 11))
    found = known.contain(jnp.arange(3), jnp.asarray(candidates))
    expected = [
        [item in items[user] for item in row] for user, row in enumerate(candidates)
    ]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("candidates", [0, 1, 5, 300])
def test_the_same_items_for_all_rows(native: bool, candidates: int) -> None:
    if native and (reason := library.unavailable_because()):
        pytest.skip(reason)
    num_items = 2**31 - 1  # Numbers that lie far apart, and the largest that there is.
    rng = np.random.default_rng(candidates)
    pool = np.append(rng.integers(0, num_items, 60), [0, 1, num_items - 1])
    items = [
        set(rng.permutation(pool)[:size].tolist()) for size in (0, 3, 63, 20, 1) * 30
    ]
    known = known_of(items, num_items, dense=False, native=native)
    users = rng.integers(0, len(items), 200)
    among = rng.choice(pool, candidates)  # Most of them more than once.
    found = jax.jit(KnownItems.among)(known, jnp.asarray(users), jnp.asarray(among))
    expected = np.asarray([[item in items[user] for item in among] for user in users])
    np.testing.assert_array_equal(found, expected.reshape(len(users), candidates))


def test_a_kernel_refuses_numbers_that_are_none() -> None:
    if reason := library.unavailable_because():
        pytest.skip(reason)
    known = known_of([{0}, {1}], 3, dense=False, native=True)
    with pytest.raises(Exception, match="numbers of users"):
        known.among(jnp.asarray([0, 2]), jnp.asarray([1])).block_until_ready()


def test_nobody_knows_anything() -> None:
    known = known_of([set(), set()], 3, dense=True)
    candidates = jnp.asarray([[0, 2], [1, 1]])
    assert not known.contain(jnp.arange(2), candidates).any()
    assert not known.rows(jnp.arange(2)).any()
    assert not known.among(jnp.arange(2), jnp.asarray([0, 2])).any()


def test_rows_ask_for_dense() -> None:
    known = known_of([{0}], 3, dense=False)
    with pytest.raises(ValueError, match="dense=True"):
        known.rows(jnp.asarray([0]))


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("loss", "negatives", "users", "needed", "with_kernels"),
    [
        ("sampled_softmax", "all", 10**9, True, True),  # needs every pair
        ("sampled_softmax", "uniform", 1000, True, False),
        ("sampled_softmax", "uniform", 10**9, False, False),  # they would take too much
        ("sampled_softmax", "in_batch", 1000, True, False),
        ("bpr", "in_batch", 1000, True, False),
        ("bpr", "in_batch", 10**9, False, False),
        ("bpr", "uniform", 1000, False, False),  # a few pairs a row
    ],
)
def test_bits_are_made_where_they_are_worth_it(
    loss: str,
    negatives: str,
    users: int,
    needed: bool,
    with_kernels: bool,
    native: bool,
) -> None:
    train = TrainConfig(loss=loss, negatives=negatives)  # type: ignore[arg-type]
    found = train_data._needs_bits(
        train, num_users=users, num_items=1000, native=native
    )
    assert found == (with_kernels if native else needed)
