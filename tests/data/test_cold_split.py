"""Cold splits: what is hidden is not trained on, however the rows are written."""

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

from llmgnn_jax.data.cold_start import ColdRule
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.filters import filter_interactions
from llmgnn_jax.data.splits import Split, split_by_rule, split_cold
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError

RULES: tuple[ColdRule, ...] = ("cold_items", "cold_users", "cold_both")
PARTS = ("valid", "test")


def plain(**options: Any) -> Dataset:
    """60 users, 40 items, 900 interactions; two of the items are in none of them."""
    dataset = synthetic(reviews=True, **options)
    keep = np.flatnonzero(dataset.items >= 2)
    return dataset.taken(rows=keep, users=np.arange(60), items=np.arange(40))


def turned(dataset: Dataset, seed: int) -> Dataset:
    """The same in another order, users and items numbered otherwise."""
    rng = np.random.default_rng(seed)
    return dataset.taken(
        rows=rng.permutation(dataset.num_interactions),
        users=rng.permutation(dataset.num_users),
        items=rng.permutation(dataset.num_items),
    )


def fingerprint(split: Split) -> str:
    return split.fingerprint(masking="train+valid", metric="ndcg@10")


def hidden(split: Split, side: str) -> list[set[str]]:
    """The external ids that valid and test hide."""
    ids = split.dataset.item_ids if side == "items" else split.dataset.user_ids
    masks = (getattr(split, f"cold_{side}")(part) for part in PARTS)
    return [{ids[i] for i in np.flatnonzero(mask)} for mask in masks]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "options", [{}, {"share": 0.3, "valid_share": 0.0}, {"folds": 4, "fold": 3}]
)
def test_what_is_hidden_is_not_trained_on(
    rule: ColdRule, options: dict[str, Any]
) -> None:
    dataset = plain()
    split = split_cold(dataset, rule=rule, seed=0, **options)
    rows = np.concatenate([split.train, split.valid, split.test])
    assert sorted(rows.tolist()) == list(range(dataset.num_interactions))
    train, parts = split.training(), [split.valid, split.test]
    of = {
        side: [
            getattr(dataset, side)[part]
            for part in (split.train, split.valid, split.test)
        ]
        for side in ("items", "users")
    }
    sides = [
        side for side in ("items", "users") if rule in (f"cold_{side}", "cold_both")
    ]
    for side in ("items", "users"):
        valid, test = (getattr(split, f"cold_{side}")(part) for part in PARTS)
        if side not in sides:
            assert not (valid | test).any()
            continue
        assert not (valid & test).any()
        assert not (valid | test)[of[side][0]].any()
        assert not (valid | test)[getattr(train, side)].any()
        # What is tuned on valid has never met what is tested.
        assert not test[of[side][1]].any()
        assert not test.flags.writeable
    # Each row of a part is with something that the part hides.
    for part, rows in zip(PARTS, parts, strict=True):
        with_hidden = np.zeros(len(rows), bool)
        for side in sides:
            mask = getattr(split, f"cold_{side}")(part)
            with_hidden |= mask[getattr(dataset, side)[rows]]
        assert with_hidden.all()
    assert len(split.test)
    assert bool(len(split.valid)) == (options.get("valid_share") != 0)


def test_how_many_are_hidden() -> None:
    dataset = plain()  # 38 items and 60 users with interactions
    for share, valid_share, sizes in (
        (0.1, 0.1, (4, 4)),
        (0.25, 0.1, (10, 4)),
        (0.001, 0.0, (1, 0)),
        (0.5, 0.001, (19, 1)),
    ):
        split = split_cold(dataset, seed=0, share=share, valid_share=valid_share)
        masks = [split.cold_items(part) for part in ("test", "valid")]
        assert tuple(int(mask.sum()) for mask in masks) == sizes
    both = split_cold(dataset, rule="cold_both", seed=0)
    assert int(both.cold_users("test").sum()) == 6
    assert int(both.cold_items("test").sum()) == 4
    # One side's draw does not hang on whether the other is drawn too.
    for side in ("items", "users"):
        alone = split_cold(dataset, rule=f"cold_{side}", seed=0)  # type: ignore[arg-type]
        assert hidden(alone, side) == hidden(both, side)


