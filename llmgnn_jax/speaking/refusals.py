"""What a question names and nobody knows, said before anything is answered."""

from collections.abc import Iterator

from llmgnn_jax.speaking.answer_words import AnswerWords
from llmgnn_jax.speaking.quoting import quoted

MOST_NAMED = 100
"""Items that are recommended in words: nobody reads more."""

_SHOWN = 6
"""Of what is not known, or could be meant."""


def refusal(words: AnswerWords) -> str:
    """Why a question is not answered, in one line; "" where it is."""
    said = list(_unknown(words))
    if not said and words.asked.kind == "unknown":
        return words.say("not understood", asked=words.say("may be asked"))
    if not said and (words.asked.number or 0) > MOST_NAMED:
        return words.say("too many", most=MOST_NAMED)
    if not said and words.asked.years is not None and not words.catalogue.has_years:
        return words.say("no years")
    return words.space(said)


def _unknown(words: AnswerWords) -> Iterator[str]:
    asked, catalogue = words.asked, words.catalogue
    if asked.unknown_user:
        yield words.say("unknown user", words=quoted(asked.unknown_user))
    if asked.other_user:
        yield words.say("other user", words=quoted(asked.other_user))
    for name, items in asked.several:
        titles = {catalogue.title(item) for item in items}
        by_id = len(titles) < len(items)
        listed = words.join(
            _with_id(words, item) if by_id else words.titled(item)
            for item in items[:_SHOWN]
        )
        phrase = "several by id" if by_id else "several"
        yield words.say(phrase, words=repr(name), list=listed)
    if not asked.unknown:
        return
    shown = asked.unknown[:_SHOWN]
    yield words.say("unknown", words=words.join(repr(quoted(one)) for one in shown))
    near = [
        words.say("near one", title=name)
        for one in shown
        for name in catalogue.near_names(one)
    ]
    if near:
        yield words.say("near", list=words.say("or").join(dict.fromkeys(near)))
    else:
        yield words.say("may be asked")


def _with_id(words: AnswerWords, item: int) -> str:
    item_id = quoted(words.catalogue.item_ids[item])
    return words.say("with id", title=words.titled(item), id=item_id)
