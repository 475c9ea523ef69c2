"""False sentences are refused, all of them; of true ones most are let pass."""

import pytest

from llmgnn_jax.speaking.account import Account
from llmgnn_jax.speaking.checker import Checker
from tests.speaking.sentences import FALSE, FALSE_ZH, TRUE, TRUE_ZH


@pytest.fixture(scope="module")
def refusal(names, evidence):
    """(text, language) -> why it is refused, by the account that it is about."""
    checker = Checker(names)
    both = Account.of(evidence(0, (1, 120, 5.0), (3, 41, 2.0)), highest_rating=5.0)

    def refused(text, language="en"):
        account = both if "Alien" in text else both.alone(both.reasons[0])
        return checker.check(text, account, language=language).refusal

    return refused


def test_there_are_enough():
    assert len(set(FALSE)) >= 60
    assert len(set(FALSE_ZH)) >= 20
    assert len(set(TRUE)) >= 30


@pytest.mark.parametrize(
    ("text", "language"),
    [(one, "en") for one in FALSE] + [(one, "zh") for one in FALSE_ZH],
)
def test_false(refusal, text, language):
    assert refusal(text, language)


@pytest.mark.parametrize(("texts", "language"), [(TRUE, "en"), (TRUE_ZH, "zh")])
def test_true(refusal, texts, language):
    refused = [(text, why) for text in texts if (why := refusal(text, language))]
    assert len(refused) <= 0.25 * len(texts), refused
