"""What questions are taken for."""

from pathlib import Path

import pytest

from llmgnn_jax.speaking import grammar, grammar_zh
from llmgnn_jax.speaking.names import Names
from llmgnn_jax.speaking.question import KINDS, understand

USERS = {"196", "12", "alice"}
TABLE = [
    tuple(line.split(" => "))
    for line in Path(__file__).with_name("questions.txt").read_text("utf-8").split("\n")
    if line and not line.startswith("#")
]


@pytest.fixture
def asked(names, titles):
    ids = {str(number + 1): number for number in range(len(titles))}

    def ask(text):
        return understand(
            text, names=names, user_ids=USERS, item_numbers=ids, fields={"genre"}
        )

    return ask


def told(question):
    """A question as the table has it."""
    if question.unknown:
        return f"not known: {', '.join(question.unknown)}"
    if question.kind == "unknown":
        return "not understood"
    said = [question.kind]
    if question.number is not None:
        said.append(f"number={question.number}")
    if question.user is not None:
        said.append(f"user={question.user}")
    if question.items:
        said.append(f"items={','.join(map(str, question.items))}")
    if question.alternatives:
        each = ("+".join(one.value for one in both) for both in question.alternatives)
        said.append(f"values={'/'.join(each)}")
    if question.years is not None:
        first, last = ("" if one is None else one for one in question.years)
        said.append(f"years={first}..{last}")
    if question.kind == "count" and question.of_people:
        said.append("people")
    return " ".join(said)


def test_a_number_beyond_all_bounds_is_no_count(asked):
    digits = "9" * 400
    question = asked(f"Recommend {digits} films to user 196")
    assert told(question) == f"not known: {digits}"


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_questions(asked, text, expected):
    question = asked(text)
    assert (question.unknown_user, question.other_user) == ("", "")
    assert question.several == ()
    assert told(question) == expected
    assert question.language == ("en" if text.isascii() else "zh")


def test_the_table_has_all_kinds_of_both_languages():
    for chinese in (False, True):
        kinds = {
            expected.split()[0]
            for text, expected in TABLE
            if text.isascii() != chinese and not expected.startswith("not")
        }
        assert kinds == set(KINDS) - {"unknown"}


def test_reasons(asked):
    assert asked("What would user 196 like, and why?").why
    assert asked("用户196会喜欢什么？为什么？").why
    assert not asked("What would user 196 like?").why


@pytest.mark.parametrize("word", ["slowly", "Zorblax", "7", "because", "than"])
def test_no_further_word_is_ignored(asked, word):
    """Wherever it stands, no question is answered as if it were not there."""
    for text, expected in TABLE:
        if expected.startswith("not") or not text.isascii() or '"' in text:
            continue
        words = text.rstrip("?.!").split()
        question = asked(" ".join([*words, word]))
        assert question.kind == "unknown", question.text
        middle = asked(" ".join([words[0], word, *words[1:]]))
        assert (
            middle.kind == "unknown"
            or middle.unknown_user
            or (word == "7" and middle.number == 7)
        ), middle.text


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("What would user 99999 like?", "99999"),
        ("What would user bob7 like?", "bob7"),
        ("用户777喜欢什么？", "777"),
        ("What would user 196 and user 888 like?", "888"),
    ],
)
def test_users_who_are_not_there(asked, text, user):
    question = asked(text)
    assert (question.unknown, question.unknown_user) == ((), user)


def test_a_name_of_several(asked):
    assert asked("Tell me about Sabrina").several == (("Sabrina", (6, 7)),)
    assert asked("Tell me about Sabrina (1954)").items == (7,)


@pytest.mark.parametrize(
    ("text", "items", "several"),
    [
        ("Tell me about 187 (1997)", (1,), ()),
        ("Tell me about the film 187 (1997)", (1,), ()),
        ("Tell me about item 187", (0,), ()),
        ("Tell me about film 187", (), (("film 187", (0, 1)),)),
        ("Tell me about film 12", (1,), ()),
        ("Tell me about 8 1/2 (1963)", (2,), ()),
    ],
)
def test_a_title_that_is_a_number(text, items, several):
    titles = ("Heat (1995)", "187 (1997)", "8 1/2 (1963)")
    question = understand(
        text,
        names=Names(enumerate(titles)),
        user_ids=USERS,
        item_numbers={"187": 0, "12": 1},
        fields=(),
    )
    assert (question.kind, question.items) == ("facts", items)
    assert question.several == several


@pytest.mark.parametrize(
    ("text", "kind", "items", "several"),
    [
        ("What is like Fargo?", "facts", (), (("like Fargo", (0, 1)),)),
        ("What is Like Fargo?", "facts", (1,), ()),
        ('What is like "Fargo"?', "alike", (0,), ()),
        ("What is like Heat?", "alike", (3,), ()),
        ("Tell me about the Net", "facts", (2,), ()),
        ("Tell me about the Fear", "facts", (5,), ()),
    ],
)
def test_a_title_with_words_of_questions(text, kind, items, several):
    """It answers none in the place of the item that is meant."""
    titles = ("Fargo (1996)", "Like Fargo (2020)", "Net, The (1995)", "Heat (1995)")
    titles += ("Fear (1996)", "Fear, The (1995)")
    question = understand(
        text,
        names=Names(enumerate(titles)),
        user_ids=USERS,
        item_numbers={},
        fields=(),
    )
    assert (question.kind, question.items) == (kind, items)
    assert question.several == several


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("What does user 196 like, and what does user 12 like?", "12"),
        ("用户196和用户12都喜欢什么？", "12"),
        ("What does user 196 like, and why does user 196 like it?", ""),
    ],
)
def test_one_user_at_a_time(asked, text, other):
    question = asked(text)
    assert (question.user, question.unknown_user) == ("196", "")
    assert question.other_user == other


def test_long_questions_take_no_longer_than_they_are(asked):
    """Forms have optional parts: a search through all their choices would not end."""
    many = "comedies and dramas or " * 400
    assert asked(f"Which {many} films would user 196 like").kind == "unknown"
    assert asked("tell me " * 2_000).kind == "unknown"
    assert asked("什么" * 2_000).kind == "unknown"


def test_words_of_the_forms_are_no_names():
    assert {"which", "recommend", "would"} <= grammar.WORDS
    assert {"什么", "推荐"} <= grammar_zh.WORDS
    assert not any(word.isupper() for word in grammar.WORDS | grammar_zh.WORDS)
