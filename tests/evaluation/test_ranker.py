"""`Ranker` against a loop on the host, by the kernel and by the program of chunks."""

import jax
import numpy as np
import pytest

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation import ranker as module
from llmgnn_jax.evaluation import ranking
from llmgnn_jax.evaluation.native import library
from llmgnn_jax.evaluation.ranker import Ranker
from llmgnn_jax.evaluation.ranking import rank_factors
from llmgnn_jax.evaluation.sketch import best_items, sketch_of


@pytest.fixture(params=["kernel", "chunks"])
def path(request, monkeypatch):
    """Either way of ranking few users."""
    if request.param == "chunks":
        monkeypatch.setattr(library, "available", lambda: False)
    elif reason := library.unavailable_because():
        pytest.skip(reason)
    return request.param


def random_csr(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Csr:
    rows, cols = np.nonzero(rng.random(shape) < share)
    return Csr.from_pairs(rows, cols, shape[0])


def by_loop(
    scores: np.ndarray, seen: Csr | None, k: int, allowed: np.ndarray | None = None
) -> np.ndarray:
    """(U, k): best first, lower item first among equals, -1 where none is left."""
    lists = np.full((len(scores), k), -1, np.int32)
    for row, row_scores in enumerate(scores):
        left = np.ones(scores.shape[1], bool) if allowed is None else allowed.copy()
        if seen is not None:
            left[seen.row(row)] = False
        items = np.flatnonzero(left)
        best = items[np.argsort(-row_scores[items], kind="stable")][:k]
        lists[row, : len(best)] = best
    return lists


@pytest.mark.parametrize("seed", range(6))
def test_equals_a_loop(path: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    num_users, num_items = int(rng.integers(1, 9)), int(rng.integers(1, 400))
    # Few levels, whose products are exact: many ties, also of 0 and -0.
    users = rng.integers(-2, 3, (num_users, 5)).astype(np.float32)
    items = rng.integers(-2, 3, (num_items, 5)).astype(np.float32)
    seen = random_csr(rng, (num_users, num_items), rng.choice([0.0, 0.3, 0.97, 1.0]))
    ranker = Ranker(items)
    for k in (1, 7, 128, num_items + 5):
        for allowed in (None, rng.random(num_items) < 0.5):
            got = ranker.rank(users, seen=seen, k=k, candidates=allowed)
            scores = users @ items.T
            expected = by_loop(scores, seen, k, allowed)
            np.testing.assert_array_equal(got.items, expected)
            shown = got.items >= 0
            rows = np.nonzero(shown)[0]
            np.testing.assert_array_equal(
                got.scores[shown], scores[rows, got.items[shown]]
            )
            assert (got.scores[~shown] == -np.inf).all()
            assert (got.items.dtype, got.scores.dtype) == (np.int32, np.float32)
            np.testing.assert_array_equal(got.users, np.arange(num_users))


@pytest.mark.parametrize(("num_items", "width"), [(1_682, 48), (9_001, 64), (300, 3)])
def test_equals_rank_factors(path: str, num_items: int, width: int) -> None:
    rng = np.random.default_rng(0)
    users = rng.standard_normal((20, width), dtype=np.float32)
    # Of very different lengths, some none at all, and each twice.
    lengths = 10.0 ** rng.uniform(-3, 1, (num_items, 1))
    items = np.float32(lengths * rng.standard_normal((num_items, width)))
    items[rng.random(num_items) < 0.01] = 0.0
    items[num_items // 2 :] = items[: num_items - num_items // 2]
    seen = random_csr(rng, (20, num_items), 0.05)
    allowed = rng.random(num_items) < 0.9
    expected = rank_factors(users, items, seen=seen, k=20, candidates=allowed)
    ranker = Ranker(items)
    many = ranker.rank(users, seen=seen, k=20, candidates=allowed)
    np.testing.assert_array_equal(many.items, expected.items)
    for user in range(20):
        of_user = Csr.from_pairs(
            np.zeros(len(seen.row(user))), seen.row(user), num_rows=1
        )
        one = ranker.rank(
            users[user : user + 1], seen=of_user, k=20, candidates=allowed
        )
        np.testing.assert_array_equal(one.items[0], expected.items[user])
        np.testing.assert_allclose(one.scores[0], expected.scores[user], rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0.0, [0, 1, 2, 3]), (1e-30, [1, 3, 0, 2]), (1e10, [1, 3, 0, 2])],
)
def test_users_of_any_length(path: str, size: float, expected: list[int]) -> None:
    items = np.float32([[1, 0, 0, 0], [2, 2, 2, 2], [-1, 1, -1, 1], [2, 2, 2, 2]])
    user = np.full((1, 4), size, np.float32)
    assert Ranker(items).rank(user, seen=None, k=4).items[0].tolist() == expected


@pytest.mark.parametrize("where", ["user", "item"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_finite_is_an_error(path: str, where: str, number: float) -> None:
    users, items = np.ones((1, 4), np.float32), np.ones((300, 4), np.float32)
    (users if where == "user" else items)[0, 2] = number
    with pytest.raises(UserError, match="expected finite numbers"):
        Ranker(items).rank(users, seen=None, k=3)


def test_no_user(path: str) -> None:
    none = np.zeros((0, 4), np.float32)
    ranker = Ranker(np.ones((9, 4), np.float32))
    assert ranker.rank(none, seen=None, k=3).items.shape == (0, 3)


SIZES = {
    "users": "users: \\(1, 3\\), not",
    "rows": "seen has 2 rows for 1 users",
    "items": "seen has item 9 of 9",
    "candidates": "candidates: not \\(9,\\) bool",
    "k": "k and num_items must be positive",
}


@pytest.mark.parametrize(("wrong", "message"), SIZES.items())
def test_sizes_that_do_not_fit(path: str, wrong: str, message: str) -> None:
    users, items = np.ones((1, 4), np.float32), np.ones((9, 4), np.float32)
    seen = Csr(indptr=np.array([0, 1]), indices=np.array([8], np.int32))
    candidates, k = np.ones(9, bool), 2
    if wrong == "users":
        users = users[:, :3]
    elif wrong == "rows":
        seen = Csr(indptr=np.array([0, 1, 1]), indices=seen.indices)
    elif wrong == "items":
        seen = Csr(indptr=seen.indptr, indices=np.array([9], np.int32))
    elif wrong == "candidates":
        candidates = candidates[1:]
    else:
        k = 0
    with pytest.raises(ValueError, match=message):
        Ranker(items).rank(users, seen=seen, k=k, candidates=candidates)


def test_no_request_compiles_anything_new(path: str) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((700, 6), dtype=np.float32)
    ranker = Ranker(vectors)

    def compiled() -> tuple[int, int]:
        return best_items._cache_size(), ranking._rank_chunk._cache_size()

    def ask(user: int, seen: int) -> None:
        items = np.arange(seen, dtype=np.int32)
        of_user = Csr(indptr=np.array([0, seen]), indices=items)
        ranker.rank(vectors[user : user + 1], seen=of_user, k=11)

    ask(0, 3)
    before = compiled()
    for seen in (0, 1, 50, 128):
        ask(seen, seen)
    assert compiled() == before
    # Numbers of users: any above 8 and up to 16 have one program.
    for num_users in (16, 9, 13):
        ranker.rank(vectors[:num_users], seen=None, k=11)
        if num_users == 16:
            before = compiled()
    assert compiled() == before


def test_few_users_are_ranked_by_the_kernel_and_more_are_not(monkeypatch) -> None:
    if reason := library.unavailable_because():
        pytest.skip(reason)
    called = []

    def counted(*arguments, **keywords):
        called.append(keywords["k"])
        return best_items(*arguments, **keywords)

    monkeypatch.setattr(module, "best_items", counted)
    vectors = np.eye(300, 4, dtype=np.float32)
    ranker = Ranker(jax.numpy.asarray(vectors))
    ranker.rank(vectors[:2], seen=None, k=5)
    assert called == [5, 5]
    ranker.rank(vectors[:9], seen=None, k=5)
    ranker.rank(vectors[:1], seen=None, k=129)
    assert called == [5, 5]


@pytest.mark.parametrize("width", [1, 7, 64, 300])
def test_the_bound_of_a_sketch_holds(width: int) -> None:
    rng = np.random.default_rng(0)
    lengths = 10.0 ** rng.uniform(-6, 6, (1_000, 1))
    items = np.float32(lengths * rng.standard_normal((1_000, width)))
    users = rng.standard_normal((30, width), dtype=np.float32)
    # Where a bound would be missed first: along what was lost.
    sketch = sketch_of(items)
    assert sketch is not None
    codes, scales = np.asarray(sketch.codes), np.asarray(sketch.scales)
    near = codes.transpose(0, 2, 1, 3).reshape(len(scales), -1)[:, :width]
    near = near * scales[:, None]
    users = np.concatenate([users, items[:30] - near[:30]])
    exact, approximate = users @ items.T, users @ near[:1_000].T
    norms = np.linalg.norm(users, axis=1)[:, None]
    bounds = norms * np.asarray(sketch.errors)[:1_000]
    assert (np.abs(exact - approximate) <= bounds).all()
    # And is of use: of the length, a small part.
    assert (bounds <= 0.02 * norms * np.linalg.norm(items, axis=1)).all()
