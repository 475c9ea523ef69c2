"""Full ranking on device, against a loop on the host."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation import ranking
from llmgnn_jax.evaluation.metrics import evaluate_rankings
from llmgnn_jax.evaluation.ranker import rank_factors
from llmgnn_jax.evaluation.ranking import inner_products, rank


def look_up(data: jax.Array, users: jax.Array) -> jax.Array:
    return data[users]


def random_csr(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Csr:
    rows, cols = np.nonzero(rng.random(shape) < share)
    return Csr.from_pairs(rows, cols, shape[0])


def by_loop(
    scores: np.ndarray, seen: Csr | None, users: np.ndarray, k: int
) -> np.ndarray:
    """(U, k): best first, lower item first among equals, -1 where none is left."""
    lists = []
    for user in users:
        hidden = set() if seen is None else set(seen.row(user).tolist())
        left = [
            i
            for i in range(scores.shape[1])
            if i not in hidden and scores[user, i] != -np.inf
        ]
        best = sorted(left, key=lambda i: (-scores[user, i], i))[:k]
        lists.append(best + [-1] * (k - len(best)))
    return np.array(lists, np.int32).reshape(len(users), k)


@pytest.mark.parametrize("seed", range(6))
def test_equals_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    num_users, num_items = int(rng.integers(1, 40)), int(rng.integers(1, 60))
    # Few levels: many ties. Some users have seen all, some items are never shown.
    scores = rng.integers(-3, 4, (num_users, num_items)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.05] = -np.inf
    seen = random_csr(rng, scores.shape, rng.choice([0.0, 0.3, 0.97, 1.0]))
    users = rng.integers(0, num_users, 25)
    for k in (1, 7, num_items, num_items + 5):
        got = rank(
            look_up,
            jnp.asarray(scores),
            num_users=num_users,
            num_items=num_items,
            seen=seen,
            k=k,
            users=users,
        )
        np.testing.assert_array_equal(got.items, by_loop(scores, seen, users, k))
        np.testing.assert_array_equal(got.users, users)
        shown = got.items >= 0
        rows = np.broadcast_to(users[:, None], shown.shape)[shown]
        np.testing.assert_array_equal(got.scores[shown], scores[rows, got.items[shown]])
        assert (got.scores[~shown] == -np.inf).all()
        assert (got.items.dtype, got.scores.dtype) == (np.int32, np.float32)


def test_ranks_all_users_without_a_mask() -> None:
    scores = np.array([[1, 3, 2], [5, 5, 5]], np.float32)
    got = rank(look_up, jnp.asarray(scores), num_users=2, num_items=3, seen=None, k=2)
    np.testing.assert_array_equal(got.items, [[1, 2], [0, 1]])
    np.testing.assert_array_equal(got.users, [0, 1])


def test_no_users() -> None:
    got = rank(
        look_up,
        jnp.ones((2, 3)),
        num_users=2,
        num_items=3,
        seen=None,
        k=2,
        users=np.array([], np.int64),
    )
    assert got.items.shape == (0, 2)


def test_padded_columns_are_never_ranked() -> None:
    scores = np.array([[1, 2, 3, 9, 9], [3, 2, 1, 9, 9]], np.float32)
    got = rank(look_up, jnp.asarray(scores), num_users=2, num_items=3, seen=None, k=5)
    np.testing.assert_array_equal(got.items, [[2, 1, 0, -1, -1], [0, 1, 2, -1, -1]])


@pytest.mark.parametrize("num_items", [1_682, 9_000])
def test_the_chunk_size_changes_no_bit(num_items: int) -> None:
    rng = np.random.default_rng(0)
    users = rng.standard_normal((150, 64), dtype=np.float32)
    items = rng.standard_normal((num_items, 64), dtype=np.float32)
    seen = random_csr(rng, (150, num_items), 0.02)
    positives = random_csr(rng, (150, num_items), 0.01)
    one, *others = (
        rank_factors(users, items, seen=seen, k=20, chunk_size=size)
        for size in (1, 37, 64, 150)
    )
    np.testing.assert_array_equal(
        one.items[:5], by_loop(users @ items.T, seen, np.arange(5), 20)
    )
    metrics = evaluate_rankings(one.items, one.users, positives, num_items=num_items)
    for other in others:
        np.testing.assert_array_equal(other.items, one.items)
        np.testing.assert_array_equal(other.scores, one.scores)
        again = evaluate_rankings(
            other.items, other.users, positives, num_items=num_items
        )
        assert again.mean == metrics.mean


def test_one_compilation_serves_all_chunks_and_all_later_calls() -> None:
    traces = []

    def counted(data: Any, users: jax.Array) -> jax.Array:
        traces.append(users.shape)
        return inner_products(data, users)

    rng = np.random.default_rng(1)
    seen = random_csr(rng, (100, 50), 0.1)
    for _ in range(3):
        data = {
            "users": jnp.asarray(rng.standard_normal((100, 8)), jnp.float32),
            "items": jnp.asarray(rng.standard_normal((50, 8)), jnp.float32),
        }
        # 100 users in chunks of 16: seven chunks, the last one not full.
        rank(counted, data, num_users=100, num_items=50, seen=seen, k=5, chunk_size=16)
    assert traces == [(16,)]


@pytest.mark.parametrize("some", [False, True])
@pytest.mark.parametrize("k", [1, 20, 100])
@pytest.mark.parametrize(
    ("width", "num_items", "copies"),
    [(2_000, 1_990, 2), (40_960, 40_950, 1), (40_981, 40_981, 3)],
)
def test_the_stated_memory_is_what_the_compiler_allots(
    width: int, num_items: int, copies: int, k: int, some: bool
) -> None:
    num_users = 32
    data = {
        "users": jax.ShapeDtypeStruct((100, 16), jnp.float32),
        "items": jax.ShapeDtypeStruct((width, 16), jnp.float32),
    }
    integers = jax.ShapeDtypeStruct((num_users,), jnp.int32)
    pairs = jax.ShapeDtypeStruct((64,), jnp.int32)
    candidates = jax.ShapeDtypeStruct((num_items,), bool) if some else None
    compiled = ranking._rank_chunk.lower(
        data, integers, pairs, pairs, candidates, inner_products, num_items, k
    ).compile()
    allotted = compiled.memory_analysis().temp_size_in_bytes / num_users
    stated = ranking._bytes_a_user(width, k, masked=some)
    assert allotted <= stated + 64
    # To leave items out takes a copy, unless padding has made one already.
    copies += some and copies == 1
    assert stated <= 4.13 * width * copies + 264 * k + 8


def test_chunks_follow_the_memory_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    small, large = (ranking._chunk_size(64_000, 20, cap) for cap in (64, 256))
    assert 0.9 * 64 * 2**20 / 64_000 / 4 < small < 64 * 2**20 / 64_000 / 4
    assert large == pytest.approx(4 * small, abs=32)
    with pytest.raises(UserError, match="memory_limit_mb: expected at least 3 for"):
        ranking._chunk_size(64_000, 20, 2)
    assert ranking._chunk_size(64_000, 20, 3) == 8
    # Temporaries above 32 MiB are slow on CPU; too few users are slower.
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert 20 < ranking._chunk_size(64_000, 20, 256) * 64_000 * 4 / 2**20 < 24
    assert ranking._chunk_size(1_000_000, 20, 256) == 32
    assert ranking._chunk_size(1_000_000, 20, 64) == 16


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("num_items", [40, 9_000])
def test_scores_that_are_not_finite_are_refused(num_items: int, value: float) -> None:
    scores = np.zeros((30, num_items), np.float32)
    scores[17, 3] = value
    seen = Csr.from_pairs(np.array([17, 9]), np.array([3, 0]), 30)
    sizes: dict[str, int] = {"num_users": 30, "num_items": num_items, "k": 2}
    rank(look_up, jnp.asarray(scores), seen=seen, **sizes)
    with pytest.raises(UserError, match="got NaN or infinity for user 17"):
        rank(look_up, jnp.asarray(scores), seen=None, **sizes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k and num_items"),
        ({"chunk_size": 0}, "chunk_size"),
        ({"users": np.array([5])}, r"users must lie in \[0, 5\)"),
        ({"users": np.array([0.5])}, "integers"),
        ({"num_users": 4}, "seen has 5 rows for 4 users"),
        ({"seen": Csr.from_pairs(np.array([0]), np.array([7]), 5)}, "seen has item 7"),
        ({"num_items": 8}, r"gave \(8, 7\) for 8 items"),
    ],
)
def test_sizes_must_fit(change: dict[str, Any], message: str) -> None:
    seen = Csr.from_pairs(np.array([0]), np.array([6]), 5)
    arguments = {"num_users": 5, "num_items": 7, "seen": seen, "k": 2} | change
    with pytest.raises(ValueError, match=message):
        rank(look_up, jnp.ones((8, 7)), **arguments)


@pytest.mark.parametrize("num_items", [50, 9_000])
def test_only_candidates_are_ranked(num_items: int) -> None:
    rng = np.random.default_rng(0)
    users = rng.normal(size=(20, 4)).astype(np.float32)
    items = rng.normal(size=(num_items, 4)).astype(np.float32)
    candidates = rng.random(num_items) < 0.3
    seen = Csr.from_pairs(
        np.repeat(np.arange(20), 3), rng.integers(num_items, size=60), 20
    )
    found = rank_factors(users, items, seen=seen, k=25, candidates=candidates)
    scores = np.where(candidates, users @ items.T, -np.inf)
    for user in range(20):
        scores[user, seen.row(user)] = -np.inf
        order = np.argsort(-scores[user], kind="stable")[:25]
        order = np.where(np.isfinite(scores[user, order]), order, -1)
        np.testing.assert_array_equal(found.items[user], order)
    # Where there are fewer than k, the rest is nothing.
    few = np.zeros(num_items, bool)
    few[[3, 7]] = True
    short = rank_factors(users, items, seen=None, k=5, candidates=few).items
    assert {*short[:, :2].ravel().tolist()} == {3, 7}
    assert (short[:, 2:] == -1).all()


def test_other_candidates_compile_nothing() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 4)).astype(np.float32)
    for number in range(3):
        candidates = np.arange(40) > number
        rank_factors(vectors, vectors, seen=None, k=7, candidates=candidates)
        if not number:
            before = ranking._rank_chunk._cache_size()
    assert ranking._rank_chunk._cache_size() == before


@pytest.mark.parametrize("wrong", [np.ones(3, bool), np.ones(4, int)])
def test_candidates_of_another_shape_or_type(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"candidates: not \(4,\) bool"):
        rank_factors(np.ones((2, 2)), np.ones((4, 2)), seen=None, k=2, candidates=wrong)
