"""`Dataset` checks what enters; its hash depends on content alone. `Csr` is a set."""

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

from llmgnn_jax.data.dataset import Csr, Dataset
from llmgnn_jax.data.filters import filter_interactions
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError

SMALL: dict[str, Any] = {
    "name": "small",
    "user_ids": ("a", "b"),
    "item_ids": ("x", "y", "z"),
    "users": np.array([0, 1, 1]),
    "items": np.array([0, 2, 0]),
    "values": np.array([1.0, 2.0, 3.0]),
    "timestamps": np.array([10, 20, 30]),
    "item_titles": ("X", "", "Z"),
    "item_texts": ("about x", "", "about z"),
}


def small(**changes: Any) -> Dataset:
    return Dataset(**{**SMALL, **changes})


def test_sizes_types_and_protection() -> None:
    users = np.array([0, 1, 1])
    dataset = small(users=users)
    assert (dataset.num_users, dataset.num_items) == (2, 3)
    assert dataset.num_interactions == 3
    dtypes = [dataset.users, dataset.items, dataset.values, dataset.timestamps]
    assert [a.dtype.name for a in dtypes] == ["int32", "int32", "float32", "int64"]
    users[0] = 1  # the caller's array is its own
    assert dataset.users[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        dataset.users[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"user_ids": ("a", "a")}, ["user_ids[1]", "'a' again (first in row 0)"]),
        ({"item_ids": ("x", "", "z")}, ["item_ids[1]", "an empty string"]),
        ({"item_ids": ("x", 7, "z")}, ["item_ids[1]", "a string", "7"]),
        ({"user_ids": ()}, ["user_ids", "at least one id", "none"]),
        ({"users": np.zeros(0, int)}, ["users", "at least one interaction", "none"]),
        ({"users": np.array([0, 1, 2])}, ["users[2]", "[0, 2)", "2"]),
        ({"items": np.array([0, -1, 2])}, ["items[1]", "[0, 3)", "-1"]),
        ({"items": np.array([0.0, 1, 2])}, ["items", "integers", "float64"]),
        ({"items": np.array([0, 1])}, ["items", "shape (3,)", "(2,)"]),
        ({"values": np.array([1, np.nan, 1])}, ["values[1]", "finite", "nan", "drop"]),
        ({"values": np.array([1, 1, 1e39])}, ["values[2]", "finite", "1e+39"]),
        ({"values": np.array(["1", "2", "3"])}, ["values", "numbers"]),
        ({"timestamps": np.array([1, 2, -3])}, ["timestamps[2]", "not negative", "-3"]),
        ({"timestamps": np.array([1.5, 2, 3])}, ["timestamps", "whole seconds"]),
        (
            {"timestamps": np.array([1, 2, 2**63], np.uint64)},
            ["timestamps[2]", "9223372036854775808"],
        ),
        ({"item_titles": ("X", "Y")}, ["item_titles", "3 rows", "2"]),
        ({"item_texts": ("x", None, "z")}, ["item_texts[1]", "a string", "None"]),
        ({"user_texts": ("one",)}, ["user_texts", "2 rows", "1"]),
        ({"interaction_texts": ("one",)}, ["interaction_texts", "3 rows", "1"]),
        (
            {"item_categorical": {"genre": ("a", ("b",), ())}},
            ["item_categorical['genre'][0]", "tuple", "('a',)"],
        ),
        (
            {"user_categorical": {"sex": ((1,), ())}},
            ["user_categorical['sex'][0][0]", "a string", "1"],
        ),
        (
            {"item_numeric": {"year": np.array([1.0, np.inf, 2.0])}},
            ["item_numeric['year'][1]", "finite", "inf"],
        ),
        ({"user_numeric": {"age": np.zeros(3)}}, ["user_numeric['age']", "(2,)"]),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        small(**changes)
    for part in parts:
        assert part in str(caught.value)


def test_nan_is_missing_in_features_only() -> None:
    dataset = small(item_numeric={"year": np.array([1.0, np.nan, 2.0])})
    assert np.isnan(dataset.item_numeric["year"][1])
    assert not dataset.item_numeric["year"].flags.writeable


