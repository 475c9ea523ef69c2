"""What a part of a split asks: cold among cold, warm among warm, and all together."""

import numpy as np
import pytest

from llmgnn_jax.data.splits import split_by_rule
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.evaluation.question import kinds, question_of

PARTS = ("valid", "test")


@pytest.mark.parametrize("part", PARTS)
def test_other_rules_rank_all_items(part) -> None:
    split = split_by_rule(synthetic(), rule="random", seed=0)
    question = question_of(split, part)
    assert question.candidates is None
    assert question.positives.nnz == split.held_out(part).nnz
    assert kinds(question, split, part) == {}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("warm_share", [0.0, 0.1])
@pytest.mark.parametrize("rule", ["cold_items", "cold_users", "cold_both"])
def test_what_is_ranked_is_what_can_be_found(rule, warm_share, part) -> None:
    split = split_by_rule(
        synthetic(), rule=rule, seed=0, cold_share=0.2, warm_share=warm_share
    )
    cold, other = (
        split.cold_items(part),
        split.cold_items("test" if part == "valid" else "valid"),
    )
    trained = ~(cold | other)
    question = question_of(split, part)
    among = question.candidates
    if among is None:
        among = np.ones(len(cold), bool)
    expected = {
        "cold_items": cold if not warm_share else cold | trained,
        "cold_users": trained,
        "cold_both": cold | trained,
    }[rule]
    np.testing.assert_array_equal(among, expected)
    assert among[question.positives.indices].all()

    found = kinds(question, split, part)
    names = {
        ("cold_items", 0.0): set(),
        ("cold_users", 0.0): set(),
        ("cold_items", 0.1): {"warm", "cold items"},
        ("cold_users", 0.1): {"warm", "cold users"},
        ("cold_both", 0.0): {"cold items", "cold users", "cold users and items"},
        ("cold_both", 0.1): {
            *("warm", "cold items", "cold users", "cold users and items"),
        },
    }[rule, warm_share]
    # A fifth of a fifth may be nothing at all.
    assert set(found) - {"cold users and items"} == names - {"cold users and items"}
    if found:  # Each pair is of one kind.
        total = sum(one.positives.nnz for one in found.values())
        assert total == question.positives.nnz
    # Nothing else is left out than what the other part hides.
    users, items = split.held_out(part).difference(question.positives).pairs()
    other_users = split.cold_users("test" if part == "valid" else "valid")
    assert (other[items] | other_users[users]).all()
    users, items = question.positives.pairs()
    assert not (other[items] | other_users[users]).any()
    cold_users = split.cold_users(part)
    for name, one in found.items():
        users, items = one.positives.pairs()
        assert (cold_users[users] == ("users" in name)).all()
        assert (cold[items] == ("items" in name)).all()
        np.testing.assert_array_equal(
            one.candidates, cold if "items" in name else trained
        )
        assert one.seen is question.seen


@pytest.mark.parametrize("part", PARTS)
def test_new_is_what_no_train_pair_is_with(part) -> None:
    dataset = synthetic(num_items=60, num_interactions=200)
    options = {"seed": 0, "cold_share": 0.2, "warm_share": 0.2}
    split = split_by_rule(dataset, rule="cold_items", **options)
    question = question_of(split, part)
    in_train = np.isin(np.arange(60), dataset.items[split.train])
    # What the other part hides is no candidate, and no place is kept for it.
    np.testing.assert_array_equal(question.new, question.candidates & ~in_train)
    other = split.cold_items("test" if part == "valid" else "valid")
    assert other.any()
    assert not (question.new & other).any()
    # More than those that the part hides: some were had in other parts alone.
    assert (question.new & ~split.hidden_items()).any()
    assert (question.new | ~split.cold_items(part)).all()
    for rule in ("random", "cold_users"):
        assert question_of(split_by_rule(dataset, rule=rule, seed=0), part).new is None