def test_an_item_without_words_or_interactions_is_not_hidden() -> None:
    texts = [text if n % 2 else " " for n, text in enumerate(plain().item_texts)]
    dataset = dataclasses.replace(plain(), item_texts=tuple(texts))
    found: set[str] = set()
    for fold in range(3):
        split = split_cold(dataset, seed=1, folds=3, fold=fold)
        assert not found & hidden(split, "items")[1]
        found |= hidden(split, "items")[1]
    assert found == {f"i{n}" for n in range(3, 40, 2)}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("folds", [2, 5, 7])
def test_each_is_tested_exactly_once_over_the_folds(rule: ColdRule, folds: int) -> None:
    dataset = plain()
    splits = [
        split_cold(dataset, rule=rule, seed=0, folds=folds, fold=fold)
        for fold in range(folds)
    ]
    met = {"items": np.bincount(dataset.items) > 0, "users": np.ones(60, bool)}
    for side in ("items", "users"):
        masks = np.stack([getattr(s, f"cold_{side}")("test") for s in splits])
        wanted = met[side] if rule in (f"cold_{side}", "cold_both") else 0 * met[side]
        np.testing.assert_array_equal(masks.sum(axis=0), wanted)
        sizes = masks.sum(axis=1)
        assert sizes.max() - sizes.min() <= 1
    assert len({split.split_hash for split in splits}) == folds
    other = split_cold(dataset, rule=rule, seed=1, folds=folds)
    assert other.split_hash != splits[0].split_hash


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("options", [{}, {"folds": 3, "fold": 1}])
def test_order_and_numbering_do_not_matter(
    rule: ColdRule, options: dict[str, Any]
) -> None:
    split = split_cold(plain(), rule=rule, seed=2, **options)
    other = split_cold(turned(plain(), 7), rule=rule, seed=2, **options)
    for side in ("items", "users"):
        assert hidden(other, side) == hidden(split, side)
    assert other.split_hash == split.split_hash
    assert fingerprint(other) == fingerprint(split)


def test_what_changes_the_split_hash_and_the_fingerprint() -> None:
    dataset = plain()
    split = split_cold(dataset, seed=0)
    others = (
        split_cold(dataset, rule="cold_users", seed=0),
        split_cold(dataset, rule="cold_both", seed=0),
        split_cold(dataset, seed=0, share=0.2),
        # Rounded to as many items: the same rows, another protocol.
        split_cold(dataset, seed=0, share=0.101),
        split_cold(dataset, seed=0, valid_share=0.101),
        split_cold(dataset, seed=0, folds=10),
        split_cold(dataset, seed=0, warm_share=0.1),
        split_cold(filter_interactions(dataset, min_value=2), seed=0),
    )
    assert len({one.split_hash for one in (split, *others)}) == 1 + len(others)
    assert len({fingerprint(one) for one in (split, *others)}) == 1 + len(others)
    redrawn = split_cold(dataset, seed=1)
    assert redrawn.split_hash != split.split_hash
    assert fingerprint(redrawn) == fingerprint(split)
    # So may folds be averaged; fold 1 of two items, say, is not fold 0 of them.
    folds = [split_cold(dataset, seed=0, folds=10, fold=fold) for fold in (0, 1)]
    assert folds[0].split_hash != folds[1].split_hash
    assert fingerprint(folds[0]) == fingerprint(folds[1])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("valid_share", [0.1, 0.0])
