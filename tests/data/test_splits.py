"""Splits: RecBole's counts, one part a row, no dependence on order, no leak."""

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.filters import filter_interactions
from llmgnn_jax.data.splits import (
    Split,
    split_by_rule,
    split_leave_last_out,
    split_random,
    split_temporal,
)
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError

RATIOS = [
    (0.8, 0.1, 0.1),
    (0.7, 0.2, 0.1),
    (0.5, 0.25, 0.25),
    (0.98, 0.01, 0.01),
    (0.9, 0.1, 0.0),
    (8, 1, 1),
]


def ragged(most: int = 40, repeats: int = 1) -> Dataset:
    """User n has n + 1 interactions, at few distinct times."""
    rng = np.random.default_rng(5)
    users = np.repeat(np.arange(most), np.arange(1, most + 1))
    items = np.concatenate([rng.permutation(most)[: n + 1] for n in range(most)])
    items = items // repeats
    return Dataset(
        name="ragged",
        user_ids=tuple(f"u{n}" for n in range(most)),
        item_ids=tuple(f"i{n}" for n in range(most)),
        users=users,
        items=items,
        values=np.ones(len(users)),
        timestamps=1 + rng.integers(0, 50, len(users)),
        item_titles=("",) * most,
        item_texts=("",) * most,
    )


def recbole_counts(n: int, ratios: tuple[float, ...]) -> list[int]:
    """RecBole's own loop, for one user."""
    total = sum(ratios)
    ratios = tuple(ratio / total for ratio in ratios)
    counts = [int(ratio * n) for ratio in ratios]
    counts[0] = n - sum(counts[1:])
    for i in range(1, len(ratios)):
        if counts[0] <= 1:
            break
        if 0 < ratios[-i] * n < 1:
            counts[-i] += 1
            counts[0] -= 1
    return counts


@pytest.mark.parametrize("ratios", RATIOS)
def test_counts_are_recboles(ratios: tuple[float, float, float]) -> None:
    dataset = ragged()
    split = split_random(dataset, seed=0, ratios=ratios)
    parts = (split.train, split.valid, split.test)
    counts = np.stack(
        [np.bincount(dataset.users[p], minlength=dataset.num_users) for p in parts]
    )
    expected = [recbole_counts(n + 1, ratios) for n in range(dataset.num_users)]
    assert counts.T.tolist() == expected


def all_splits(dataset: Dataset) -> list[Split]:
    return [
        split_by_rule(dataset, rule=rule, seed=3)
        for rule in ("random", "leave_last_out", "temporal")
    ]


def test_each_row_lies_in_one_part() -> None:
    for dataset in (ragged(), ragged(repeats=3), synthetic()):
        for split in all_splits(dataset):
            rows = np.concatenate([split.train, split.valid, split.test])
            assert sorted(rows.tolist()) == list(range(dataset.num_interactions))
            for part in (split.train, split.valid, split.test):
                assert np.all(np.diff(part) > 0)
                assert not part.flags.writeable


def external(split: Split) -> list[set[tuple[Any, ...]]]:
    data = split.dataset
    return [
        {(data.user_ids[data.users[r]], data.item_ids[data.items[r]]) for r in part}
        for part in (split.train, split.valid, split.test)
    ]


