"""How many items a question asks for: "three films", "top 5", "5部电影"."""

import dataclasses
import re

from llmgnn_jax.speaking.mentioned import NAMED, Mentioned, Place
from llmgnn_jax.speaking.numbers import chinese_number, numbers_in

# "Which one", "the one": no number. "One film" is, and "one comedy".
_ONE = re.compile(
    r"\bone (?=(?:good |other |more |best )?"
    rf"(?:film|movie|item|product|title|thing|{NAMED}))",
    re.IGNORECASE,
)
# "一部" is "a film".
_ZH = re.compile(r"(?!一[部个])[一二两三四五六七八九十百]+(?=[部个])")


def with_number(line: str, found: Mentioned) -> Mentioned | None:
    """What is named together with the number of a question; None where it has none.

    Args:
        line: The question.
        found: What else it names.
    """
    rest = found.without(line)
    spans = {
        one.start: (one.stop, one.value)
        for one in numbers_in(rest)
        if one.value >= 1 and one.value == int(one.value)
    }
    for match in _ONE.finditer(rest):
        spans[match.start()] = match.start() + len("one"), 1
    for match in _ZH.finditer(rest):
        if (value := chinese_number(match[0])) is not None:
            spans[match.start()] = match.end(), value
    if len(spans) != 1:
        return None
    [(start, (stop, value))] = spans.items()
    place = Place(start, stop, "NUMBER")
    return dataclasses.replace(found, number=int(value), places=[*found.places, place])
