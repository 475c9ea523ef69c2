"""Explanations in words, as pictures, pages, tables and JSON."""

import dataclasses
import json
import re
from xml.etree import ElementTree

import pytest

from llmgnn_jax.evidence.document import document, listing
from llmgnn_jax.evidence.drawing import drawing
from llmgnn_jax.evidence.explanation import (
    Entity,
    Evidence,
    EvidenceEdge,
    EvidencePath,
    TextOverlap,
)
from llmgnn_jax.evidence.labels import Language, label_of
from llmgnn_jax.evidence.page import page
from llmgnn_jax.evidence.template import path_sentence, sentence

USER = Entity(kind="user", slot=4, id="196")
ITEM = Entity(kind="item", slot=9, id="50", name="Star Wars [99]\x1b[2J (1977)")
LIKED = Entity(kind="item", slot=2, id="7", name="<b>Alien</b> & 外星人")
BUNDLED = Entity(kind="item", slot=3, id="8")
GENRE = Entity(kind="other", slot=1, id="space", name="space", relation_kind="genre")
HOUSE = Entity(kind="other", slot=5, id="", relation_kind="household")
SOMEONE = Entity(kind="user", slot=777, id="")
ANOTHER = Entity(kind="user", slot=888, id="")


def edge(
    number: int,
    head: Entity,
    tail: Entity,
    amount: float,
    relation: str = "interaction",
    weight: float = 1.0,
) -> EvidenceEdge:
    return EvidenceEdge(
        number=number,
        head=head,
        tail=tail,
        relation=relation,
        attribution=amount,
        weight=weight,
        index=number + 40,
    )


@pytest.fixture
def evidence() -> Evidence:
    edges = (
        edge(1, USER, LIKED, 2.0, weight=5.0),
        edge(2, SOMEONE, ITEM, 1.0),
        edge(3, SOMEONE, LIKED, 0.5),
        edge(4, ANOTHER, ITEM, 0.25),
        edge(5, USER, ANOTHER, 0.2, "friends"),
        edge(6, ITEM, GENRE, 0.1, "genre"),
        edge(7, USER, BUNDLED, 0.08),
        edge(8, BUNDLED, ITEM, 0.07, "bought together"),
        edge(9, SOMEONE, HOUSE, -0.06, "lives in"),
    )
    return Evidence(
        user=USER,
        item=ITEM,
        score=8.0,
        score_without_edges=1.5,
        edges=edges,
        other_edges=2.36,
        others_at_item=1.25,
        text=TextOverlap(score=0.8, words=("space", "war"), from_history=True),
        paths=(
            EvidencePath(edges=(1, 2, 3), kind="liked item", share=3.5 / 8, people=12),
            EvidencePath(edges=(4, 5), kind="friend", share=0.45 / 8, people=1),
            EvidencePath(edges=(7, 8), kind="link", share=0.15 / 8),
            EvidencePath(edges=(6,), kind="attribute", share=0.1 / 8),
            EvidencePath(edges=(9,), kind="attribute", share=-0.06 / 8),
            EvidencePath(edges=(), kind="text", share=0.1),
        ),
    )


def test_the_sentences(evidence: Evidence) -> None:
    told = sentence(evidence)
    assert told == (
        "Star Wars (99) (2J (1977) has the score 8.00 for user 196, 1.50 of it without "
        "any edge. User 196 had <b>Alien</b> & 外星人 [1][2][3], and 12 other people "
        "had both (+3.50). 1 of those whom user 196 is linked with is linked with "
        "it [4][5] (+0.45). 8 is linked with it by bought together [7][8] (+0.15). It "
        "belongs to genre space [6] (+0.10). Household 1 leads to it [9] (-0.06). All "
        "other edges together: +2.36, +1.25 of it at the item itself. Of what edges "
        "add, +0.80 is by texts: its text is like those of what user 196 had; words in "
        "common: space, war."
    )
    # Without that last part what is told adds up.
    parts = [float(one) for one in re.findall(r"(?<=\()[+-][\d.]+", told)]
    assert 1.50 + sum(parts) + 2.36 == pytest.approx(8.00)


