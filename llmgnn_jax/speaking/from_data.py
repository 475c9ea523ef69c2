"""Answers that the data alone give: who had what, and what items are."""

from llmgnn_jax.speaking.answer_words import AnswerWords
from llmgnn_jax.speaking.names import year_of


class DataAnswers:
    """Tells facts of the train part and of the catalogue.

    Args:
        words: Of the answer.
        k: How many items are named.
    """

    def __init__(self, words: AnswerWords, *, k: int) -> None:
        self._words, self._k = words, k
        self._asked, self._catalogue = words.asked, words.catalogue

    def had(self, item: int) -> str:
        """Whether the user had an item, and how it was rated."""
        return had(self._words, item)

    def taste(self) -> str:
        """What the user had of what is asked for, and rated highest."""
        words, catalogue, user = self._words, self._catalogue, self._user
        history = catalogue.items_of(user)
        wanted = self._wanted()
        items = [one for one in history if one in wanted]
        cite = words.cite("fact user", user=user, count=len(history))
        if not items:
            return words.say("taste none", user=user, items=words.things(), cite=cite)
        taste = [
            words.say("counted", value=words.value(value), count=count)
            for value, count in catalogue.taste(items)[:3]
        ]
        text = words.say(
            "taste",
            user=user,
            items=words.things(len(items)),
            values=words.say("taste values", list=words.join(taste)) if taste else "",
            cite=cite,
        )
        if catalogue.highest_rating is None:
            return text
        ratings = catalogue.ratings_of(user)
        best = sorted(items, key=lambda item: (-ratings[item], item))[:3]
        rated = words.join(
            words.say("rated", title=catalogue.title(item), rating=ratings[item])
            for item in best
        )
        cite = words.cite("fact ratings", user=user)
        return words.space([text, words.say("taste rated", list=rated, cite=cite)])

    def facts(self, item: int) -> str:
        """What an item is, and how many people had it."""
        words, known = self._words, self._words.had_by(item)
        if self._catalogue.values_of_item(item):
            said = words.say(
                "facts",
                title=known["title"],
                values=self._listed(item),
                cite=self._cite_values(item),
            )
        else:
            cite = self._cite_values(item)
            said = words.say("facts none", title=known["title"], cite=cite)
        cite = words.cite("fact people", **known)
        return words.space([said, words.say("had by", **known, cite=cite)])

    def year(self, item: int) -> str:
        """Of which year an item is, by its title."""
        words, title = self._words, self._catalogue.title(item)
        year = year_of(self._catalogue.item_titles[item])
        cite = words.cite("fact title", title=title)
        phrase = "year of item" if year is not None else "year unknown"
        return words.say(phrase, title=title, year=year, cite=cite)

    def is_of(self, item: int) -> str:
        """Whether an item is what the question says."""
        words, catalogue = self._words, self._catalogue
        has = {one.value.lower() for one in catalogue.values_of_item(item)}
        yes = [one for one in self._asked.values if one.value.lower() in has]
        no = [one for one in self._asked.values if one.value.lower() not in has]
        cite = self._cite_values(item)
        phrase = "is" if not no else "is partly" if yes else "is not"
        return words.say(
            phrase,
            title=catalogue.title(item),
            yes=words.join(words.value(one.value) for one in yes),
            no=words.say("or").join(words.value(one.value) for one in no),
            cite=cite,
        )

    def count(self) -> str:
        """How many items there are or somebody had, or how many people had some."""
        words, asked, catalogue = self._words, self._asked, self._catalogue
        if len(asked.items) == 1:
            known = words.had_by(asked.items[0])
            cite = words.cite("fact people", **known)
            return words.say("count item", **known, cite=cite)
        if asked.items:
            known = {
                "list": words.join(map(words.titled, asked.items)),
                "people": words.people(catalogue.people_with_all(asked.items)),
            }
            cite = words.cite("fact all", **known)
            return words.say("count all", **known, cite=cite)
        wanted = self._wanted()
        if asked.user is not None:
            history = catalogue.items_of(asked.user)
            return words.say(
                "count user",
                user=asked.user,
                items=words.things(len(wanted.intersection(history))),
                cite=words.cite("fact user", user=asked.user, count=len(history)),
            )
        if asked.of_people:
            count = len(catalogue.dataset.user_ids)
            cite = words.cite("fact users", count=count)
            return words.say("count users", count=count, cite=cite)
        items = words.things(len(wanted))
        cite = words.cite("fact items", items=items)
        return words.say("count values", items=items, cite=cite)

    def popular(self) -> str:
        """The items that most people had."""
        words = self._words
        wanted = self._wanted()
        best = self._catalogue.best_known(sorted(wanted), k=self._k)
        if not best:
            return words.say("popular none", items=words.things())
        listed = []
        for item in best:
            known = words.had_by(item)
            cite = words.cite("fact people", **known)
            listed.append(words.say("popular one", **known, cite=cite))
        return words.say(
            "popular", items=words.things(len(wanted)), list=words.join(listed)
        )

    @property
    def _user(self) -> str:
        assert self._asked.user is not None
        return self._asked.user

    def _wanted(self) -> set[int]:
        asked = self._asked
        return set(self._catalogue.items_with(asked.alternatives, years=asked.years))

    def _listed(self, item: int) -> str:
        values = self._catalogue.values_of_item(item)
        return self._words.join(self._words.value(one.value) for one in values)

    def _cite_values(self, item: int) -> str:
        words, title = self._words, self._catalogue.title(item)
        values = self._catalogue.values_of_item(item)
        if not values:
            return words.cite("fact name", title=title)
        fields = words.join(dict.fromkeys(one.field for one in values))
        listed = self._listed(item)
        return words.cite("fact values", title=title, field=fields, values=listed)


def had(words: AnswerWords, item: int) -> str:
    """Whether the user of a question had an item, and how it was rated.

    Args:
        words: Of the answer.
        item: The item.
    """
    user, catalogue = words.asked.user, words.catalogue
    assert user is not None
    history, title = catalogue.items_of(user), catalogue.title(item)
    highest = catalogue.highest_rating
    if item not in history or highest is None:
        cite = words.cite("fact user", user=user, count=len(history))
        phrase = "had" if item in history else "had not"
        return words.say(phrase, user=user, title=title, cite=cite)
    rating = catalogue.ratings_of(user)[item]
    cite = words.cite("fact rating", user=user, title=title, rating=rating)
    return words.say(
        "had rated", user=user, title=title, rating=rating, highest=highest, cite=cite
    )
