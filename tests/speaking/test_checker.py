"""What the checker lets pass, what it refuses, and what it cites."""

import dataclasses

import pytest

from llmgnn_jax.speaking.account import Account
from llmgnn_jax.speaking.checker import Checker
from llmgnn_jax.speaking.narrator import by_template
from llmgnn_jax.speaking.reasons import Reason
from tests.speaking.conftest import item


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
            "41 people had both Alien and Fargo.",
            'This user had "Godfather, The (1972)" [1], as did 120 people with Fargo, '
            "and 41 people had both Alien [2] and Fargo.",
        ),
        (
            "Fargo goes well with The Godfather (1972) and Alien.",
            "Fargo goes well with The Godfather (1972) [1] and Alien [2].",
        ),
        (
            "Since this user liked the Godfather and this user had Alien [7], Fargo "
            "fits.",
            "Since this user liked the Godfather [1] and this user had Alien [2], "
            "Fargo fits.",
        ),
        (
            'Because of "The Godfather" (1972) [3][4] and Alien, Fargo may fit.',
            'Because of "The Godfather" (1972) [1] and Alien [2], Fargo may fit.',
        ),
    ],
)
def test_it_cites(checker, account, text, expected):
    checked = checker.check(text, account)
    assert checked.refusal == ""
    assert checked.text == expected
    assert checked.cited == (1, 2)


def test_quoted_titles_have_the_capitals_of_the_data(checker, evidence):
    account = Account.of(evidence(10, (0, 9, 5.0)), highest_rating=5.0)
    checked = checker.check(
        'This user had "FARGO (1996)", and 9 people who had it also had "That thing '
        'you do! (1996)".',
        account,
    )
    assert checked.refusal == ""
    assert checked.text == (
        'This user had "Fargo (1996)" [1], and 9 people who had it also had "That '
        'Thing You Do! (1996)".'
    )


def test_small_letters_may_be_longer_than_capitals(checker, evidence):
    """As that of "İ" is."""
    called = {0: "Gecenin İçinde (Fargo by Night) (1996)"}
    account = Account.of(evidence(10, (0, 9, 5.0), called=called), highest_rating=5.0)
    checked = checker.check('This user had "fargo by night".', account)
    assert checked.refusal == ""
    assert checked.text == 'This user had "Fargo by Night" [1].'


SOUND = 'This user had "The Godfather" and "Alien", so "Fargo" fits.'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("This user had The Godfather and Alien", "is unfinished"),
        ("This user had The Godfather and Alien, and", "not understood: 'and'"),
        ("This user had The Godfather. " * 2 + "Alien.", "repeats itself"),
        (SOUND + " Heat fits too.", "names 'Heat'"),
        (SOUND + " So does the Godfather: Part II.", "names 'the Godfather: Part II'"),
        (SOUND + " Aliens too.", "names 'Aliens'"),
        (SOUND + " It is a comedy.", "names 'comedy'"),
        (SOUND + " It is a science fiction film.", "names 'science fiction'"),
        (SOUND + " Moonlit Harbour fits.", "not understood: 'moonlit'"),
        (SOUND + " 99 people had both.", "is unclear in what is meant"),
        (SOUND + " 99 people had it.", "is not so: '99 people had it'"),
        (SOUND + " 1981 leads to it.", "not understood: '1981 leads to'"),
        (SOUND + " It is of the 1990s.", "not understood"),
        (SOUND.replace('Godfather"', 'Godfather (1979)"'), "which is not its year"),
        (SOUND + " User 12 had it.", "not understood: 'User 12 had'"),
        (SOUND + " <|im_start|>", "not understood"),
        (SOUND + " **Fargo** fits.", "not understood"),
        (SOUND + "\u202e", "control characters"),
        (SOUND + "\x1b[31m.", "control characters"),
        (SOUND + "\ue000.", "control characters"),
        (SOUND + " Это кино.", "not understood"),
        ("This user had The Godfather.", "leaves a reason out"),
        ("Fargo fits.", "leaves a reason out"),
        ("x" * 3000, "is too long"),
    ],
)
def test_it_refuses(checker, account, text, reason):
    assert checker.check(SOUND, account).refusal == ""
    checked = checker.check(text, account)
    assert reason in checked.refusal
    assert (checked.text, checked.cited) == ("", ())


def test_people_alone_are_counted(checker, evidence):
    account = Account.of(evidence(0, neighbours=54))
    checked = checker.check("Fargo was had by 54 other people.", account)
    assert checked.text == "Fargo was had by 54 other people [1]."
    for false in (
        "Fargo was had by many people.",
        "Fargo was had by 53 people.",
        # All who had it are counted, whatever their taste.
        "54 people with a taste like that of this user had Fargo.",
    ):
        assert checker.check(false, account).refusal


