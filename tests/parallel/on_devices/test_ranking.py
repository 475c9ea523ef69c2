"""Rankings of pieces: those of the whole, ties and masks included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from llmgnn_jax.config import ParallelConfig
from llmgnn_jax.data.csr import Csr
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation import pieces
from llmgnn_jax.evaluation.ranker import rank_factors
from llmgnn_jax.parallel.mesh import AXES, device_mesh

USERS, ITEMS, SLOTS = 37, 90, (40, 96)


def mesh_of(shape):
    return device_mesh(ParallelConfig(data=shape[0], model=shape[1]))


def vectors(seed=0):
    """Whole numbers: many scores are equal."""
    rng = np.random.default_rng(seed)
    return [rng.integers(-2, 3, (slots, 4)).astype(np.float32) for slots in SLOTS]


def placed(mesh, arrays):
    return jax.device_put(arrays, NamedSharding(mesh, P(AXES)))


def seen():
    rng = np.random.default_rng(1)
    pairs = rng.integers(0, (USERS, ITEMS), (300, 2))
    # One user has seen all but three.
    whole = np.stack([np.full(ITEMS - 3, 5), np.arange(ITEMS - 3)], 1)
    rows, cols = np.concatenate([pairs[pairs[:, 0] != 5], whole]).T
    return Csr.from_pairs(rows, cols, USERS)


@pytest.mark.parametrize("shape", [(1, 4), (2, 2), (8, 1)])
@pytest.mark.parametrize("k", [1, 10, 50])
@pytest.mark.parametrize("some", [False, True])
def test_they_are_those_of_one_device(shape, k, some):
    users, items = vectors()
    mesh = mesh_of(shape)
    candidates = np.arange(ITEMS) % 3 != 1 if some else None
    expected = rank_factors(
        users[:USERS], items[:ITEMS], seen=seen(), k=k, candidates=candidates
    )
    found = pieces.rank_pieces(
        *placed(mesh, (users, items)),
        mesh=mesh,
        num_users=USERS,
        num_items=ITEMS,
        seen=seen(),
        k=k,
        candidates=candidates,
    )
    np.testing.assert_array_equal(found.items, expected.items)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.users, expected.users)
    if k > 3 and not some:
        assert (expected.items[5] == -1).sum() == k - 3


def test_no_device_is_given_all_items():
    mesh = mesh_of((8, 1))
    shapes = [jax.ShapeDtypeStruct((slots, 512), jnp.float32) for slots in SLOTS]
    where = NamedSharding(mesh, P(AXES))
    shapes = [
        jax.ShapeDtypeStruct(one.shape, one.dtype, sharding=where) for one in shapes
    ]
    ints = jax.ShapeDtypeStruct((8,), jnp.int32)
    allowed = jax.ShapeDtypeStruct(SLOTS[1:], bool, sharding=where)
    program = pieces._rank_chunk.lower(*shapes, ints, ints, ints, allowed, mesh, 3)
    text = program.compile().as_text()
    assert "all-gather" in text  # Of the best of each piece.
    for line in text.splitlines():
        assert "96,512]" not in line or "parameter" not in line


def test_a_score_that_is_none():
    users, items = vectors()
    items[70] = np.nan
    mesh = mesh_of((4, 1))
    with pytest.raises(UserError, match="scores: expected finite numbers"):
        pieces.rank_pieces(
            *placed(mesh, (users, items)),
            mesh=mesh,
            num_users=USERS,
            num_items=ITEMS,
            seen=None,
            k=5,
        )