def renumbered(dataset: Dataset, seed: int) -> Dataset:
    """The same content with rows, users and items in another order."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(dataset.num_interactions)
    users = rng.permutation(dataset.num_users)
    items = rng.permutation(dataset.num_items)

    def take(column: Any, order: np.ndarray) -> Any:
        return None if column is None else tuple(column[i] for i in order)

    return Dataset(
        name="renumbered",
        user_ids=take(dataset.user_ids, users),
        item_ids=take(dataset.item_ids, items),
        users=np.argsort(users)[dataset.users[rows]],
        items=np.argsort(items)[dataset.items[rows]],
        values=dataset.values[rows],
        timestamps=dataset.timestamps[rows],
        item_titles=take(dataset.item_titles, items),
        item_texts=take(dataset.item_texts, items),
        user_texts=take(dataset.user_texts, users),
        interaction_texts=take(dataset.interaction_texts, rows),
        item_categorical={
            k: take(v, items) for k, v in dataset.item_categorical.items()
        },
        item_numeric={k: v[items] for k, v in dataset.item_numeric.items()},
        user_numeric={k: v[users] for k, v in dataset.user_numeric.items()},
        relations={
            name: Relation(
                heads_of="user",
                tails_of="user",
                heads=np.argsort(users)[friends.heads],
                tails=np.argsort(users)[friends.tails],
                weights=friends.weights,
            )
            for name, friends in dataset.relations.items()
        },
    )


@pytest.mark.parametrize("reviews", [False, True])
def test_hash_ignores_order_and_numbering(reviews: bool) -> None:
    dataset = synthetic(reviews=reviews)
    for seed in range(3):
        other = renumbered(dataset, seed)
        assert other.content_hash() == dataset.content_hash()
        rows, other_rows = dataset.canonical_order, other.canonical_order
        np.testing.assert_array_equal(
            np.array(dataset.user_ids)[dataset.users[rows]],
            np.array(other.user_ids)[other.users[other_rows]],
        )
        np.testing.assert_array_equal(
            dataset.timestamps[rows], other.timestamps[other_rows]
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"users": np.array([0, 1, 0])},
        {"items": np.array([0, 2, 1])},
        {"values": np.array([1.0, 2.0, 3.5])},
        {"timestamps": np.array([10, 20, 31])},
        {"user_ids": ("a", "c")},
        {"item_titles": ("X", "Y", "Z")},
        {"item_texts": ("about x", "about y", "about z")},
        {"user_texts": ("", "")},
        {"interaction_texts": ("", "", "")},
        {"item_categorical": {"genre": ((), (), ())}},
        {"item_numeric": {"year": np.full(3, np.nan)}},
        {"user_numeric": {"year": np.full(2, np.nan)}},
        # The same letters, cut elsewhere.
        {"item_titles": ("X", "Z", "")},
        {"item_texts": ("about x", "about z", "")},
    ],
)
def test_hash_sees_every_change(changes: dict[str, Any]) -> None:
    assert small(**changes).content_hash() != small().content_hash()


def test_hash_is_the_same_on_every_platform_and_version() -> None:
    expected = "2a3cdafe1c7deb3f50286518f5a29131f85cb78c3237ca5cac34644927ae4141"
    assert small(name="any name").content_hash() == expected
    assert small(values=np.array([1, 2, 3], np.int8)).content_hash() == expected
    assert pickle.loads(pickle.dumps(small())).content_hash() == expected


def test_repeated_pairs_are_kept_in_the_dataset_and_merged_in_csr() -> None:
    dataset = small(users=np.array([0, 0, 1]), items=np.array([2, 2, 0]))
    assert dataset.num_interactions == 3
    csr = Csr.from_pairs(dataset.users, dataset.items, dataset.num_users)
    assert csr.nnz == 2


def test_csr_is_a_sorted_set() -> None:
    rng = np.random.default_rng(0)
    rows, cols = rng.integers(0, 9, 200), rng.integers(0, 30, 200)
    csr = Csr.from_pairs(rows, cols, 12)
    pairs = sorted(set(zip(rows.tolist(), cols.tolist(), strict=True)))
    assert list(zip(*(a.tolist() for a in csr.pairs()), strict=True)) == pairs
    assert (csr.num_rows, csr.nnz) == (12, len(pairs))
    assert (csr.indptr.dtype, csr.indices.dtype) == (np.int64, np.int32)
    assert csr.counts().tolist() == [sum(r == i for r, _ in pairs) for i in range(12)]
    for i in range(12):
        assert csr.row(i).tolist() == [c for r, c in pairs if r == i]


def test_csr_union_and_difference() -> None:
    rng = np.random.default_rng(1)
    sets = [set(map(tuple, rng.integers(0, 7, (30, 2)).tolist())) for _ in range(2)]
    a, b = (
        Csr.from_pairs(*np.array(sorted(pairs)).T, num_rows=7)  # type: ignore[misc]
        for pairs in sets
    )
    for got, expected in (
        (a.union(b), sets[0] | sets[1]),
        (a.difference(b), sets[0] - sets[1]),
        (a.difference(a), set()),
    ):
        assert set(zip(*(x.tolist() for x in got.pairs()), strict=True)) == expected
    empty = Csr.from_pairs(np.zeros(0, int), np.zeros(0, int), 7)
    assert empty.nnz == 0
    assert a.union(empty).nnz == a.nnz
    assert empty.difference(a).nnz == 0
    with pytest.raises(ValueError, match="7 and 3 rows"):
        a.union(Csr.from_pairs(np.zeros(0, int), np.zeros(0, int), 3))


def test_csr_refuses_what_is_out_of_range() -> None:
    one = np.ones(1, int)
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        Csr.from_pairs(one, one, 1)
    with pytest.raises(ValueError, match="negative"):
        Csr.from_pairs(one, -one, 2)
    with pytest.raises(ValueError, match="not one"):
        Csr.from_pairs(one, np.ones(2, int), 2)


def slow_core(
    rows: list[tuple[int, int]], min_user: int, min_item: int
) -> list[tuple[int, int]]:
    while True:
        users, items = ([r[i] for r in rows] for i in range(2))
        kept = [
            (u, i)
            for u, i in rows
            if users.count(u) >= min_user and items.count(i) >= min_item
        ]
        if kept == rows:
            return kept
        rows = kept


def test_filters_equal_a_slow_loop_and_are_remembered() -> None:
    dataset = synthetic(num_interactions=700, reviews=True)
    filtered = filter_interactions(dataset, min_value=4, min_per_user=6, min_per_item=6)
    liked = dataset.values >= 4
    expected = slow_core(
        list(zip(dataset.users[liked].tolist(), dataset.items[liked], strict=True)),
        6,
        6,
    )
    assert 0 < filtered.num_interactions < liked.sum()
    got = [(f"u{u}", f"i{i}") for u, i in expected]
    assert got == [
        (filtered.user_ids[u], filtered.item_ids[i])
        for u, i in zip(filtered.users, filtered.items, strict=True)
    ]
    assert np.bincount(filtered.users).min() >= 6
    assert np.bincount(filtered.items).min() >= 6
    old = dataset.item_ids.index(filtered.item_ids[-1])
    assert filtered.item_texts[-1] == dataset.item_texts[old]
    assert (
        filtered.item_numeric["release_year"][-1]
        == (dataset.item_numeric["release_year"][old])
    )
    assert filtered.filters == ("value >= 4", "user >= 6, item >= 6 interactions")
    with pytest.raises(UserError, match="none of 700 after user >= 99 interactions"):
        filter_interactions(dataset, min_per_user=99)


def test_no_filter_changes_nothing() -> None:
    dataset = small()
    assert filter_interactions(dataset).content_hash() == dataset.content_hash()
    assert filter_interactions(dataset).filters == ()


def test_rows_of_a_csr_are_taken_in_any_order() -> None:
    matrix = Csr.from_pairs(np.array([0, 0, 2, 3]), np.array([4, 1, 0, 2]), 4)
    for rows in ([3, 0, 1, 0], [2], [1], [], [1, 1]):
        taken = matrix.take(np.array(rows, int))
        assert taken.num_rows == len(rows)
        for place, row in enumerate(rows):
            assert taken.row(place).tolist() == matrix.row(row).tolist()
        assert taken.nnz == taken.indptr[-1]
