"""Questions about a run, answered from it."""

import json
import re

import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.speaking.abilities import bits_a_character, speaks_chinese
from llmgnn_jax.speaking.answerer import Answerer
from llmgnn_jax.speaking.names import Names, year_of
from llmgnn_jax.text.generation.likelihood import TokenLikelihood

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture(scope="module")
def recommender(finished_run, cache_folder):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
        return Recommender.load(finished_run)


@pytest.fixture(scope="module")
def answerer(recommender):
    return Answerer(recommender, k=3)


@pytest.fixture(scope="module")
def user(recommender):
    return recommender.user_ids[0]


@pytest.fixture(scope="module")
def genre(recommender):
    [column] = recommender.dataset.item_categorical.values()
    return column[10][0]


def check_citations(answer):
    """Each number that is cited is there, and each that is there is cited."""
    cited = {int(one) for one in re.findall(r"\[(\d+)\]", answer.text)}
    assert cited == {one.number for one in answer.citations}


def test_recommended(answerer, recommender, user):
    answer = answerer.ask(f"What would user {user} like and why?")
    assert (answer.known, answer.language, answer.used) == (True, "en", "template")
    head, *reasons = answer.text.split("\n")
    best = recommender.recommend(user=user, k=3)
    assert (
        head == f"For user {user}: " + ", ".join(f'"{one.title}"' for one in best) + "."
    )
    assert len(reasons) == 3
    assert any(one.edge is not None for one in answer.citations)
    check_citations(answer)


def test_as_many_as_are_asked_for(answerer, recommender, user):
    """Whatever the answerer names where a question does not say how many."""
    for question, count in (
        (f"Recommend 5 items to user {user}", 5),
        (f"Which two items would user {user} like?", 2),
        (f"给用户{user}推荐4个物品", 4),
    ):
        answer = answerer.ask(question)
        best = recommender.recommend(user=user, k=count)
        head, *reasons = answer.text.split("\n")
        assert [head.index(one.title) for one in best], head
        assert len(reasons) == count
        check_citations(answer)
    popular = answerer.ask("What are the 7 most popular items?")
    assert popular.text.count('"') == 14
    title = recommender.item_titles[12]
    near = answerer.ask(f'Show me 6 items like "{title}"')
    assert near.text.count('"') == 2 * (6 + 1)
    check_citations(near)
    refused = answerer.ask(f"Recommend 101 items to user {user}")
    assert (refused.text, refused.known) == ("At most 100 are named at once.", False)


def test_of_a_genre(answerer, recommender, user, genre):
    answer = answerer.ask(f"Which {genre} items would user {user} like?")
    [column] = recommender.dataset.item_categorical.values()
    having = [
        one
        for number, one in enumerate(recommender.item_ids)
        if genre in column[number]
    ]
    best = recommender.recommend(user=user, k=3, among=having)
    assert {one.id for one in best} <= set(having)
    titles = ", ".join(f'"{one.title}"' for one in best)
    assert answer.text.startswith(f"Of the {genre} items, for user {user}: {titles}.")
    check_citations(answer)


def test_why_and_facts(answerer, recommender, user):
    best = recommender.recommend(user=user, k=1)[0]
    answer = answerer.ask(f'Why "{best.title}" for user {user}?')
    assert " is number 1 of " in answer.text
    check_citations(answer)
    met = recommender.dataset.items[recommender.dataset.users == 0][0]
    title = recommender.item_titles[int(recommender.train.csr().row(0)[0])]
    assert met >= 0
    why = answerer.ask(f'Why "{title}" for user {user}?')
    assert why.text.startswith(f'User {user} had "{title}"')
    facts = answerer.ask(f'Tell me about "{best.title}"')
    number = recommender.item_ids.index(best.id)
    count = len(set(recommender.train.users[recommender.train.items == number]))
    assert re.search(rf"\b{count} (?:people|person) had it", facts.text)
    check_citations(facts)
    counted = answerer.ask(f'How many people had "{best.title}"?')
    assert counted.text.startswith(f"{count} p")


def test_taste_and_counts(answerer, recommender, user, genre):
    history = recommender.train.csr()
    answer = answerer.ask(f"What does user {user} like?")
    assert f"had {len(history.row(0))} items here" in answer.text
    check_citations(answer)
    [column] = recommender.dataset.item_categorical.values()
    count = sum(genre in one for one in column)
    assert (
        f"There are {count} " in answerer.ask(f"How many {genre} items are there?").text
    )
    assert answerer.ask("How many users are there?").text.startswith(
        f"There are {len(recommender.user_ids)} users"
    )


