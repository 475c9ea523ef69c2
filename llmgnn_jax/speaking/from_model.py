"""Answers that take the recommender: what somebody would like, and why."""

from collections.abc import Callable, Sequence
from typing import Literal

from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.speaking.answer_words import AnswerWords
from llmgnn_jax.speaking.from_data import had
from llmgnn_jax.speaking.narrator import Narrator

_SHARED = 5
"""So many people had both, where there are such: a like vector alone may be chance."""


class ModelAnswers:
    """Recommends, and tells why.

    Args:
        words: Of the answer.
        recommender: The run.
        narrator: Gives who tells reasons, where some are to be told.
        k: How many items are named.
    """

    def __init__(
        self,
        words: AnswerWords,
        *,
        recommender: Recommender,
        narrator: Callable[[], Narrator],
        k: int,
    ) -> None:
        self._words, self._recommender = words, recommender
        self._narrator, self._k = narrator, k
        self._asked, self._catalogue = words.asked, words.catalogue
        self.used: Literal["decoder", "template"] = "template"

    def recommended(self) -> str:
        """What the user would like, a reason a line."""
        asked, words, catalogue = self._asked, self._words, self._catalogue
        among = None
        if asked.alternatives or asked.years is not None:
            wanted = catalogue.items_with(asked.alternatives, years=asked.years)
            among = [catalogue.item_ids[item] for item in wanted]
        found = self._recommender.recommend(user=asked.user, k=self._k, among=among)
        if not found:
            return words.say("none to recommend", user=asked.user, items=words.things())
        items = [catalogue.item_numbers[one.id] for one in found]
        head = words.say(
            "recommended" if among is None else "recommended of",
            user=asked.user,
            items=words.things(),
            list=words.join(map(words.titled, items)),
        )
        return "\n".join([head, *self._reasons(items)])

    def why(self, item: int) -> str:
        """Where an item stands for the user, and why."""
        user = self._asked.user
        assert user is not None
        if item in self._catalogue.items_of(user):
            head = had(self._words, item)
        else:
            head = self._place(user, item)
        return "\n".join([head, *self._reasons([item])])

    def alike(self, item: int) -> str:
        """What is like an item: what people had with it goes first."""
        words, catalogue, asked = self._words, self._catalogue, self._asked
        wanted = set(catalogue.items_with(asked.alternatives, years=asked.years))
        near = [
            catalogue.item_numbers[one.id]
            for one in self._recommender.alike(
                catalogue.item_ids[item], k=len(catalogue.item_ids)
            )
        ]
        near = [one for one in near if one in wanted]
        both = catalogue.people_with_both(item, near)
        near.sort(key=lambda other: both[other] < _SHARED)
        title = catalogue.title(item)
        if not near:
            return words.say("alike none", title=title, items=words.things())
        listed = []
        for other in near[: self._k]:
            known = {
                "title": catalogue.title(other),
                "people": words.people(both[other]),
            }
            cite = words.cite("fact both", one=title, **known)
            listed.append(words.say("alike one", **known, cite=cite))
        return words.say(
            "alike of" if asked.alternatives or asked.years else "alike",
            title=title,
            items=words.things(),
            list=words.join(listed),
        )

    def _place(self, user: str, item: int) -> str:
        ranked = self._recommender.recommend(user=user, k=len(self._catalogue.item_ids))
        places = {one.id: one.rank for one in ranked}
        rank = places.get(self._catalogue.item_ids[item])
        return self._words.say(
            "not ranked" if rank is None else "rank",
            user=user,
            title=self._catalogue.title(item),
            rank=rank,
            ranked=len(ranked),
        )

    def _reasons(self, items: Sequence[int]) -> list[str]:
        """Why each of some items, a line each."""
        asked, words = self._asked, self._words
        assert asked.user is not None
        evidences = [
            self._recommender.explain(
                user=asked.user, item=self._catalogue.item_ids[item]
            )
            for item in items
        ]
        told = self._narrator().tell(
            evidences,
            asked=[one.value for one in asked.values],
            language=asked.language,
        )
        if any(one.used == "decoder" for one in told):
            self.used = "decoder"
        return [
            words.say(
                "reasons",
                title=words.titled(item),
                reasons=words.citations.renumbered(one.text, evidence, asked.language),
            )
            for item, one, evidence in zip(items, told, evidences, strict=True)
        ]