def test_some_of_the_rest_is_held_out_too(rule: ColdRule, valid_share: float) -> None:
    dataset = plain()
    split = split_cold(
        dataset, rule=rule, seed=0, valid_share=valid_share, warm_share=0.2
    )
    bare = split_cold(dataset, rule=rule, seed=0, valid_share=valid_share)
    for part in PARTS:  # What is hidden is the same, and none of it is trained on.
        assert set(getattr(bare, part)) <= set(getattr(split, part))
        for side in ("items", "users"):
            mask = getattr(split, f"cold_{side}")(part)
            np.testing.assert_array_equal(mask, getattr(bare, f"cold_{side}")(part))
            assert not mask[getattr(dataset, side)[split.train]].any()
    share = len(split.train) / len(bare.train)
    assert share == pytest.approx(0.6 if valid_share else 0.8, abs=0.08)
    # As RecBole rounds: of each user that is left some are tested, and some validated.
    totals = np.bincount(dataset.users[bare.train], minlength=dataset.num_users)
    for part in PARTS if valid_share else ("test",):
        warm = np.setdiff1d(getattr(split, part), getattr(bare, part))
        counts = np.bincount(dataset.users[warm], minlength=dataset.num_users)
        np.testing.assert_array_equal(
            counts[totals >= 5], (0.2 * totals[totals >= 5]).astype(int)
        )
    again = split_cold(
        turned(dataset, 3), rule=rule, seed=0, valid_share=valid_share, warm_share=0.2
    )
    assert again.split_hash == split.split_hash
    assert " warm 0.2" in split.name


@pytest.mark.parametrize(
    ("rule", "options", "expected"),
    [
        ("cold_items", {}, "4154a354af5aab1fd2a4d16a"),
        ("cold_users", {}, "ac3c4452e0f89b1af025d380"),
        ("cold_both", {"folds": 5, "fold": 2}, "ae3b65e27466c249da03a190"),
    ],
)
def test_draws_are_the_same_everywhere(
    rule: str, options: dict[str, int], expected: str
) -> None:
    """A change here breaks the comparison with every published number."""
    split = split_by_rule(synthetic(), rule=rule, seed=0, **options)
    assert split.split_hash.startswith(expected)


def test_a_split_that_was_tampered_with() -> None:
    dataset = plain()
    split = split_cold(dataset, seed=0)
    assert split.cold is not None
    # An item that nobody met, said to be hidden: the same rows, another hash.
    more = split.cold_items("test").copy()
    more[0] = True
    changed = dataclasses.replace(
        split, cold=dataclasses.replace(split.cold, test_items=more)
    )
    np.testing.assert_array_equal(changed.test, split.test)
    assert changed.split_hash != split.split_hash
    # A cold item's row trained on.
    with pytest.raises(
        UserError, match="split: test: expected all interactions of what"
    ):
        dataclasses.replace(
            split, train=np.append(split.train, split.test[0]), test=split.test[1:]
        )
    for changes, said in (
        ({"valid_items": split.cold.test_items}, "cold items: expected none hidden by"),
        ({"test_users": np.ones(3, bool)}, r"test_users: expected shape \(60,\)"),
        ({"test_users": np.zeros(60)}, "test_users: expected booleans"),
        (
            {"valid_users": np.arange(60) == 0},
            "split: valid: expected all interactions",
        ),
    ):
        with pytest.raises(UserError, match=said):
            dataclasses.replace(split, cold=dataclasses.replace(split.cold, **changes))


