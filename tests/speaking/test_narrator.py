"""A decoder writes, the checker reads, and the template stands by."""

import re

import pytest

from llmgnn_jax.speaking.narrator import Narrator, first_line
from llmgnn_jax.speaking.prompts import turns
from llmgnn_jax.text.generation.chat import ChatPrompt, Turn, chat_format
from llmgnn_jax.text.generation.generated import Generated


class Scripted:
    """Says what it is told to, in turn, and keeps what it was asked."""

    def __init__(self, *texts):
        self.texts, self.prompts, self.options = list(texts), [], []

    def chat(self, turns: list[Turn]) -> ChatPrompt:
        return chat_format(lambda token: token.startswith("<|im_")).prompt(turns)

    def generate(self, prompts, *, max_new_tokens, options, seed):
        self.prompts += prompts
        self.options.append(options)
        texts = [self.texts.pop(0) for _ in prompts]
        return [
            Generated(text=text, ids=(), finished="stop", log_probability=0.0)
            for text in texts
        ]


GOOD = (
    'This user had "Godfather, The (1972)", and 120 people who had it also had '
    '"Fargo (1996)".'
)
TOO = 'Of those who had "Alien (1979)", 41 people had "Fargo (1996)" too.'


@pytest.fixture
def reasons(evidence):
    return evidence(0, (1, 120, 5.0), (3, 41, 4.0))


def test_accepted_at_once(names, reasons):
    decoder = Scripted(GOOD + "\nAnd so on", TOO)
    (told,) = Narrator(names=names, generator=decoder).tell([reasons])
    assert (told.used, told.tries, told.refusals) == ("decoder", 1, ())
    assert told.cited == (1, 2)
    assert told.text == f"{GOOD} {TOO}".replace('72)"', '72)" [1]').replace(
        '79)"', '79)" [2]'
    )
    assert [one.temperature for one in decoder.options] == [0.0]


def test_refused_sentences_alone_are_asked_for_again(names, reasons):
    decoder = Scripted(GOOD, "Heat is great.", "41 people had Alien.", TOO)
    (told,) = Narrator(names=names, generator=decoder).tell([reasons])
    assert (told.used, told.tries) == ("decoder", 3)
    assert len(told.refusals) == 2
    assert told.refusals[0].startswith("names 'Heat'")
    assert decoder.prompts[2] == decoder.prompts[1] == decoder.prompts[3]
    # Asked the same again, only chance says something else.
    assert [one.temperature > 0 for one in decoder.options] == [False, True, True]


def test_the_template_is_the_last_word(names, reasons):
    decoder = Scripted(*["I am an AI."] * 6)
    (told,) = Narrator(names=names, generator=decoder).tell([reasons])
    assert (told.used, told.tries, len(told.refusals)) == ("template", 3, 6)
    assert told.cited == (1, 2)
    silent = Narrator(names=names).tell([reasons])
    assert silent[0].text == told.text
    assert (silent[0].tries, silent[0].refusals) == (0, ())


def test_without_a_reason_nobody_is_asked(names, evidence):
    decoder = Scripted()
    (told,) = Narrator(names=names, generator=decoder).tell([evidence(0)])
    assert (told.used, told.cited, decoder.prompts) == ("template", (), [])


def test_prompts_hold_the_evidence_alone(names, evidence, titles):
    """No id, no rating, no other title, nobody else's number."""
    decoder = Scripted(GOOD, TOO)
    Narrator(names=names, generator=decoder).tell(
        [evidence(0, (1, 120, 5.0), (3, 41, 4.0), (5, 9, 3.0))]
    )
    other = evidence(0, (1, 2, 3.0))
    examples = turns(other.item, Narrator(names=names).account(other).reasons[0])
    text = "\n".join(decoder.prompts)
    for one in examples[:-1]:
        text = text.replace(one.text, "")
    assert "196" not in text
    assert [one for one in titles if one in text] == [titles[0], titles[1], titles[3]]
    assert set(re.findall(r"\d+", text)) >= {"120", "41"}
    assert not {"9", "5", "5.0"} & set(re.findall(r"\d+(?:\.\d+)?", text))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_examples_show_is_what_is_accepted(names, evidence, language):
    """A decoder that does exactly as it is shown is never refused."""
    for more in ({}, {"neighbours": 33}, {"genre": "War"}):
        shown = evidence(0, (1, 120, 5.0), **more)
        narrator = Narrator(names=names)
        account = narrator.account(shown)
        for place, reason in enumerate(account.reasons):
            for style in range(2):
                asked = turns(shown.item, reason, place=style, language=language)
                answer = asked[-2].text
                example = {
                    "Quillmere (1971)": "Fargo (1996)",
                    "奎尔米尔": "Fargo (1996)",
                    "Dornwick, A (1983)": reason.entity.label if reason.entity else "",
                    "多恩维克": reason.entity.label if reason.entity else "",
                    "38": str(reason.people),
                }
                for word, instead in example.items():
                    answer = answer.replace(word, instead)
                checked = narrator.checker.check(
                    answer, account.alone(account.reasons[place]), language=language
                )
                assert checked.refusal == "", answer
                assert checked.cited == reason.edges


def test_first_line():
    assert first_line("\n  A b.\nC") == "A b."
