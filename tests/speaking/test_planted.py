"""What is planted is found: names, numbers, and words that nothing sets apart."""

import collections

import numpy as np
import pytest

from benchmarks.planted import KINDS, planted
from llmgnn_jax import assets
from llmgnn_jax.data import catalog
from llmgnn_jax.evidence.explanation import (
    Entity,
    Evidence,
    EvidenceEdge,
    EvidencePath,
)
from llmgnn_jax.speaking.account import Account
from llmgnn_jax.speaking.checker import Checker
from llmgnn_jax.speaking.names import Names
from llmgnn_jax.speaking.quoting import quoted

# As a decoder writes them.
SENTENCES = (
    'This user had "{a}", and {m} people who had it also had "{t}". This user also had '
    '"{b}", and {n} people who had it had "{t}" too.',
    'Of those who had "{a}" like this user, {m} people had "{t}". This user had "{b}", '
    "and {n} other people had both.",
    'Since this user had "{a}" and "{b}", "{t}" may fit. {m} people had both "{a}" and '
    '"{t}", and {n} people with "{b}" had "{t}" too.',
    'This user had "{a}", as did {m} people with "{t}", and {n} of those who had "{b}" '
    'also had "{t}".',
)


@pytest.fixture(scope="module")
def dataset():
    if assets.where("ml-100k") is None:
        pytest.skip("ml-100k is not in the cache (`llmgnn data fetch ml-100k`)")
    return catalog.load("ml-100k")


@pytest.fixture(scope="module")
def accounts(dataset):
    """Of 100 users: a film, two that they had, and how many had both."""
    draw = np.random.default_rng(0)
    had = [set(dataset.items[dataset.users == u].tolist()) for u in range(100)]
    users_of = [
        set(dataset.users[dataset.items == item].tolist())
        for item in range(dataset.num_items)
    ]
    known = [item for item, users in enumerate(users_of) if len(users) > 30]

    def entity(item):
        title = dataset.item_titles[item]
        return Entity(kind="item", slot=item, id=dataset.item_ids[item], name=title)

    made = []
    for slot, items in enumerate(had):
        user = Entity(kind="user", slot=slot, id=dataset.user_ids[slot])
        target = int(draw.choice([item for item in known if item not in items]))
        edges, paths = [], []
        for item in draw.choice(sorted(items & set(known)), 2, replace=False).tolist():
            people = len((users_of[item] & users_of[target]) - {slot})
            number = len(edges) + 1
            edges.append(
                EvidenceEdge(
                    number=number,
                    head=user,
                    tail=entity(item),
                    relation="interaction",
                    attribution=0.5,
                    weight=4.0,
                )
            )
            paths.append(
                EvidencePath(
                    edges=(number,), kind="liked item", share=0.4, people=people
                )
            )
        evidence = Evidence(
            user=user,
            item=entity(target),
            score=1.0,
            score_without_edges=0.0,
            edges=tuple(edges),
            other_edges=0.0,
            text=None,
            paths=tuple(paths),
        )
        account = Account.of(evidence, highest_rating=5.0)
        # Of whom nobody had both, there is nothing to tell.
        if all(reason.people > 1 for reason in account.reasons):
            made.append(account)
    return made


def test_what_is_planted_is_found(dataset, accounts):
    checker = Checker(Names.of(dataset))
    sentences, of, refused = [], [], []
    for number, account in enumerate(accounts):
        one, other = account.reasons
        text = SENTENCES[number % len(SENTENCES)].format(
            t=quoted(account.evidence.item.name),
            a=quoted(one.entity.name),
            b=quoted(other.entity.name),
            m=one.people,
            n=other.people,
        )
        checked = checker.check(text, account)
        if checked.refusal:
            refused.append((text, checked.refusal))
            continue
        assert checked.cited == (1, 2)
        sentences.append(text)
        of.append(account)
    assert len(refused) <= 0.05 * len(accounts), refused
    genres = sorted({one for row in dataset.item_categorical["genre"] for one in row})
    missed = collections.defaultdict(list)
    made = planted(
        sentences, titles=dataset.item_titles, genres=genres, count=200, seed=1
    )
    for one in made:
        reason = checker.check(one.text, of[one.source]).refusal
        if not reason:
            missed[one.kind].append((one.words, one.text))
    assert set(one.kind for one in made) == set(KINDS)
    assert not missed, dict(missed)