MARKER = "zyxmarker"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("part", PARTS)
def test_a_held_out_review_does_not_reach_training(rule: ColdRule, part: str) -> None:
    dataset = plain()
    held = getattr(split_cold(dataset, rule=rule, seed=0), part)
    assert dataset.interaction_texts is not None
    texts = list(dataset.interaction_texts)
    for row in held:
        texts[row] = f"{MARKER} {texts[row]}"
    marked = dataclasses.replace(dataset, interaction_texts=tuple(texts))
    split = split_cold(marked, rule=rule, seed=0)
    np.testing.assert_array_equal(getattr(split, part), held)
    train = split.training()
    assert not any(MARKER in text for text in train.item_texts)
    assert MARKER.encode() not in pickle.dumps(train)
    # Cold items have catalogue text alone.
    for item in np.flatnonzero(split.cold_items("valid") | split.cold_items("test")):
        assert train.item_texts[item] == dataset.item_texts[item]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"share": 0.0}, "split.cold_share: expected a share between 0 and 1, got 0.0"),
        ({"share": 1.0}, "split.cold_share: expected a share between 0 and 1, got 1.0"),
        (
            {"share": float("nan")},
            "split.cold_share: expected a share between 0 and 1, got nan",
        ),
        (
            {"valid_share": -0.1},
            "split.valid_share: expected a share from 0 on that leaves something to "
            "train on beside the 0.1 of test, got -0.1",
        ),
        (
            {"share": 0.7, "valid_share": 0.3},
            "split.valid_share: expected a share from 0 on that leaves something to "
            "train on beside the 0.7 of test, got 0.3",
        ),
        (
            {"folds": 2, "valid_share": 0.5},
            "split.valid_share: expected a share from 0 on that leaves something to "
            "train on beside the 0.5 of test, got 0.5",
        ),
        (
            {"folds": 1},
            "split.folds: expected 2 or more, or 0 for a random share, got 1",
        ),
        ({"folds": -1}, "split.folds: expected 2 or more, or 0 for a random share"),
        ({"folds": 5, "fold": 5}, "split.fold: expected 0 to 4, got 5"),
        ({"folds": 5, "fold": -1}, "split.fold: expected 0 to 4, got -1"),
        ({"warm_share": -0.1}, r"split.warm_share: expected a share in [0, 0.5), got"),
        (
            {"warm_share": float("nan")},
            "split.warm_share: expected a share in [0, 0.5), got nan",
        ),
        ({"fold": 1}, "split.fold: expected 0 where there are no folds, got 1"),
        (
            {"folds": 100},
            "split.rule 'cold_items': expected enough items to hide some for test and "
            "others for valid, got 38 with a text and interactions; use another rule",
        ),
        (
            {"rule": "cold_item"},
            "split.rule: expected one of cold_items, cold_users, cold_both, got "
            "'cold_item'; did you mean 'cold_items'?",
        ),
    ],
)
def test_what_it_refuses(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        split_cold(plain(), seed=0, **options)
    assert str(caught.value).startswith(said)


def test_too_little_to_hide_or_to_train_on() -> None:
    dataset = plain()
    wordless = dataclasses.replace(dataset, item_texts=("",) * 40)
    with pytest.raises(UserError, match=r"enough items .* got 0 with a text and inter"):
        split_cold(wordless, seed=0)
    assert len(split_cold(wordless, rule="cold_users", seed=0).test)
    two = dataset.taken(
        rows=np.flatnonzero(dataset.items < 4), users=np.arange(60), items=np.arange(4)
    )
    with pytest.raises(
        UserError, match=rf"left to train on, got none of {two.num_interactions}; lower"
    ):
        split_cold(two, seed=0)


def test_by_name_and_in_words() -> None:
    dataset = plain()
    split = split_by_rule(
        dataset, rule="cold_users", seed=4, cold_share=0.2, valid_share=0.05
    )
    assert split.name == "cold_users 0.2 valid 0.05, seed 4"
    assert (split.rule, split.seed, split.valid_share) == ("cold_users", 4, 0.05)
    split = split_by_rule(dataset, rule="cold_both", seed=0, folds=5, fold=2)
    assert split.name == "cold_both fold 2 of 5 valid 0.1, seed 0"
    assert split.split_hash == (
        split_cold(dataset, rule="cold_both", seed=0, folds=5, fold=2).split_hash
    )
    # The other rules hide nothing, whatever is said of shares and folds.
    other = split_by_rule(dataset, rule="random", seed=0, cold_share=0.5, fold=9)
    assert other.split_hash == split_by_rule(dataset, rule="random", seed=0).split_hash
    assert not other.cold_items("test").any()
    assert not other.cold_users("valid").any()
