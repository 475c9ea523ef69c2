"""`AnswerWords`: what the parts of one answer have in common: a language, citations."""

from collections.abc import Iterable, Mapping

from llmgnn_jax.speaking.catalogue import Catalogue
from llmgnn_jax.speaking.citations import Citations
from llmgnn_jax.speaking.genres import in_chinese
from llmgnn_jax.speaking.phrases import ANSWERS
from llmgnn_jax.speaking.question import Question, Years
from llmgnn_jax.speaking.quoting import quoted


class AnswerWords:
    """Words of one answer.

    Args:
        asked: The question.
        catalogue: What its items are called by.
    """

    def __init__(self, asked: Question, catalogue: Catalogue) -> None:
        self.asked, self.catalogue = asked, catalogue
        self.phrases: Mapping[str, str] = ANSWERS[asked.language]
        self.citations = Citations()

    def say(self, phrase: str, **parts: object) -> str:
        """One of the phrases of `phrases`."""
        return self.phrases[phrase].format(**parts)

    def cite(self, fact: str, **parts: object) -> str:
        """The citation of a fact of the data, which is a phrase as well."""
        return self.citations.fact(self.say(fact, **parts))

    def titled(self, item: int) -> str:
        """An item in quotes."""
        return self.say("title", title=self.catalogue.title(item))

    def value(self, value: str) -> str:
        """A genre, a tag."""
        shown = quoted(value)
        return in_chinese(shown) if self.asked.language == "zh" else shown

    def values(self) -> str:
        """What a question named: "Crime + Comedy or Drama", "" for nothing."""
        each = (
            self.say("all of").join(self.value(one.value) for one in both)
            for both in self.asked.alternatives
        )
        return self.say("any of").join(each)

    def things(self, count: int | None = None) -> str:
        """The items that a question is about: "3 Drama items of 1995"."""
        values, years = self.values(), self._years(self.asked.years)
        of = {
            "values": self.say("of", values=values) if values else "",
            "years": years,
        }
        if count is None:
            return self.say("any items", **of)
        return self.say("item" if count == 1 else "items", count=count, **of)

    def people(self, count: int) -> str:
        """So many people."""
        return self.say("person" if count == 1 else "people", count=count)

    def had_by(self, item: int) -> dict[str, str]:
        """An item's title, and how many people had it."""
        people = self.people(self.catalogue.people_with(item))
        return {"title": self.catalogue.title(item), "people": people}

    def join(self, parts: Iterable[str]) -> str:
        """A list."""
        return self.phrases["joined"].join(parts)

    def space(self, parts: Iterable[str]) -> str:
        """Sentences."""
        return self.phrases["space"].join(parts)

    def _years(self, years: Years | None) -> str:
        if years is None:
            return ""
        known = {"first": years.first, "last": years.last}
        if years.first is None:
            return self.say("years until", **known)
        if years.last is None:
            return self.say("years since", **known)
        return self.say("years" if years.first < years.last else "year", **known)
