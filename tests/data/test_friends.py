"""People as items: what is promised, how friendships are split."""

import dataclasses

import numpy as np
import pytest

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.filters import filter_interactions
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.splits import Split, split_by_rule, split_random
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.data.targets import with_target
from llmgnn_jax.errors import UserError


@pytest.fixture(scope="module")
def social() -> Dataset:
    """The synthetic data, and 400 links between their users."""
    dataset = synthetic()
    ends = np.random.default_rng(0).integers(0, dataset.num_users, (400, 2))
    friends = Relation.merged(
        heads_of="user", tails_of="user", heads=ends[:, 0], tails=ends[:, 1]
    )
    return dataclasses.replace(dataset, relations={"friends": friends})


@pytest.fixture(scope="module")
def friends(social: Dataset) -> Dataset:
    return with_target(social, "friends")


def _codes(dataset: Dataset, rows: np.ndarray) -> set[tuple[int, int]]:
    return set(
        zip(dataset.users[rows].tolist(), dataset.items[rows].tolist(), strict=True)
    )


def test_friends_are_there_in_both_directions(
    social: Dataset, friends: Dataset
) -> None:
    links = social.relations["friends"].num_links
    assert friends.people == "friends"
    assert friends.num_interactions == 2 * links
    pairs = _codes(friends, np.arange(2 * links))
    assert pairs == {(v, u) for u, v in pairs}
    assert friends.entities["content"] == social.item_ids
    assert friends.entity_titles["content"] == social.item_titles
    plays = friends.relations["interactions"]
    assert plays.num_links == len(_codes(social, np.arange(social.num_interactions)))
    assert set(friends.relations) == {"interactions"}


def test_a_friendship_lies_in_one_part_whatever_the_numbering(friends: Dataset) -> None:
    split = split_random(friends, seed=3)
    parts = [
        _codes(friends, getattr(split, name)) for name in ("train", "valid", "test")
    ]
    for part in parts:
        assert part == {(v, u) for u, v in part}
    assert [len(part) // 2 for part in parts[1:]] == [
        int(0.1 * friends.num_interactions / 2)
    ] * 2
    order = np.random.default_rng(1).permutation(friends.num_users)
    rows = np.random.default_rng(2).permutation(friends.num_interactions)
    again = split_random(friends.taken(rows=rows, users=order, items=order), seed=3)
    assert again.split_hash == split.split_hash
    assert split_random(friends, seed=4).split_hash != split.split_hash


def test_nobody_is_recommended_to_themselves(friends: Dataset) -> None:
    split = split_random(friends, seed=0)
    for part in ("valid", "test"):
        users, items = split.seen(part).pairs()
        assert (np.bincount(users[users == items]) == 1).all()
        assert not (np.equal(*split.held_out(part).pairs())).any()


def test_halves_of_a_friendship_are_not_parted(friends: Dataset) -> None:
    split = split_random(friends, seed=0)
    torn = np.append(split.train, split.test[:1])
    with pytest.raises(UserError, match="both directions of a friendship in one part"):
        Split(friends, "random", 0, torn, split.valid, split.test[1:])


@pytest.mark.parametrize("rule", ["leave_last_out", "cold_items", "cold_users"])
def test_rules_that_would_part_them_are_refused(friends: Dataset, rule: str) -> None:
    with pytest.raises(UserError, match="for links between people"):
        split_by_rule(friends, rule=rule, seed=0)


def test_what_people_promise_is_checked(friends: Dataset) -> None:
    for changes, told in (
        ({"item_ids": tuple(reversed(friends.item_ids))}, "the same ids of users"),
        ({"items": friends.users.copy()}, "a link with somebody else"),
        ({"items": np.roll(friends.items, 1)}, "(both directions|somebody else)"),
    ):
        with pytest.raises(UserError, match=told):
            dataclasses.replace(friends, **changes)


def test_a_core_of_people_is_one_of_both_sides(friends: Dataset) -> None:
    core = filter_interactions(friends, min_per_user=3, min_per_item=3)
    assert core.user_ids == core.item_ids
    assert np.bincount(core.users).min() >= 3
    followers = dataclasses.replace(friends, people="followers")
    core = filter_interactions(followers, min_per_item=4)
    assert core.user_ids == core.item_ids
    assert np.bincount(core.items).min() >= 4


def test_groups_become_items() -> None:
    dataset = synthetic()
    members = Relation.merged(
        heads_of="user",
        tails_of="club",
        heads=np.array([0, 1, 1, 5]),
        tails=np.array([0, 0, 1, 1]),
    )
    dataset = dataclasses.replace(
        dataset, entities={"club": ("chess", "go")}, relations={"members": members}
    )
    clubs = with_target(dataset, "members")
    assert clubs.people == "none"
    assert clubs.item_titles == ("chess", "go")
    assert clubs.num_interactions == 4
    assert set(clubs.entities) == {"content"}


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("freinds", "did you mean 'friends'"),
        ("nothing", "expected one of interactions"),
    ],
)
def test_an_unknown_target_is_told(social: Dataset, target: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        with_target(social, target)
