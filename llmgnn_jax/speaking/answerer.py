"""`Answerer`: questions answered from the graph and the recommender.

    answerer = Answerer(Recommender.load(run), generator=TextGenerator.load("..."))
    answerer.ask("Which science-fiction films would user 196 like and why?").text

A grammar says what is asked, retrieval what is true, and a decoder may say why, where
the checker lets it. What is not known is said to be unknown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from llmgnn_jax.errors import UserError
from llmgnn_jax.evidence.explanation import Evidence
from llmgnn_jax.evidence.labels import Language
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.speaking.abilities import Judge, speaks_chinese
from llmgnn_jax.speaking.answer_words import AnswerWords
from llmgnn_jax.speaking.catalogue import Catalogue
from llmgnn_jax.speaking.citations import Citation
from llmgnn_jax.speaking.from_data import DataAnswers
from llmgnn_jax.speaking.from_model import ModelAnswers
from llmgnn_jax.speaking.narrator import Decoder, Narrator, Told
from llmgnn_jax.speaking.question import Kind, Question, understand
from llmgnn_jax.speaking.refusals import MOST_NAMED, refusal


class Speaker(Decoder, Judge, Protocol):
    """What a `TextGenerator` is to an answerer."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a question.

    Attributes:
        text: With citations.
        citations: Each [n] in the text.
        language: Of the question and the text.
        known: Whether it was answered; else the text says what is not known.
        used: "decoder" where it wrote at least a part of the text.
    """

    text: str
    citations: tuple[Citation, ...]
    language: Language
    known: bool
    used: Literal["decoder", "template"] = "template"


def check_question(question: str) -> None:
    """Raises `UserError` if there are no words in it."""
    if not question.strip():
        raise UserError.field("question", expected="some words", got="none")


def check_count(k: int) -> None:
    """Raises `UserError` if an answer cannot name that many items."""
    if not 1 <= k <= MOST_NAMED:
        raise UserError.field("k", expected=f"a number from 1 to {MOST_NAMED}", got=k)


class Answerer:
    """Answers questions about a run.

    Args:
        recommender: The run.
        generator: Who writes why; None for templates alone.
        k: How many items are named where a question does not say.
    """

    def __init__(
        self,
        recommender: Recommender,
        *,
        generator: Speaker | None = None,
        k: int = 3,
    ) -> None:
        check_count(k)
        self._recommender, self._generator, self._k = recommender, generator, k
        self.catalogue = Catalogue(recommender)
        self._narrator = Narrator(
            names=self.catalogue.names,
            generator=generator,
            highest_rating=self.catalogue.highest_rating,
        )
        self._silent = Narrator(
            names=self.catalogue.names,
            highest_rating=self.catalogue.highest_rating,
        )
        self._speaks_chinese: bool | None = None

    def understood(self, question: str) -> Question:
        """What a question is taken for."""
        return understand(
            question,
            names=self.catalogue.names,
            user_ids=frozenset(self.catalogue.user_ids),
            item_numbers=self.catalogue.item_numbers,
            fields=self.catalogue.fields,
        )

    def ask(self, question: str) -> Answer:
        """Answers a question.

        Raises:
            UserError: If there are no words in it.
        """
        check_question(question)
        asked = self.understood(question)
        words = AnswerWords(asked, self.catalogue)
        used: Literal["decoder", "template"] = "template"
        text = refusal(words)
        known = not text
        if known:
            text, used = self._answered(words)
        has_decoder = self._generator is not None
        if asked.language == "zh" and has_decoder and not self.speaks_chinese:
            text = f"{text}（{words.say('no chinese')}）"
        return Answer(
            text=text,
            citations=words.citations.all,
            language=asked.language,
            known=known,
            used=used,
        )

    def told(self, evidence: Evidence, *, language: Language = "en") -> Told:
        """Evidence in words, cited by the numbers of its edges."""
        return self._who_tells(language).tell([evidence], language=language)[0]

    def _who_tells(self, language: Language) -> Narrator:
        if language == "zh" and not self.speaks_chinese:
            return self._silent
        return self._narrator

    @property
    def speaks_chinese(self) -> bool:
        """Whether the decoder can; measured once."""
        if self._speaks_chinese is None:
            generator = self._generator
            self._speaks_chinese = generator is not None and speaks_chinese(generator)
        return self._speaks_chinese

    def _answered(
        self, words: AnswerWords
    ) -> tuple[str, Literal["decoder", "template"]]:
        """The answer to a question that is understood, and who wrote it."""
        asked = words.asked
        k = asked.number or self._k
        facts = DataAnswers(words, k=k)
        model = ModelAnswers(
            words,
            recommender=self._recommender,
            # Whether a decoder speaks is measured where it is to write.
            narrator=lambda: self._who_tells(asked.language),
            k=k,
        )
        of_all: dict[Kind, Callable[[], str]] = {
            "recommend": model.recommended,
            "taste": facts.taste,
            "count": facts.count,
            "popular": facts.popular,
        }
        of_each: dict[Kind, Callable[[int], str]] = {
            "why": model.why,
            "alike": model.alike,
            "had": facts.had,
            "facts": facts.facts,
            "year": facts.year,
            "is": facts.is_of,
        }
        if asked.kind in of_all:
            return of_all[asked.kind](), model.used
        text = words.space(map(of_each[asked.kind], asked.items))
        return text, model.used