def test_alike(answerer, recommender):
    title = recommender.item_titles[12]
    answer = answerer.ask(f'What is like "{title}"?')
    check_citations(answer)
    assert len(answer.citations) == 3
    best = recommender.alike(recommender.item_ids[12], k=5)
    assert [one.rank for one in best] == [1, 2, 3, 4, 5]
    assert recommender.item_ids[12] not in {one.id for one in best}
    assert all(1.0001 > one.score >= best[-1].score for one in best)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What would user nobody9 like?", "There is no user 'nobody9' in the data."),
        ("What is like Zorblax?", "Not known here: 'Zorblax'."),
        ("What is the weather today?", "Not known here: 'weather today'."),
        ("Hello?", "Not known here: 'Hello'."),
        ("Why?", "This was not understood. Ask what a user would like"),
        ("What is the weather today?", "Ask what a user would like"),
        ("Tell me about Two Friends", "is the name of several: "),
        ("用户nobody9喜欢什么？", "数据里没有用户'nobody9'。"),
    ],
)
def test_what_is_not_known_is_said(answerer, question, words):
    answer = answerer.ask(question)
    assert (answer.known, answer.citations) == (False, ())
    assert words in answer.text


def test_a_title_of_two_items_is_asked_for_by_id(recommender):
    answerer = Answerer(recommender)
    titles = ("Twins (1988)", "Twins (1988)", *recommender.item_titles[2:])
    answerer.catalogue.item_titles = titles
    answerer.catalogue.names = Names(enumerate(titles))
    one, two = recommender.item_ids[:2]
    asked = answerer.ask("Tell me about Twins")
    assert f'"Twins (1988)" (item {one}), "Twins (1988)" (item {two})' in asked.text
    assert not asked.known
    assert answerer.ask(f"Tell me about item {two}.").known


@pytest.fixture(scope="module")
def rated(recommender):
    """(user, title, rating) of the lowest rating and of the highest."""
    train = recommender.train
    first, last = int(train.values.argmin()), int(train.values.argmax())
    assert train.values[first] < train.values[last]
    return [
        (
            recommender.user_ids[train.users[row]],
            recommender.item_titles[train.items[row]],
            float(train.values[row]),
        )
        for row in (first, last)
    ]


@pytest.mark.parametrize("question", ["Did user {} like {}?", "Has user {} had {}?"])
def test_what_was_had_is_told_with_its_rating(answerer, rated, question):
    """Who asks whether somebody liked what was rated lowest is told that it was."""
    highest = rated[1][2]
    for who, title, rating in rated:
        answer = answerer.ask(question.format(who, f'"{title}"'))
        assert answer.text == (
            f'User {who} had "{title}" and rated it {rating:g}, where the highest is '
            f"{highest:g} [1]."
        )
        check_citations(answer)


def test_what_was_not_had(answerer, recommender, user):
    history = set(recommender.train.csr().row(0).tolist())
    other = next(one for one in range(len(recommender.item_ids)) if one not in history)
    title = recommender.item_titles[other]
    answer = answerer.ask(f'Has user {user} seen "{title}"?')
    assert "did not have" in answer.text
    check_citations(answer)


def test_genres_of_an_item(answerer, recommender):
    [column] = recommender.dataset.item_categorical.values()
    has = column[12][0]
    lacks = next(one for row in column for one in row if one not in column[12])
    title = recommender.item_titles[12]
    for question, words in (
        (f'Is "{title}" {has}?', f'"{title}" is {has} [1].'),
        (f'Is "{title}" {lacks}?', f'The data do not say that "{title}" is {lacks}'),
        (
            f'Is "{title}" {has} or {lacks}?',
            f'"{title}" is {has}, and the data do not say {lacks} [1].',
        ),
    ):
        answer = answerer.ask(question)
        assert answer.text.startswith(words)
        check_citations(answer)


