"""The published split: test as it comes, valid carved out of train, or nothing is."""

import dataclasses

import numpy as np
import pytest

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.filters import filter_interactions
from llmgnn_jax.data.splits import split_by_rule, split_published
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError

NUM_USERS = 40


def published(*, seed: int = 0) -> Dataset:
    """User n has n + 1 published train interactions and n % 3 test ones."""
    counts = np.arange(1, NUM_USERS + 1)
    tested = np.arange(NUM_USERS) % 3
    users = np.concatenate(
        [np.repeat(np.arange(NUM_USERS), n) for n in (counts, tested)]
    )
    items = np.concatenate(
        [np.arange(c) for c in counts]
        + [np.arange(c, c + t) for c, t in zip(counts, tested, strict=True)]
    )
    in_test = np.arange(len(users)) >= counts.sum()
    order = np.random.default_rng(seed).permutation(len(users))
    num_items = int(items.max()) + 1
    return Dataset(
        name="published",
        user_ids=tuple(f"u{n}" for n in range(NUM_USERS)),
        item_ids=tuple(f"i{n}" for n in range(num_items)),
        users=users[order],
        items=items[order],
        values=np.ones(len(users)),
        timestamps=np.zeros(len(users), np.int64),
        item_titles=tuple(f"title {n}" for n in range(num_items)),
        item_texts=("",) * num_items,
        published_test=in_test[order],
    )


def test_test_is_what_is_published_and_valid_comes_out_of_train() -> None:
    dataset = published()
    for share in (0.0, 0.1, 0.5):
        split = split_published(dataset, seed=0, valid_share=share)
        assert split.test.tolist() == np.flatnonzero(dataset.published_test).tolist()
        valid = np.bincount(dataset.users[split.valid], minlength=NUM_USERS)
        sizes = np.arange(1, NUM_USERS + 1)
        # As RecBole rounds: down, but one where train can spare it.
        expected = [
            max(int(share * n), int(n > 1 and 0 < share * n < 1)) for n in sizes
        ]
        assert valid.tolist() == expected
        assert len(split.train) == sizes.sum() - sum(expected)


def test_a_share_of_zero_leaves_nothing_to_validate_on() -> None:
    split = split_published(published(), seed=0, valid_share=0)
    assert len(split.valid) == split.held_out("valid").nnz == 0
    assert split.seen("test").nnz == split.train_csr().nnz == split.seen("valid").nnz
    others = [split_published(published(), seed=seed, valid_share=0) for seed in (0, 1)]
    assert {one.split_hash for one in others} == {split.split_hash}


def test_it_is_drawn_by_the_seed_and_not_by_the_order_of_rows() -> None:
    hashes = {
        (seed, split_published(published(seed=order), seed=seed).split_hash)
        for seed in (0, 1, 2)
        for order in (0, 1)
    }
    assert len(hashes) == 3
    assert published(seed=0).content_hash() == published(seed=1).content_hash()


def test_a_pair_in_both_parts_does_not_bring_the_order_of_rows_back() -> None:
    dataset = published()
    users, items = np.append(dataset.users, 30), np.append(dataset.items, 2)
    in_test = np.append(dataset.published_test, True)
    hashes = set()
    for order in (np.arange(len(users)), np.arange(len(users))[::-1]):
        both = dataclasses.replace(
            dataset,
            users=users[order],
            items=items[order],
            values=np.ones(len(users)),
            timestamps=np.zeros(len(users), np.int64),
            published_test=in_test[order],
        )
        hashes.add(split_published(both, seed=0).split_hash)
    assert len(hashes) == 1


def test_by_name_and_in_words() -> None:
    split = split_by_rule(published(), rule="published", seed=4, valid_share=0.25)
    assert split.name == "published valid 0.25, seed 4"
    assert (split.rule, split.seed, split.valid_share) == ("published", 4, 0.25)
    assert split_by_rule(published(), rule="published", seed=4).valid_share == 0.1
    # The share of the other rules is not asked for and changes nothing.
    for rule in ("random", "published"):
        same, other = (
            split_by_rule(published(), rule=rule, seed=0, valid_share=share)
            for share in (0.1, 0.4)
        )
        equal = same.split_hash == other.split_hash
        assert equal == (rule == "random")
        protocols = {
            one.fingerprint(masking="train+valid", metric="ndcg@10")
            for one in (same, other)
        }
        assert len(protocols) == (1 if rule == "random" else 2)


def test_what_it_refuses() -> None:
    with pytest.raises(UserError, match=r"'published': .* got synthetic, which does"):
        split_published(synthetic(), seed=0)
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(UserError, match=r"split\.valid_share: .* \[0, 1\)"):
            split_published(published(), seed=0, valid_share=share)
    everything = dataclasses.replace(
        published(), published_test=np.ones(published().num_interactions, bool)
    )
    with pytest.raises(UserError, match="at least one train interaction"):
        split_published(everything, seed=0)
    for flags, said in (
        (np.ones(3, bool), r"published_test: expected shape \(\d+,\)"),
        (np.zeros(published().num_interactions), "published_test: expected booleans"),
    ):
        with pytest.raises(UserError, match=said):
            dataclasses.replace(published(), published_test=flags)


def test_filters_take_the_published_parts_along() -> None:
    dataset = published()
    kept = filter_interactions(dataset, min_per_user=20)
    assert kept.published_test is not None
    assert dataset.published_test is not None
    mask = np.bincount(dataset.users)[dataset.users] >= 20
    assert kept.published_test.tolist() == dataset.published_test[mask].tolist()
    assert 0 < kept.published_test.sum() < dataset.published_test.sum()


def test_what_is_taken_holds_together() -> None:
    with pytest.raises(ValueError, match="kept whose user is not"):
        synthetic().taken(rows=np.arange(900), users=np.arange(59), items=np.arange(40))


@pytest.mark.parametrize(
    ("rule", "rows", "protocol"),
    [
        ("random", "3a0c0683a181d9e3", "aefea405b0f4bcaa"),
        ("leave_last_out", "b12e97f7c2ffb362", "1e8c3ec3ce25783c"),
        ("temporal", "db8f1a59cc9fc99d", "52cd55c3b2b3e148"),
    ],
)
def test_hashes_that_results_were_published_with(
    rule: str, rows: str, protocol: str
) -> None:
    dataset = synthetic(reviews=True)
    content = dataset.content_hash(relations=False)
    assert content.startswith("872e5438e90f65d1f40228b0648940b7")
    split = split_by_rule(dataset, rule=rule, seed=3)
    assert split.split_hash.startswith(rows)
    fingerprint = split.fingerprint(masking="train+valid", metric="ndcg@10")
    assert fingerprint.startswith(protocol)