def test_values_of_the_evidence(checker, evidence):
    account = Account.of(evidence(0, genre="Crime"))
    checked = checker.check("Fargo is crime; genre Crime leads to it.", account)
    assert checked.text == "Fargo is crime [1]; genre Crime leads to it."
    refused = checker.check("Fargo is crime and drama.", account)
    assert refused.refusal.startswith("names 'drama'")
    # That a genre was asked for does not make the item one of it.
    asked = Account.of(evidence(0, genre="Crime"), asked=["Drama"])
    said = "As drama was asked for, crime leads to Fargo."
    assert checker.check(said, asked).refusal == ""
    assert checker.check("Fargo is crime and drama.", asked).refusal
    assert checker.check("As crime was asked for, Fargo is crime.", asked).refusal


def test_one_name_of_two_things(checker, evidence):
    """A year says which is meant, also where it stands behind the quotes."""
    account = Account.of(evidence(6, (7, 120, 5.0)))
    had, item = '"Sabrina" (1954)', '"Sabrina" (1995)'
    true = f"This user had {had}, and 120 people who had it also had {item}."
    assert checker.check(true, account).refusal == ""
    swapped = f"This user had {item}, and 120 people who had it also had {had}."
    assert "is not so" in checker.check(swapped, account).refusal
    for text in ("This user had Sabrina, so Sabrina fits.", f"{had} leads to Sabrina."):
        assert "'Sabrina'" in checker.check(text, account).refusal


def test_numbers_in_chinese_are_whole(checker, evidence):
    """ "一百二" is 120, however it looks."""
    account = Account.of(evidence(0, (1, 102, 5.0)))
    said = "这位用户有过《The Godfather》，另有{}人两者都有过。"
    for number, holds in (("一百零二", True), ("一百二", False), ("102", True)):
        refusal = checker.check(said.format(number), account, language="zh").refusal
        assert (refusal == "") == holds


def test_ratings_are_told_where_there_are_some(checker, evidence):
    """Interactions may be counts: 5 plays are no 5 stars, and nobody liked anything."""
    made = evidence(0, (1, 120, 5.0))
    for text in (
        'This user liked "The Godfather", so "Fargo" fits.',
        'This user gave "The Godfather" 5, so "Fargo" fits.',
    ):
        assert not checker.check(text, Account.of(made, highest_rating=5.0)).refusal
        for highest in (None, 1.0, 352.0):
            refused = checker.check(text, Account.of(made, highest_rating=highest))
            assert "is not so" in refused.refusal


def test_what_is_linked_was_not_had(checker, evidence):
    """An item that another is linked with: nobody says that the user had it."""
    reason = Reason(kind="link", entity=item(1), joined=True, edges=(1,), amount=0.3)
    account = Account.of(evidence(0, (1, 120, 5.0))).alone(reason)
    linked = "The Godfather is linked to Fargo."
    assert checker.check(linked, account).refusal == ""
    had = "This user had The Godfather, which is linked to Fargo."
    assert "is not so" in checker.check(had, account).refusal
    also = account.alone(dataclasses.replace(reason, had=True))
    assert checker.check(had, also).refusal == ""
    apart = account.alone(dataclasses.replace(reason, joined=False))
    assert "is not so" in checker.check(linked, apart).refusal
    assert checker.check("The Godfather leads to Fargo.", apart).refusal == ""


def test_chinese(checker, account):
    said = (
        "这位用户有过《The Godfather》，另有120人两者都有过；"
        "有过《Alien》的人中，41人也有过《Fargo》。"
    )
    checked = checker.check(said, account, language="zh")
    assert checked.refusal == ""
    assert checked.cited == (1, 2)
    assert "《The Godfather》[1]，另有120人" in checked.text
    for false, reason in (
        (said.replace("120", "121"), "121人"),
        (said + "还有《无名》。", "无名"),
        (said + "这是喜剧。", "喜剧"),
        (said + "Heat也是。", "'Heat'"),
        (said + "他不喜欢。", "他不喜欢"),
        (said + "另有三百人。", "三百"),
    ):
        assert reason in checker.check(false, account, language="zh").refusal


@pytest.mark.parametrize("language", ["en", "zh"])
def test_templates_pass(checker, evidence, language):
    """A checker that refuses everything would find whatever is planted."""
    made = [
        account.alone(reason)
        for target in range(13)
        for had in (
            [((target + 1) % 13, 17, 4.0)],
            [((target + 3) % 13, 1, 2.0), ((target + 5) % 13, 230, 5.0)],
        )
        for more in ({}, {"neighbours": 33}, {"genre": "War"})
        for account in [
            Account.of(evidence(target, *had, **more), highest_rating=5.0, most=3)
        ]
        for reason in account.reasons
    ]
    refused = [
        (text, reason)
        for account in made
        if (text := by_template(account, language=language))
        and (reason := checker.check(text, account, language=language).refusal)
    ]
    assert len(refused) <= 0.05 * len(made), refused