def reordered(dataset: Dataset, seed: int) -> Dataset:
    """The same interactions in another order, the items numbered otherwise."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(dataset.num_interactions)
    items = rng.permutation(dataset.num_items)
    texts = dataset.interaction_texts
    return dataclasses.replace(
        dataset,
        item_ids=tuple(dataset.item_ids[i] for i in items),
        item_titles=tuple(dataset.item_titles[i] for i in items),
        item_texts=tuple(dataset.item_texts[i] for i in items),
        item_categorical={},
        item_numeric={},
        users=dataset.users[rows],
        items=np.argsort(items)[dataset.items[rows]],
        values=dataset.values[rows],
        timestamps=dataset.timestamps[rows],
        interaction_texts=texts and tuple(texts[r] for r in rows),
    )


def fingerprint(split: Split, masking: str = "seen", metric: str = "ndcg@10") -> str:
    return split.fingerprint(masking=masking, metric=metric)


@pytest.mark.parametrize("rule", ["random", "leave_last_out", "temporal"])
def test_order_and_numbering_do_not_matter(rule: str) -> None:
    plain = dataclasses.replace(
        synthetic(reviews=True), item_categorical={}, item_numeric={}
    )
    split = split_by_rule(plain, rule=rule, seed=1)
    other = split_by_rule(reordered(plain, 7), rule=rule, seed=1)
    assert external(other) == external(split)
    assert other.split_hash == split.split_hash
    assert fingerprint(other) == fingerprint(split)


def test_what_changes_the_split_hash_and_the_fingerprint() -> None:
    dataset = synthetic()
    split = split_random(dataset, seed=0)
    hashes = {split.split_hash}
    prints = {
        fingerprint(split),
        fingerprint(split, masking="train"),
        fingerprint(split, metric="recall@10"),
    }
    later = dataset.timestamps.copy()
    later[17] += 1
    others = (
        split_random(dataset, seed=0, ratios=(0.7, 0.2, 0.1)),
        split_random(dataclasses.replace(dataset, timestamps=later), seed=0),
        split_random(filter_interactions(dataset, min_value=2), seed=0),
        split_leave_last_out(dataset),
        split_temporal(dataset),
    )
    for other in others:
        hashes.add(other.split_hash)
        prints.add(fingerprint(other))
    assert len(hashes) == 1 + len(others)
    assert len(prints) == 3 + len(others)
    # Another draw of the same protocol.
    redrawn = split_random(dataset, seed=1)
    assert redrawn.split_hash != split.split_hash
    assert fingerprint(redrawn) == fingerprint(split)
    # A filter that happens to drop nothing is still another protocol.
    same = split_random(filter_interactions(dataset, min_value=0), seed=0)
    assert same.split_hash == split.split_hash
    assert fingerprint(same) != fingerprint(split)
    # One row in another part.
    moved = Split(
        dataset,
        split.rule,
        split.seed,
        np.append(split.train, split.valid[0]),
        split.valid[1:],
        split.test,
        split.ratios,
    )
    assert moved.split_hash != split.split_hash


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("random", "1d99c62c081e3e8e9038aff3"),
        ("leave_last_out", "b12e97f7c2ffb362be8e3a74"),
        ("temporal", "db8f1a59cc9fc99d1a19d115"),
    ],
)
def test_draws_are_the_same_everywhere(rule: str, expected: str) -> None:
    """A change here breaks the comparison with every published number."""
    split = split_by_rule(synthetic(), rule=rule, seed=0)
    assert split.split_hash.startswith(expected)


def test_random_is_even_over_a_users_interactions() -> None:
    dataset = ragged()
    held = np.zeros(dataset.num_interactions)
    for seed in range(300):
        held[split_random(dataset, seed=seed).test] += 1
    last = held[dataset.users == 39]  # 40 interactions, 4 of them tested
    assert last.min() > 15
    assert last.max() < 50  # mean 30, standard deviation 5.2


def test_leave_last_out() -> None:
    dataset = ragged()
    split = split_leave_last_out(dataset)
    for user in range(dataset.num_users):
        train, valid, test = (
            dataset.timestamps[part[dataset.users[part] == user]]
            for part in (split.train, split.valid, split.test)
        )
        assert len(test) == (user >= 1)
        assert len(valid) == (user >= 2)
        if len(test):
            assert train.max() <= test[0]
        if len(valid):
            assert train.max() <= valid[0] <= test[0]


def test_the_last_of_one_second_is_drawn() -> None:
    dataset = dataclasses.replace(ragged(), timestamps=np.ones(820, int))
    tests = [split_leave_last_out(dataset, seed=s).test.tolist() for s in range(3)]
    assert tests[0] != tests[1] != tests[2]
    # Neither the first nor the last item id is favoured.
    held = split_leave_last_out(dataset).test
    ranks = [
        sorted(dataset.item_ids[i] for i in dataset.items[dataset.users == u]).index(
            dataset.item_ids[dataset.items[row]]
        )
        / max(u, 1)
        for row in held
        for u in [int(dataset.users[row])]
    ]
    assert 0.35 < np.mean(ranks) < 0.65


def test_temporal_cuts_time_once() -> None:
    dataset = ragged()
    split = split_temporal(dataset, ratios=(0.6, 0.2, 0.2))
    train, valid, test = (
        dataset.timestamps[part] for part in (split.train, split.valid, split.test)
    )
    assert train.max() < valid.min()
    assert valid.max() < test.min()
    assert 0.5 < len(train) / dataset.num_interactions <= 0.6
    with pytest.raises(UserError, match=r"in train, valid and test; choose"):
        split_temporal(dataclasses.replace(dataset, timestamps=np.ones(820, int)))


@pytest.mark.parametrize("rule", ["leave_last_out", "temporal"])
def test_time_is_needed(rule: str) -> None:
    dataset = dataclasses.replace(ragged(), timestamps=np.zeros(820, int))
    with pytest.raises(UserError, match=f"{rule}.*with timestamps.*rule 'random'"):
        split_by_rule(dataset, rule=rule, seed=0)


def test_unknown_rules_and_ratios() -> None:
    with pytest.raises(UserError, match="got 'randon'; did you mean 'random'"):
        split_by_rule(ragged(), rule="randon", seed=0)
    for ratios in [(0.0, 0.5, 0.5), (0.9, -0.1, 0.2), (float("nan"), 0.1, 0.1)]:
        with pytest.raises(UserError, match=r"split\.ratios"):
            split_random(ragged(), seed=0, ratios=ratios)


def test_a_split_by_hand_is_checked() -> None:
    dataset = ragged(2)
    with pytest.raises(UserError, match="exactly one part"):
        Split(dataset, "hand", 0, np.array([0, 1]), np.array([1]), np.array([2]))
    with pytest.raises(UserError, match="exactly one part"):
        Split(dataset, "hand", 0, np.array([0]), np.array([1]), np.array([]))
    with pytest.raises(UserError, match="train interaction"):
        Split(dataset, "hand", 0, np.array([]), np.array([1, 2]), np.array([0]))


def test_what_is_seen_and_what_is_to_be_found() -> None:
    dataset = ragged(repeats=2)
    split = split_random(dataset, seed=0)

    def pairs(rows: np.ndarray) -> set[tuple[int, int]]:
        return {(int(dataset.users[r]), int(dataset.items[r])) for r in rows}

    def as_set(csr: Any) -> set[tuple[int, int]]:
        return set(zip(*(a.tolist() for a in csr.pairs()), strict=True))

    train, valid, test = (pairs(p) for p in (split.train, split.valid, split.test))
    assert valid & train  # repeated pairs fall into two parts
    assert as_set(split.train_csr()) == as_set(split.training().csr()) == train
    assert as_set(split.seen("valid")) == train
    assert as_set(split.seen("test")) == train | valid
    assert as_set(split.held_out("valid")) == valid - train
    assert as_set(split.held_out("test")) == test - train - valid
    assert split.held_out("test").num_rows == dataset.num_users


def test_training_has_the_train_rows() -> None:
    dataset = synthetic()
    split = split_random(dataset, seed=0)
    train = split.training()
    for name in ("users", "items", "values", "timestamps"):
        column = getattr(train, name)
        np.testing.assert_array_equal(column, getattr(dataset, name)[split.train])
        assert column.base is None  # no view of the whole
        assert not column.flags.writeable
    assert train.item_texts == dataset.item_texts
    assert (train.num_users, train.num_items) == (60, 40)


MARKER = "zyxmarker"


@pytest.mark.parametrize("rule", ["random", "leave_last_out", "temporal"])
@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_held_out_review_does_not_reach_training(rule: str, part: str) -> None:
    dataset = synthetic(reviews=True)
    assert dataset.interaction_texts is not None
    held = getattr(split_by_rule(dataset, rule=rule, seed=0), part)
    texts = list(dataset.interaction_texts)
    for row in held:
        texts[row] = f"{MARKER} {texts[row]}"
    marked = dataclasses.replace(dataset, interaction_texts=tuple(texts))
    # The texts order exact repeats alone: the draw is the same.
    split = split_by_rule(marked, rule=rule, seed=0)
    np.testing.assert_array_equal(getattr(split, part), held)
    train = split.training()
    assert not any(MARKER in text for text in train.item_texts)
    assert MARKER.encode() not in pickle.dumps(train)  # nothing leads back to it
    assert MARKER.encode() in pickle.dumps(split)


def test_train_reviews_follow_the_catalogue_text_oldest_first() -> None:
    dataset = synthetic(reviews=True)
    split = split_random(dataset, seed=0)
    item = int(dataset.items[split.train[0]])
    rows = [r for r in split.train if dataset.items[r] == item]
    rows.sort(key=lambda r: dataset.timestamps[r])
    assert dataset.interaction_texts is not None
    reviews = [dataset.interaction_texts[r] for r in rows]
    expected = " ".join([dataset.item_texts[item], *reviews])
    assert split.training().item_texts[item] == expected


def test_names_for_people() -> None:
    dataset = synthetic()
    assert split_random(dataset, seed=2).name == "random 0.8:0.1:0.1, seed 2"
    assert split_leave_last_out(dataset).name == "leave_last_out, seed 0"
