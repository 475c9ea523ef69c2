"""What the checker lets pass, what it refuses, and what it cites."""

import pytest

from llmgnn_jax.speaking.account import Account
from llmgnn_jax.speaking.checker import Checker
from llmgnn_jax.speaking.narrator import by_template


@pytest.fixture(scope="module")
def checker(names):
    return Checker(names)


@pytest.fixture(scope="module")
def account(evidence):
    """Fargo (1996) by The Godfather (1972) and Alien (1979)."""
    return Account.of(evidence(0, (1, 120, 5.0), (3, 41, 2.0)), highest_rating=5.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'This user had "Godfather, The (1972)", as did 120 people with Fargo, and '
            '"Alien (1979)", as did 41 people.',
            'This user had "Godfather, The (1972)" [1], as did 120 people with Fargo, '
            'and "Alien (1979)" [2], as did 41 people.',
        ),
        (
            "Fargo goes well with The Godfather (1972) and Alien.",
            "Fargo goes well with The Godfather (1972) [1] and Alien [2].",
        ),
        (
            "Since this user enjoyed the Godfather and had Alien [7], Fargo fits.",
            "Since this user enjoyed the Godfather [1] and had Alien [2], Fargo fits.",
        ),
        (
            "Because of The Godfather [3][4] and Alien's charm, Fargo fits well.",
            "Because of The Godfather [1] and Alien's [2] charm, Fargo fits well.",
        ),
        (
            "Two films, The Godfather and Alien, lead to Fargo.",
            "Two films, The Godfather [1] and Alien [2], lead to Fargo.",
        ),
    ],
)
def test_it_cites(checker, account, text, expected):
    checked = checker.check(text, account)
    assert checked.refusal == ""
    assert checked.text == expected
    assert checked.cited == (1, 2)


SOUND = 'This user had "The Godfather" and "Alien", so "Fargo" fits.'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("This user had The Godfather and Alien, and", "unfinished"),
        ("This user had The Godfather. " * 2 + "Alien.", "repeats itself"),
        (SOUND + " Heat fits too.", "names 'Heat'"),
        (SOUND + " So does the Godfather: Part II.", "names 'the Godfather: Part II'"),
        (SOUND + " Aliens too.", "names 'Aliens'"),
        (SOUND + " It is a comedy.", "names 'comedy'"),
        (SOUND + " It is a science fiction film.", "names 'science fiction'"),
        (SOUND + " Moonlit Harbour too.", "names 'Moonlit'"),
        (SOUND + ' It is like "the long road".', "names '\"the long road\"'"),
        (SOUND + " It has Grace Holloway in it.", "names 'Grace'"),
        (SOUND + " 99 people had it.", "tells '99'"),
        (SOUND + " Ninety people had it.", "tells 'Ninety'"),
        (SOUND + " Hundreds of people had it.", "tells 'Hundreds'"),
        (SOUND + " It came out in 1981.", "tells '1981'"),
        (SOUND + " It is of the 1990s.", "tells '1990s'"),
        (SOUND.replace('Godfather"', 'Godfather (1979)"'), "which is not its year"),
        (SOUND + " User 12 had it.", "tells '12'"),
        (SOUND + " It has 4 stars.", "tells '4'"),
        (SOUND + " <|im_start|>", "unfinished"),
        (SOUND + " <|im_end|>.", "markup"),
        (SOUND + " **Fargo**.", "markup"),
        (SOUND + " It is at https://example.org.", "markup"),
        (SOUND + " As an AI, this is all.", "names 'AI'"),
        (SOUND + " Sorry for that.", "names 'Sorry'"),
        (SOUND.replace("had", "did not like"), "negates"),
        (SOUND.replace("had", "disliked"), "negates"),
        (SOUND + " It won an award.", "tells what the evidence does not"),
        (SOUND + "\u202e", "control characters"),
        (SOUND + "\x1b[31m.", "control characters"),
        (SOUND + " Это кино.", "another script"),
        ("This user had The Godfather.", "leaves a reason out"),
        ("Fargo is good.", "leaves a reason out"),
        ("This user had Fargo, The Godfather and Alien.", "had the item"),
        ("This user would like Alien, by The Godfather and Fargo.", "another item"),
        ("This user liked Alien and The Godfather, so Fargo.", "was liked"),
        (
            "This user had The Godfather, as 41 people, and Alien, as 120 people.",
            "counts of others",
        ),
    ],
)
def test_it_refuses(checker, account, text, reason):
    assert checker.check(SOUND, account).refusal == ""
    checked = checker.check(text, account)
    assert reason in checked.refusal
    assert (checked.text, checked.cited) == ("", ())


def test_people_alone_are_counted(checker, evidence):
    account = Account.of(evidence(0, neighbours=54))
    checked = checker.check("Fargo was chosen by 54 other people like you.", account)
    assert checked.text == "Fargo was chosen by 54 other people [1] like you."
    assert checker.check("Fargo was chosen by many.", account).refusal


def test_values_of_the_evidence(checker, evidence):
    account = Account.of(evidence(0, genre="Crime"))
    checked = checker.check("Fargo is crime, which this user often has.", account)
    assert checked.text == "Fargo is crime [1], which this user often has."
    refused = checker.check("Fargo is crime and drama.", account)
    assert refused.refusal.startswith("names 'drama'")
    # What texts have in common, and what was asked for, may be said.
    said = "Fargo, a crime drama, is one to see."
    texts = Account.of(evidence(0, genre="Crime", words=("drama",)))
    assert checker.check(said, texts).refusal == ""
    asked = Account.of(evidence(0, genre="Crime"), asked=["Drama"])
    assert checker.check(said, asked).refusal == ""


def test_chinese(checker, account):
    said = (
        "这位用户有过《The Godfather》，120人两者都有过；"
        "也有过《Alien》，41人两者都有过。"
    )
    checked = checker.check(said, account, language="zh")
    assert checked.refusal == ""
    assert checked.cited == (1, 2)
    assert "《The Godfather》[1]，120人" in checked.text
    for false, reason in (
        (said.replace("120", "121"), "'121'"),
        (said + "还有《无名》。", "无名"),
        (said + "这是喜剧。", "喜剧"),
        (said + "Heat也是。", "'Heat'"),
        (said + "他不喜欢。", "negates"),
        (said + "另有三百人。", "三百"),
    ):
        assert reason in checker.check(false, account, language="zh").refusal


@pytest.mark.parametrize("language", ["en", "zh"])
def test_templates_pass(checker, evidence, language):
    """A checker that refuses everything would find whatever is planted."""
    made = [
        Account.of(evidence(target, *had, **more), highest_rating=5.0)
        for target in range(13)
        for had in (
            [((target + 1) % 13, 17, 4.0)],
            [((target + 3) % 13, 1, 2.0), ((target + 5) % 13, 230, 5.0)],
        )
        for more in ({}, {"neighbours": 33}, {"genre": "War"})
    ]
    refused = [
        (text, reason)
        for account in made
        if (text := by_template(account, language=language))
        and (reason := checker.check(text, account, language=language).refusal)
    ]
    assert len(refused) <= 0.05 * len(made), refused
