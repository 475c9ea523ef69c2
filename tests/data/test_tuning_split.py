"""What tuning sees of a split: all of train and valid, and nothing of test."""

import dataclasses
import pickle

import numpy as np
import pytest

from llmgnn_jax.config.held_out import SplitRule
from llmgnn_jax.data.splits import (
    NoTestPart,
    Split,
    TuningSplit,
    split_by_rule,
)
from llmgnn_jax.data.synthetic import synthetic

RULES: tuple[SplitRule, ...] = (
    *("random", "leave_last_out", "temporal", "published"),
    *("cold_items", "cold_users", "cold_both"),
)


def split_of(rule: SplitRule) -> Split:
    dataset = synthetic(reviews=True)
    published = np.arange(dataset.num_interactions) % 5 == 0
    dataset = dataclasses.replace(dataset, published_test=published)
    return split_by_rule(dataset, rule=rule, seed=3, warm_share=0.1)


@pytest.mark.parametrize("rule", RULES)
def test_train_and_valid_are_as_they_were(rule: SplitRule) -> None:
    whole = split_of(rule)
    cut = whole.without_test()
    assert isinstance(cut, TuningSplit)
    assert (cut.name, cut.valid_share) == (whole.name, whole.valid_share)
    assert cut.dataset.num_interactions == len(whole.train) + len(whole.valid)
    assert cut.dataset.item_ids == whole.dataset.item_ids
    assert cut.dataset.user_ids == whole.dataset.user_ids
    before, after = whole.training(), cut.training()
    for field in dataclasses.fields(before):
        if field.name != "relations":
            values = (getattr(one, field.name) for one in (before, after))
            np.testing.assert_array_equal(*values)
    assert before.relations.keys() == after.relations.keys() != set()
    for name, relation in before.relations.items():
        np.testing.assert_array_equal(relation.heads, after.relations[name].heads)
        np.testing.assert_array_equal(relation.tails, after.relations[name].tails)
    for csr in (lambda split: split.seen("valid"), lambda s: s.held_out("valid")):
        for name in ("indptr", "indices"):
            np.testing.assert_array_equal(
                getattr(csr(cut), name), getattr(csr(whole), name)
            )
    for mask in ("cold_items", "cold_users"):
        np.testing.assert_array_equal(
            getattr(cut, mask)("valid"), getattr(whole, mask)("valid")
        )


@pytest.mark.parametrize("rule", RULES)
def test_to_ask_for_test_is_refused(rule: SplitRule) -> None:
    cut = split_of(rule).without_test()
    assert not len(cut.test)
    for asked in (cut.held_out, cut.seen):
        with pytest.raises(NoTestPart, match="read once, at the end"):
            asked("test")
    with pytest.raises(ValueError, match="has test interactions"):
        TuningSplit(**vars(split_of(rule)))


def test_no_byte_of_a_test_interaction_is_left() -> None:
    whole = split_of("random")
    marked = list(whole.dataset.interaction_texts or ())
    for part in ("train", "valid", "test"):
        for row in getattr(whole, part):
            marked[row] = f"{part}marker"
    dataset = dataclasses.replace(whole.dataset, interaction_texts=tuple(marked))
    values = np.array(dataset.values)
    values[whole.test] = 12_345.678
    dataset = dataclasses.replace(dataset, values=values)
    whole = dataclasses.replace(whole, dataset=dataset)
    assert dataset.canonical_order.any()  # What is cached must not go along either.
    found = pickle.dumps(whole.without_test())
    assert b"trainmarker" in found
    assert b"validmarker" in found
    assert b"testmarker" not in found
    assert np.float32(12_345.678).tobytes() not in found
    assert np.float32(12_345.678).tobytes() in pickle.dumps(whole)
