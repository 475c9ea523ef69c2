"""`Answerer`: questions answered from the graph and the recommender.

    answerer = Answerer(Recommender.load(run), generator=TextGenerator.load("..."))
    answerer.ask("Which science-fiction films would user 196 like and why?").text

A grammar says what is asked, retrieval what is true, and a decoder may say why, where
the checker lets it. What is not known is said to be unknown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from llmgnn_jax.errors import UserError
from llmgnn_jax.evidence.explanation import Evidence
from llmgnn_jax.evidence.labels import Language
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.speaking.abilities import Judge, speaks_chinese
from llmgnn_jax.speaking.catalogue import Catalogue
from llmgnn_jax.speaking.citations import Citation, Citations
from llmgnn_jax.speaking.genres import in_chinese
from llmgnn_jax.speaking.names import ValueName
from llmgnn_jax.speaking.narrator import Decoder, Narrator, Told
from llmgnn_jax.speaking.phrases import ANSWERS
from llmgnn_jax.speaking.question import Question, understand
from llmgnn_jax.speaking.quoting import quoted

_SHOWN = 6
"""Of what is not known, or could be meant."""

_MOST = 100
"""Items that are recommended in words: nobody reads more."""

_SHARED = 5
"""So many people had both, where there are such: a like vector alone may be chance."""


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


class Answerer:
    """Answers questions about a run.

    Args:
        recommender: The run.
        generator: Who writes why; None for templates alone.
        k: How many items are recommended.
    """

    def __init__(
        self,
        recommender: Recommender,
        *,
        generator: Speaker | None = None,
        k: int = 3,
    ) -> None:
        if not 1 <= k <= _MOST:
            raise UserError.field("k", expected=f"a number from 1 to {_MOST}", got=k)
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
        if not question.strip():
            raise UserError.field("question", expected="some words", got="none")
        asked = self.understood(question)
        return _Answering(self, asked).answer()

    def told(self, evidence: Evidence, *, language: Language = "en") -> Told:
        """Evidence in words, cited by the numbers of its edges."""
        return self.narrator(language).tell([evidence], language=language)[0]

    def narrator(self, language: Language) -> Narrator:
        """Who tells reasons in a language."""
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

    @property
    def has_decoder(self) -> bool:
        """Whether somebody else than the templates may write."""
        return self._generator is not None

    @property
    def recommender(self) -> Recommender:
        """The run."""
        return self._recommender

    @property
    def k(self) -> int:
        """How many items are recommended."""
        return self._k


class _Answering:
    """One question on its way to the answer."""

    def __init__(self, answerer: Answerer, asked: Question) -> None:
        self._answerer, self._asked = answerer, asked
        self._catalogue, self._recommender = answerer.catalogue, answerer.recommender
        self._phrases: Mapping[str, str] = ANSWERS[asked.language]
        self._citations = Citations()
        self._used: Literal["decoder", "template"] = "template"

    def answer(self) -> Answer:
        asked, known = self._asked, True
        unknown = self._unknown()
        if unknown:
            text, known = unknown, False
        elif asked.kind == "recommend":
            text = self._recommended()
        elif asked.kind == "why":
            text = self._space(self._why(item) for item in asked.items)
        elif asked.kind == "alike":
            text = self._space(self._alike(item) for item in asked.items)
        elif asked.kind == "taste":
            text = self._taste()
        elif asked.kind == "facts":
            text = self._space(self._facts(item) for item in asked.items)
        elif asked.kind == "count":
            text = self._count()
        elif asked.kind == "popular":
            text = self._popular()
        else:
            text, known = self._phrases["not understood"], False
        answerer = self._answerer
        in_chinese_by_decoder = asked.language == "zh" and answerer.has_decoder
        if in_chinese_by_decoder and not answerer.speaks_chinese:
            text = f"{text}（{self._phrases['no chinese']}）"
        return Answer(
            text=text,
            citations=self._citations.all,
            language=asked.language,
            known=known,
            used=self._used,
        )

    def _unknown(self) -> str:
        """What the question names and nobody knows; "" where all is known."""
        asked, say = self._asked, self._phrases
        said = []
        if asked.unknown_user:
            words = quoted(asked.unknown_user)
            said.append(say["unknown user"].format(words=words))
        if asked.other_user:
            words = quoted(asked.other_user)
            said.append(say["other user"].format(words=words))
        for words, items in asked.several:
            listed = self._join(
                say["title"].format(title=self._catalogue.title(item))
                for item in items[:_SHOWN]
            )
            said.append(say["several"].format(words=repr(words), list=listed))
        if asked.unknown:
            words = self._join(repr(quoted(one)) for one in asked.unknown[:_SHOWN])
            said.append(say["unknown"].format(words=words))
            near = [
                say["near one"].format(title=name)
                for one in asked.unknown[:_SHOWN]
                for name in self._catalogue.near_names(one)
            ]
            if near:
                listed = say["or"].join(dict.fromkeys(near))
                said.append(say["near"].format(list=listed))
        return self._space(said)

    def _recommended(self) -> str:
        asked, say = self._asked, self._phrases
        among = None
        if asked.values:
            items = self._catalogue.items_with(asked.values)
            among = [self._catalogue.item_ids[item] for item in items]
        found = self._recommender.recommend(
            user=asked.user, k=self._answerer.k, among=among
        )
        if not found:
            return say["none to recommend"].format(
                user=asked.user, values=self._values()
            )
        items = [self._catalogue.item_numbers[one.id] for one in found]
        listed = self._join(self._titled(item) for item in items)
        head = say["recommended"].format(user=asked.user, list=listed)
        return "\n".join([head, *self._reasons(items)])

    def _reasons(self, items: Sequence[int]) -> list[str]:
        """Why each of some items, a line each."""
        asked = self._asked
        assert asked.user is not None
        evidences = [
            self._recommender.explain(
                user=asked.user, item=self._catalogue.item_ids[item]
            )
            for item in items
        ]
        told = self._answerer.narrator(asked.language).tell(
            evidences,
            asked=[one.value for one in asked.values],
            language=asked.language,
        )
        if any(one.used == "decoder" for one in told):
            self._used = "decoder"
        return [
            self._phrases["reasons"].format(
                title=self._titled(item),
                reasons=self._citations.renumbered(one.text, evidence, asked.language),
            )
            for item, one, evidence in zip(items, told, evidences, strict=True)
        ]

    def _why(self, item: int) -> str:
        asked, say = self._asked, self._phrases
        assert asked.user is not None
        known = {"user": asked.user, "title": self._catalogue.title(item)}
        lines = []
        if item in self._catalogue.items_of(asked.user):
            fact = say["fact user"].format(
                user=asked.user, count=len(self._catalogue.items_of(asked.user))
            )
            cite = self._citations.fact(fact)
            lines.append(say["had already"].format(**known, cite=cite))
        else:
            ranked = self._recommender.recommend(
                user=asked.user, k=len(self._catalogue.item_ids)
            )
            places = {one.id: one.rank for one in ranked}
            rank = places.get(self._catalogue.item_ids[item])
            lines.append(
                say["not ranked"].format(**known)
                if rank is None
                else say["rank"].format(**known, rank=rank, ranked=len(ranked))
            )
        return "\n".join([*lines, *self._reasons([item])])

    def _alike(self, item: int) -> str:
        say, catalogue = self._phrases, self._catalogue
        wanted = set(catalogue.items_with(self._asked.values))
        near = [
            catalogue.item_numbers[one.id]
            for one in self._recommender.alike(
                catalogue.item_ids[item], k=len(catalogue.item_ids)
            )
        ]
        near = [one for one in near if one in wanted]
        both = catalogue.people_with_both(item, near)
        near.sort(key=lambda other: both[other] < _SHARED)
        listed = []
        for other in near[: self._answerer.k]:
            people = self._people(both[other])
            known = {"title": catalogue.title(other), "people": people}
            fact = say["fact both"].format(one=catalogue.title(item), **known)
            cite = self._citations.fact(fact)
            listed.append(say["alike one"].format(**known, cite=cite))
        return say["alike"].format(title=catalogue.title(item), list=self._join(listed))

    def _taste(self) -> str:
        asked, say, catalogue = self._asked, self._phrases, self._catalogue
        assert asked.user is not None
        wanted = set(catalogue.items_with(asked.values))
        items = [one for one in catalogue.items_of(asked.user) if one in wanted]
        fact = say["fact user"].format(
            user=asked.user, count=len(catalogue.items_of(asked.user))
        )
        cite = self._citations.fact(fact)
        if not items:
            return say["taste none"].format(
                user=asked.user, values=self._values(), cite=cite
            )
        taste = [
            say["counted"].format(value=self._value(value), count=count)
            for value, count in catalogue.taste(items)[:3]
        ]
        text = say["taste"].format(
            user=asked.user,
            count=self._items(len(items)),
            values=say["taste values"].format(list=self._join(taste)) if taste else "",
            cite=cite,
        )
        if catalogue.highest_rating is None:
            return text
        ratings = catalogue.ratings_of(asked.user)
        best = sorted(items, key=lambda item: (-ratings[item], item))[:3]
        cite = self._citations.fact(say["fact ratings"].format(user=asked.user))
        rated = self._join(
            say["rated"].format(title=catalogue.title(item), rating=ratings[item])
            for item in best
        )
        return self._space([text, say["taste rated"].format(list=rated, cite=cite)])

    def _facts(self, item: int) -> str:
        say, catalogue = self._phrases, self._catalogue
        title, values = catalogue.title(item), catalogue.values_of_item(item)
        people = self._people(catalogue.people_with(item))
        if values:
            listed = self._join(self._value(one.value) for one in values)
            fields = self._join(dict.fromkeys(one.field for one in values))
            fact = say["fact values"].format(title=title, field=fields, values=listed)
            said = say["facts"].format(
                title=title, values=listed, cite=self._citations.fact(fact)
            )
        else:
            cite = self._citations.fact(say["fact name"].format(title=title))
            said = say["facts none"].format(title=title, cite=cite)
        fact = say["fact people"].format(title=title, people=people)
        had = say["had by"].format(people=people, cite=self._citations.fact(fact))
        return self._space([said, had])

    def _count(self) -> str:
        asked, say, catalogue = self._asked, self._phrases, self._catalogue
        if asked.items:
            said = []
            for item in asked.items:
                known = {
                    "title": catalogue.title(item),
                    "people": self._people(catalogue.people_with(item)),
                }
                cite = self._citations.fact(say["fact people"].format(**known))
                said.append(say["count item"].format(**known, cite=cite))
            return self._space(said)
        wanted = catalogue.items_with(asked.values)
        if asked.user is not None:
            had = catalogue.items_of(asked.user)
            fact = say["fact user"].format(user=asked.user, count=len(had))
            return say["count user"].format(
                user=asked.user,
                items=self._items(len(set(had) & set(wanted)), self._values()),
                cite=self._citations.fact(fact),
            )
        if asked.of_people and not asked.values:
            count = len(catalogue.dataset.user_ids)
            cite = self._citations.fact(say["fact users"].format(count=count))
            return say["count users"].format(count=count, cite=cite)
        fact = say["fact items"].format(count=len(wanted), values=self._values())
        return say["count values"].format(
            items=self._items(len(wanted), self._values()),
            cite=self._citations.fact(fact),
        )

    def _popular(self) -> str:
        say, catalogue = self._phrases, self._catalogue
        best = catalogue.best_known(
            catalogue.items_with(self._asked.values), k=self._answerer.k
        )
        if not best:
            return say["popular none"].format(values=self._values())
        listed = []
        for item in best:
            known = {
                "title": catalogue.title(item),
                "people": self._people(catalogue.people_with(item)),
            }
            cite = self._citations.fact(say["fact people"].format(**known))
            listed.append(say["popular one"].format(**known, cite=cite))
        return say["popular"].format(list=self._join(listed))

    def _titled(self, item: int) -> str:
        return self._phrases["title"].format(title=self._catalogue.title(item))

    def _value(self, value: str) -> str:
        shown = quoted(value)
        return in_chinese(shown) if self._asked.language == "zh" else shown

    def _values(self) -> str:
        """What a question named, before "items"."""
        values: Iterable[ValueName] = self._asked.values
        return "".join(
            self._phrases["of"].format(values=self._value(one.value)) for one in values
        )

    def _items(self, count: int, values: str = "") -> str:
        phrase = self._phrases["item" if count == 1 else "items"]
        return phrase.format(count=count, values=values)

    def _people(self, count: int) -> str:
        phrase = self._phrases["person" if count == 1 else "people"]
        return phrase.format(count=count)

    def _join(self, parts: Iterable[str]) -> str:
        return self._phrases["joined"].join(parts)

    def _space(self, parts: Iterable[str]) -> str:
        return self._phrases["space"].join(parts)
