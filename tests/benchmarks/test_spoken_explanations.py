"""The benchmark of explanations in words, with a decoder that copies its example."""

import pytest

from benchmarks.planted import KINDS, planted
from benchmarks.spoken_explanations import (
    cited_entities,
    frame,
    markdown,
    measured,
    pairs,
)
from llmgnn_jax.evidence.explanation import Entity, Evidence, EvidenceEdge
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.speaking.narrator import Told
from llmgnn_jax.text.generation.chat import chat_format
from llmgnn_jax.text.generation.generated import Generated

pytestmark = pytest.mark.usefixtures("workplace")


class Copier:
    """Does as the example shows, with the names and the number of the question."""

    def chat(self, turns):
        return chat_format(lambda token: token.startswith("<|im_")).prompt(turns)

    def generate(self, prompts, *, max_new_tokens, options, seed):
        return [
            Generated(text=_said(one), ids=(), finished="stop", log_probability=0.0)
            for one in prompts
        ]


def _said(prompt):
    asked = [one for one in prompt.pieces if isinstance(one, str)][-3]
    lines = asked.splitlines()[1:]
    if len(lines) < 3:
        # Of what others had the question is the answer.
        return lines[0]
    name, item = lines[0].split('"')[1], lines[1].split('"')[1]
    count = lines[1].rpartition(" ")[2].strip(".")
    return f'This user had "{name}", and {count} people who had it also had "{item}".'


@pytest.fixture
def recommender(finished_run):
    return Recommender.load(finished_run)


def test_measured(recommender):
    found = measured(
        recommender, Copier(), count=12, tries=2, plants=len(KINDS) * 2, seed=0
    )
    assert found["explanations"] == 12
    assert found["cited"]["in_evidence"] == 1.0
    assert found["cited"]["entities"] > 0
    shares = found["accepted"]["any_try"], found["by_template"]
    assert sum(shares) == pytest.approx(1)
    assert found["accepted"]["first_try"] <= shares[0]
    assert found["templates"]["accepted"] >= 0.95, found["templates"]
    # It copies the first of the examples, where the second reason is shown another.
    assert 0 < found["as_examples"]["share"] < 1
    assert found["planted"]["found"] == 1.0, found["planted"]["missed"]
    document = {**found, "words": "x", "tries": 2}
    assert "| planted into" in markdown(document)


def test_frame():
    told = 'This user had "Heat (1995)" [1], and 12 people had "Alien" too.'
    other = 'This user had "Se7en", and 340 people had "Fargo (1996)" too.'
    assert frame(told) == frame(other) != frame(told.replace(" too", ""))


def test_pairs_are_of_different_places(recommender):
    chosen = pairs(recommender, count=70, seed=0)
    assert len(chosen) == len(set(chosen)) == 70
    users = [user for user, _ in chosen]
    assert len(set(users)) == min(len(recommender.user_ids), 70)


def test_what_is_cited_is_looked_up():
    user = Entity(kind="user", slot=0, id="u")
    item = Entity(kind="item", slot=1, id="i", name="Heat (1995)")
    edge = EvidenceEdge(
        number=1, head=user, tail=item, relation="interaction", attribution=1.0
    )
    evidence = Evidence(
        user=user,
        item=Entity(kind="item", slot=2, id="j", name="Fargo (1996)"),
        score=1.0,
        score_without_edges=0.0,
        edges=(edge,),
        other_edges=0.0,
        text=None,
        paths=(),
    )
    told = Told(
        text='"Heat (1995)" [1], "Alien (1979)" [1] and [2]',
        cited=(1, 2),
        used="decoder",
    )
    assert list(cited_entities(evidence, told)) == [
        ("[1]", True),
        ("[2]", False),
        ("Heat (1995)", True),
        ("Alien (1979)", False),
    ]


def test_planted_is_seeded_and_false():
    arguments = {
        "titles": ["Heat (1995)", "Alien (1979)"],
        "genres": ["Drama", "War"],
        "count": 60,
    }
    sentences = ['This user had "Heat (1995)", and 12 people had both.']
    made = planted(sentences, **arguments, seed=3)
    assert made == planted(sentences, **arguments, seed=3)
    assert made != planted(sentences, **arguments, seed=4)
    assert {one.kind for one in made} == set(KINDS)
    for one in made:
        assert one.words in one.text
        assert one.words not in sentences[0]
        assert one.text != sentences[0]
