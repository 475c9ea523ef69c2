"""`Ranker` against a loop on the host, by the kernel and by the program of chunks."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation import ranking
from llmgnn_jax.evaluation.native import library
from llmgnn_jax.evaluation.ranker import LONGEST_OF_KERNEL, Ranker, rank_factors
from llmgnn_jax.evaluation.sketch import PANEL, sketch_of
from llmgnn_jax.evaluation.user_lists import UserLists
from tests.native.other_processors import check_with_flags


@pytest.fixture(params=["kernel", "chunks"])
def path(request, monkeypatch):
    """Either way of ranking."""
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


@pytest.mark.parametrize("seed", range(4))
def test_users_one_at_a_time(path: str, seed: int) -> None:
    """The lists of `rank`; of its kernel bit for bit."""
    rng = np.random.default_rng(seed)
    # So few that the kernel ranks them all, whatever it has to score.
    num_users, num_items = 8, int(rng.integers(1, 700))
    users = rng.standard_normal((num_users, 19), dtype=np.float32)
    users[3] = 0.0
    items = rng.standard_normal((num_items, 19), dtype=np.float32)
    seen = random_csr(rng, (num_users, num_items), rng.choice([0.05, 0.9]))
    allowed = rng.random(num_items) < 0.7
    for k in (1, 20, 200):
        for hidden, candidates in ((None, None), (seen, None), (seen, allowed)):
            ranker = Ranker(items)
            lists = UserLists(ranker, users, seen=hidden, candidates=candidates)
            all_of_them = ranker.rank(users, seen=hidden, k=k, candidates=candidates)
            for user in rng.integers(num_users, size=12).tolist():
                found, scores = lists.best(user, k=k)
                np.testing.assert_array_equal(found, all_of_them.items[user])
                by_kernel = path == "kernel" and k <= LONGEST_OF_KERNEL
                np.testing.assert_allclose(
                    scores, all_of_them.scores[user], rtol=0.0 if by_kernel else 1e-5
                )
                assert (found.dtype, scores.dtype) == (np.int32, np.float32)


@pytest.mark.parametrize(
    "spread",
    ["two values", "all alike", "a few far below", "a few far above", "falling"],
)
@pytest.mark.parametrize("left", ["all", "none of the best", "few"])
def test_scores_that_are_not_spread_normally(path: str, spread: str, left: str) -> None:
    """What the kernel guesses of a list at its start does not change the list."""
    rng = np.random.default_rng(0)
    num_items, width = 3_000, 8
    first = {
        "two values": np.where(rng.random(num_items) < 0.004, 4.0, -4.0),
        "all alike": np.full(num_items, 3.0),
        "a few far below": np.where(rng.random(num_items) < 0.01, -64.0, 2.0),
        "a few far above": np.where(np.arange(num_items) % 997 == 5, 64.0, -2.0),
        "falling": -np.arange(num_items) / 64.0,
    }[spread]
    items = np.zeros((num_items, width), np.float32)
    items[:, 0] = first
    # Products are exact, and all vectors about equally long.
    items[:, 1] = 96.0 + rng.integers(0, 2, num_items)
    users = np.zeros((7, width), np.float32)
    users[:, 0] = [1.0, -1.0, 2.0, 0.5, 1.0, -2.0, 0.0]
    users[:3, 2] = 1.0
    scores = users @ items.T
    seen, allowed = None, None
    if left == "none of the best":
        best = np.argsort(-scores, axis=1, kind="stable")[:, :1_500]
        rows = np.repeat(np.arange(len(users)), best.shape[1])
        seen = Csr.from_pairs(rows, best.ravel(), len(users))
    elif left == "few":
        allowed = rng.random(num_items) < 0.005
    for k in (1, 20, 100):
        expected = by_loop(scores, seen, k, allowed)
        ranker = Ranker(items)
        found = ranker.rank(users, seen=seen, k=k, candidates=allowed)
        np.testing.assert_array_equal(found.items, expected)
        lists = UserLists(ranker, users, seen=seen, candidates=allowed)
        for user in range(len(users)):
            np.testing.assert_array_equal(lists.best(user, k=k)[0], expected[user])


def test_lists_of_users_outlive_what_they_were_made_of(path: str) -> None:
    rng = np.random.default_rng(0)
    users = rng.standard_normal((4, 8), dtype=np.float32)
    items = rng.standard_normal((90, 8), dtype=np.float32)
    seen = random_csr(rng, (4, 90), 0.2)
    expected = Ranker(items).rank(users, seen=seen, k=5).items
    lists = UserLists(
        Ranker(items.copy()),
        # Neither contiguous nor held by anybody else.
        np.asfortranarray(users),
        seen=Csr(seen.indptr.astype(np.int32), seen.indices.astype(np.int64)),
        candidates=np.ones(90, bool),
    )
    first = lists.best(1, k=5)
    for _ in range(50):
        lists.best(2, k=5)
    np.testing.assert_array_equal(first[0], expected[1])
    np.testing.assert_array_equal(lists.best(2, k=5)[0], expected[2])


def test_threads_may_ask_at_once(path: str) -> None:
    rng = np.random.default_rng(0)
    users = rng.standard_normal((24, 8), dtype=np.float32)
    items = rng.standard_normal((5_000, 8), dtype=np.float32)
    expected = Ranker(items).rank(users, seen=None, k=20).items
    lists = UserLists(Ranker(items), users, seen=None)
    asked = rng.integers(len(users), size=200).tolist()
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(lambda user: lists.best(user, k=20)[0], asked)
        np.testing.assert_array_equal(list(found), expected[asked])


def test_wrong_sizes_of_lists(path: str) -> None:
    ranker, users = Ranker(np.ones((9, 4), np.float32)), np.ones((3, 4), np.float32)
    with pytest.raises(ValueError, match=r"users: \(3, 5\)"):
        UserLists(ranker, np.ones((3, 5), np.float32), seen=None)
    with pytest.raises(ValueError, match="seen has 2 rows for 3 users"):
        UserLists(ranker, users, seen=random_csr(np.random.default_rng(0), (2, 9), 0.5))
    lists = UserLists(ranker, users, seen=None)
    for wrong in (-1, 3):
        with pytest.raises(IndexError, match=f"user {wrong} of 3"):
            lists.best(wrong, k=2)
    users[1, 1] = np.nan
    with pytest.raises(UserError, match="NaN"):
        UserLists(ranker, users, seen=None).best(1, k=2)


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


def test_no_request_compiles_anything_new(monkeypatch) -> None:
    monkeypatch.setattr(library, "available", lambda: False)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((700, 6), dtype=np.float32)
    ranker = Ranker(vectors)
    compiled = ranking._rank_chunk._cache_size

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


@pytest.fixture
def programs(monkeypatch):
    """How many chunks the program has ranked, as a list of one number."""
    if reason := library.unavailable_because():
        pytest.skip(reason)
    count = [0]
    rank_chunk = ranking._rank_chunk

    def counted(*arguments):
        count[0] += 1
        return rank_chunk(*arguments)

    monkeypatch.setattr(ranking, "_rank_chunk", counted)
    return count


@pytest.mark.parametrize("num_users", [1, 5, 97, 400])
def test_lists_of_any_number_of_users_come_from_the_kernel(
    programs: list[int], num_users: int
) -> None:
    rng = np.random.default_rng(num_users)
    # Whole numbers, whose sums are exact in any order.
    users = np.float32(rng.integers(-9, 10, (num_users, 33)))
    items = np.float32(rng.integers(-9, 10, (3_001, 33)))
    seen = random_csr(rng, (num_users, 3_001), 0.01)
    # From the device as from the host.
    found = Ranker(jax.numpy.asarray(items)).rank(
        jax.numpy.asarray(users), seen=seen, k=20
    )
    assert programs == [0]
    np.testing.assert_array_equal(found.items, by_loop(users @ items.T, seen, 20))
    rows = rng.integers(0, num_users, 11)
    some = Ranker(items).rank(users, seen=seen, k=20, users=rows)
    assert programs == [0]
    np.testing.assert_array_equal(some.users, rows)
    np.testing.assert_array_equal(some.items, found.items[rows])
    np.testing.assert_array_equal(some.scores, found.scores[rows])


def test_a_share_of_the_items_for_each_thread(programs: list[int]) -> None:
    rng = np.random.default_rng(0)
    users = rng.standard_normal((2, 64), dtype=np.float32)
    users[1] = 0.0
    items = rng.standard_normal((200_000, 64), dtype=np.float32)
    items[100_000:] = items[:100_000]  # Each twice: ties lie in other shares.
    seen = Csr.from_pairs(np.asarray([1, 1]), np.asarray([0, 2]), 2)
    found = Ranker(items).rank(users, seen=seen, k=6)
    scores = items @ users[0]
    best = np.argsort(-scores[:100_000], kind="stable")[:3]
    assert found.items[0].tolist() == [n for i in best for n in (i, i + 100_000)]
    assert found.items[1].tolist() == [1, 3, 4, 5, 6, 7]
    assert programs == [0]


@pytest.mark.parametrize(
    ("why", "ranked_by_program"),
    [("k", 1), ("chunk size", 1), ("alike", 1), ("alike, few", 0), ("bfloat16", 1)],
)
def test_when_the_program_ranks(
    programs: list[int], why: str, ranked_by_program: int
) -> None:
    rng = np.random.default_rng(0)
    num_users = 3 if why == "alike, few" else 30
    users = rng.random((num_users, 8), dtype=np.float32)
    items = rng.random((9_000, 8), dtype=np.float32)
    if why.startswith("alike"):  # Bytes cannot tell them apart.
        items = 1 + items * 1e-4
    if why == "bfloat16":
        users, items = (
            jax.numpy.asarray(x, jax.numpy.bfloat16) for x in (users, items)
        )
    k = 129 if why == "k" else 20
    chunk_size = 32 if why == "chunk size" else None
    found = Ranker(items).rank(users, seen=None, k=k, chunk_size=chunk_size)
    assert bool(programs[0]) == ranked_by_program
    if why != "bfloat16":
        expected = np.sort(users @ items.T, axis=1)[:, ::-1][:, :k]
        np.testing.assert_allclose(found.scores, expected, rtol=1e-6)


@pytest.mark.parametrize("width", [1, 7, 64, 300])
def test_the_bound_of_a_sketch_holds(width: int) -> None:
    if reason := library.unavailable_because():
        pytest.skip(reason)
    rng = np.random.default_rng(0)
    lengths = 10.0 ** rng.uniform(-6, 6, (1_000, 1))
    items = np.float32(lengths * rng.standard_normal((1_000, width)))
    sketch = sketch_of(items)
    assert sketch is not None
    numbers = sketch.numbers
    assert sorted(numbers[numbers >= 0]) == list(range(1_000))
    there = numbers >= 0
    panels = np.arange(len(numbers))[there] // PANEL
    codes = sketch.codes.transpose(0, 2, 1, 3).reshape(len(numbers), -1)[there, :width]
    near = (codes.astype(np.float64) - 128) * sketch.scales[panels, None]
    vectors = items[numbers[there]]
    assert (np.linalg.norm(vectors - near, axis=1) <= sketch.errors[panels]).all()
    assert (np.linalg.norm(near, axis=1) <= sketch.reaches[panels]).all()
    exact = np.linalg.norm(vectors.astype(np.float64), axis=1)
    assert (exact <= sketch.lengths[panels]).all()
    assert (np.diff(sketch.lengths) <= 0).all()
    # And is of use: most are far nearer than they are long.
    assert np.median(sketch.errors[panels] / np.maximum(exact, 1e-30)) < 0.05


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e16])
def test_no_sketch_of_what_has_no_bounds(wrong: float) -> None:
    items = np.ones((300, 4), np.float32)
    assert library.unavailable_because() or sketch_of(items) is not None
    items[7, 1] = wrong
    assert sketch_of(items) is None
    assert sketch_of(np.ones((0, 4), np.float32)) is None
    assert sketch_of(np.ones((3, 4))) is None  # float64


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["-mno-avx512f", "-mno-avx"])
def test_what_other_processors_compile(flag: str, tmp_path: Path) -> None:
    if reason := library.unavailable_because():
        pytest.skip(reason)
    check_with_flags("llmgnn_jax.evaluation.native", __file__, flag, cache=tmp_path)