def test_the_sentences_in_chinese(evidence: Evidence) -> None:
    told = sentence(evidence, language="zh")
    assert told.startswith("《Star Wars (99) (2J (1977)》对用户196的得分是8.00，")
    assert "用户196有过《<b>Alien</b> & 外星人》[1][2][3]，另有12人两者都有过" in told
    assert "共同的词：space、war" in told
    assert " [" not in told
    anonymous = dataclasses.replace(evidence, user=dataclasses.replace(USER, id=""))
    assert "该用户有过" in sentence(anonymous, language="zh")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_only_edges_that_are_there_are_cited(
    evidence: Evidence, language: Language
) -> None:
    cited = set(
        map(int, re.findall(r"\[(\d+)\]", sentence(evidence, language=language)))
    )
    assert cited == set(range(1, 10))


@pytest.mark.parametrize("people", [0, 1, 5])
@pytest.mark.parametrize("kind", ["liked item", "neighbour", "friend"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_path_can_be_told(
    evidence: Evidence, kind: str, people: int, language: Language
) -> None:
    path = EvidencePath(
        edges=(1, 2),
        kind=kind,  # type: ignore[arg-type]
        share=-0.5,
        people=people,
    )
    told = path_sentence(evidence, path, language=language)
    assert "[1][2]" in told
    assert "-4.00" in told
    assert (f"{people} " in told or f"{people}人" in told) == bool(people)
    assert "{" not in told
    assert drawing(dataclasses.replace(evidence, paths=(path,)), language=language)


def test_what_was_met_and_texts_that_are_unlike(evidence: Evidence) -> None:
    met = dataclasses.replace(
        evidence,
        edges=(edge(1, USER, ITEM, 1.0), edge(2, USER, ITEM, 0.5, "wish")),
        text=TextOverlap(score=-0.4, words=(), from_history=False),
    )

    def told(*edges: int, kind: str, share: float = 0.1) -> str:
        path = EvidencePath(edges=edges, kind=kind, share=share)  # type: ignore[arg-type]
        return path_sentence(met, path)

    assert told(1, kind="liked item") == "User 196 had it already [1] (+0.80)."
    assert told(2, kind="link") == "User 196 is linked with it by wish [2] (+0.80)."
    assert told(kind="text", share=-0.05) == (
        "Of what there is without any edge, -0.40 is by texts: its text is unlike what "
        "user 196 says of themselves."
    )
    assert told(kind="text") == (
        "Of what there is without any edge, +0.80 is by texts: its text is like what "
        "user 196 says of themselves."
    )


def test_people_are_told_as_people(evidence: Evidence) -> None:
    """Where one of them is what is explained; and what has a title, by that."""
    person = Entity(kind="item", slot=9, id="50", relation_kind="user")
    artist = Entity(kind="other", slot=3, id="7", name="Muse", relation_kind="content")
    linked = dataclasses.replace(
        evidence,
        item=person,
        edges=(edge(1, USER, artist, 2.0, "plays"), edge(2, SOMEONE, person, 1.0)),
        paths=(
            EvidencePath(edges=(1,), kind="attribute", share=0.25),
            EvidencePath(edges=(2,), kind="neighbour", share=0.125, people=3),
        ),
    )
    assert sentence(linked).startswith(
        "User 50 has the score 8.00 for user 196, 1.50 of it without any edge. Muse "
        "leads to it [1] (+2.00). 3 other people are linked with it [2] (+1.00). "
    )
    assert sentence(linked, language="zh").startswith("用户50对用户196的得分是8.00")
    words = " ".join(ElementTree.fromstring(drawing(linked)).itertext())
    assert "Why user 50 for user 196" in words
    assert "3 linked with it" in words
    assert document(linked)["item"]["kind"] == "user"
    met = EvidencePath(edges=(2,), kind="liked item", share=0.125)
    assert (
        path_sentence(
            dataclasses.replace(
                linked, edges=(linked.edges[0], edge(2, USER, person, 1.0))
            ),
            met,
        )
        == "User 196 is linked with it already [2] (+1.00)."
    )


def test_nobody_else_is_named_anywhere(evidence: Evidence) -> None:
    assert label_of(evidence, SOMEONE) == "another user 1"
    assert label_of(evidence, ANOTHER, "zh") == "另一位用户2"
    assert label_of(evidence, HOUSE) == "household 1"
    shown = dataclasses.replace(SOMEONE, id="42")
    assert label_of(evidence, shown) == "user 42"
    for told in (
        sentence(evidence),
        listing(evidence),
        drawing(evidence),
        page(evidence),
        json.dumps(document(evidence)),
    ):
        # Not even by a number that stays the same from one explanation to the next.
        assert not re.search(r"777|888", told)
    anonymous = dataclasses.replace(evidence, user=dataclasses.replace(USER, id=""))
    assert "196" not in sentence(anonymous) + drawing(anonymous) + listing(anonymous)
    assert "this user" in listing(anonymous)


def test_the_table(evidence: Evidence) -> None:
    lines = listing(evidence).splitlines()
    assert lines[0].startswith("[1]  +2.00  user 196 ")
    assert lines[-3].split() == ["+2.36", "all", "other", "edges"]
    assert lines[-1].split() == ["+8.00", "score"]
    assert "\x1b" not in listing(evidence)


def test_the_table_in_chinese(evidence: Evidence) -> None:
    linked = dataclasses.replace(evidence.edges[0], relation="interaction + friends")
    edges = (linked, *evidence.edges[1:])
    lines = listing(dataclasses.replace(evidence, edges=edges), language="zh")
    assert "交互 + friends (5)" in lines
    assert "interaction" not in lines


def test_a_rating_of_1_is_told_beside_others(evidence: Evidence) -> None:
    rated = [
        dataclasses.replace(evidence.edges[0], number=number, weight=weight)
        for number, weight in ((1, 5.0), (2, 1.0))
    ]
    lines = listing(dataclasses.replace(evidence, edges=tuple(rated))).splitlines()
    assert ["interaction (5)" in lines[0], "interaction (1)" in lines[1]] == [True] * 2
    # Without ratings all weigh 1, which says nothing.
    alike = [dataclasses.replace(one, weight=1.0) for one in rated]
    assert "(1)" not in listing(dataclasses.replace(evidence, edges=tuple(alike)))


def test_the_document(evidence: Evidence) -> None:
    made = json.loads(json.dumps(document(evidence)))
    assert made["user"] == {
        "kind": "user",
        "id": "196",
        "title": "",
        "label": "user 196",
    }
    assert made["edges"][1]["head"]["id"] is None
    assert made["edges"][5]["tail"]["kind"] == "genre"
    total = sum(one["attribution"] for one in made["edges"])
    total += made["other_edges"] + made["score_without_edges"] + made["residual"]
    assert total == pytest.approx(made["score"])
    assert made["paths"][0] == {
        "kind": "liked item",
        "edges": [1, 2, 3],
        "share": 3.5 / 8,
        "people": 12,
    }
    assert made["text"]["part_of"] == "edges"
    bare = document(dataclasses.replace(evidence, text=None))
    assert bare["text"] is None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_picture_is_svg_with_all_that_is_cited(
    evidence: Evidence, language: Language
) -> None:
    root = ElementTree.fromstring(drawing(evidence, language=language))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = " ".join(root.itertext())
    assert {*map(int, re.findall(r"\[(\d+)\]", words))} == set(range(1, 10))
    assert "<b>Alien</b> & 外星人" in words
    assert "12" in words
    assert "+2.00" in words
    # Of what is said already a part is no more.
    assert ("+0.80 of what edges add" if language == "en" else "中的+0.80") in words
    lines = [one for one in root.iter() if one.tag.endswith("path")]
    thick = [
        float(width)
        for one in lines
        for width in re.findall(r"stroke-width:([\d.]+)", one.get("style") or "")
    ]
    assert max(thick) > 3 * min(thick)
    empty = dataclasses.replace(evidence, edges=(), paths=(), text=None)
    assert ElementTree.fromstring(drawing(empty)) is not None


def test_the_page_opens_offline(evidence: Evidence) -> None:
    made = page(evidence)
    assert "default-src 'none'" in made
    assert not re.search(r"(src|href)=", made)
    assert "<b>" not in made
    assert "&lt;b&gt;Alien" in made
    assert "User 196 had" in made
    rows = re.findall(r"<tr>(.*?)</tr>", made)
    amounts = [float(re.findall(r">([+-][\d.]+)<", row)[0]) for row in rows]
    # The last one is the score, which the others sum to.
    assert len(rows) == 9 + 3
    assert sum(amounts[:-1]) == pytest.approx(amounts[-1])