def test_counts_of_several_together(answerer, recommender):
    """Of two genres with an "or" both are counted, of two items the people of both."""
    [column] = recommender.dataset.item_categorical.values()
    one = column[12][0]
    other = next(value for row in column for value in row if value != one)
    either = sum(bool({one, other} & set(row)) for row in column)
    both = sum({one, other} <= set(row) for row in column)
    assert f"There are {either} {one} or {other} items [1]." in (
        answerer.ask(f"How many {one} or {other} items are there?").text
    )
    counted = answerer.ask(f"How many {one} and {other} items are there?").text
    assert re.match(rf"There are {both} {one} \+ {other} items?\b", counted)
    titles = recommender.item_titles
    history = recommender.train.csr().row(0).tolist()
    history = [item for item in history if titles.count(titles[item]) == 1][:2]
    train = recommender.train
    people = set.intersection(
        *(set(train.users[train.items == item].tolist()) for item in history)
    )
    named = " and ".join(f'"{titles[item]}"' for item in history)
    answer = answerer.ask(f"How many people had both {named}?")
    assert re.match(rf"{len(people)} (?:people|person) had all of these: ", answer.text)
    check_citations(answer)


def test_years(answerer, recommender, user):
    """Items are chosen by the year of their titles; one without a year is of none."""
    years = list(map(year_of, recommender.item_titles))
    year = year_of(recommender.recommend(user=user, k=1)[0].title)
    count = sum(one is not None and one < year for one in years)
    answer = answerer.ask(f"How many items from before {year} are there?")
    assert answer.text.startswith(f"There are {count} items of {year - 1} and before")
    answer = answerer.ask(f"Which items of {year} would user {user} like?")
    head = answer.text.split("\n")[0]
    assert head.startswith(f"Of the items of {year}, for user {user}: ")
    named = re.findall(r'"([^"]+)"', head)
    assert named
    assert {year_of(title) for title in named} == {year}
    titles = recommender.item_titles
    title = next(
        one for one in titles if year_of(one) == year and titles.count(one) == 1
    )
    assert answerer.ask(f'Which year is "{title}" from?').text == (
        f'"{title}" is of {year} [1].'
    )


def test_near_names(answerer, recommender):
    title = recommender.item_titles[20].rpartition(" (")[0]
    answer = answerer.ask(f"What is like {title.replace('e', 'ee', 1)}x?")
    assert not answer.known
    assert "Did you mean" in answer.text


def test_nothing_asked(answerer):
    with pytest.raises(UserError, match="question: expected some words, got none"):
        answerer.ask("  ")


class Judged:
    """A decoder that finds each character so likely, and never writes."""

    def __init__(self, bits):
        self.bits = bits

    def log_likelihoods(self, prompts, continuations):
        return [
            TokenLikelihood(total=-0.6931471805599453 * self.bits * len(one), tokens=1)
            for one in continuations
        ]

    def chat(self, turns):
        raise AssertionError("nobody is asked")

    generate = chat


def test_chinese(recommender, user):
    assert bits_a_character(Judged(7.5)) == pytest.approx(7.5)
    assert (speaks_chinese(Judged(3.9)), speaks_chinese(Judged(6.0))) == (True, False)
    answer = Answerer(recommender, generator=Judged(8.0), k=2).ask(
        f"用户{user}会喜欢什么？为什么？"
    )
    assert (answer.language, answer.known, answer.used) == ("zh", True, "template")
    assert answer.text.startswith(f"推荐给用户{user}：《")
    assert answer.text.endswith("（这个语言模型不会说中文，以上由模板写成。）")
    check_citations(answer)
    silent = Answerer(recommender, k=2).ask(f"用户{user}会喜欢什么？为什么？")
    assert "语言模型" not in silent.text


def test_command(finished_run, llmgnn, refused, user):
    question = f"What would user {user} like and why?"
    code, out, err = llmgnn("ask", finished_run, question, "--words", "none")
    assert code == 0, err
    assert out.startswith(f"For user {user}: ")
    assert "\n[1] " in out
    code, out, err = llmgnn(
        "ask", finished_run, question, "--words", "none", "--k", 2, "--json"
    )
    assert code == 0, err
    document = json.loads(out)
    assert (document["known"], document["used"]) == (True, "template")
    assert document["understood"]["kind"] == "recommend"
    # Before a decoder is looked for.
    assert refused("ask", finished_run, " ", "--words", "gpt9") == (
        "question: expected some words, got none"
    )
    assert "--words none" in refused("ask", finished_run, question, "--words", "gpt9")
    assert refused(
        "ask", finished_run, question, "--words", "gpt9", "--k", 0
    ).startswith("k: expected a number from 1 to 100")


def test_explain_in_words(finished_run, llmgnn, user):
    arguments = ("explain", finished_run, "--user", user, "--item", "i12")
    code, out, err = llmgnn(*arguments, "--words", "none", "--json")
    assert code == 0, err
    words = json.loads(out)["words"]
    assert words["used"] == "template"
    assert all(f"[{one}]" in words["text"] for one in words["cited"])
