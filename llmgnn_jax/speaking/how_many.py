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
_A_ZH = re.compile("一[部个]")
_ZH = re.compile(r"[零一二两三四五六七八九十百千]+(?=[部个])")
# "-3", "3%", "#3" and a quoted "3 films" are no counts.
_SIGN = re.compile(rf"[^\w\s,.:;!?。(){NAMED}]")
# Of "top-5".
_HYPHEN = re.compile(r"(?<=[^\W\d_])-$")


def with_number(line: str, found: Mentioned) -> Mentioned | None:
    """What is named together with the number of a question; None where it has none.

    Args:
        line: The question.
        found: What else it names.
    """
    rest = found.without(line)
    spans = {one.start: (one.stop, one.value) for one in numbers_in(rest)}
    for match in _ONE.finditer(rest):
        # Not that of "twenty-one films".
        if not any(start < match.start() < stop for start, (stop, _) in spans.items()):
            spans[match.start()] = match.start() + len("one"), 1
    for match in _ZH.finditer(rest):
        if (value := chinese_number(match[0])) is not None:
            spans[match.start()] = match.end(), value
    counts = [
        (start, stop, int(value))
        for start, (stop, value) in spans.items()
        if 1 <= value < float("inf") and _is_count(rest, start, stop)
    ]
    if len(counts) != 1:
        return None
    [(start, stop, number)] = counts
    place = Place(start - bool(_HYPHEN.search(rest[:start])), stop, "NUMBER")
    return dataclasses.replace(found, number=number, places=[*found.places, place])


def _is_count(text: str, start: int, stop: int) -> bool:
    """Whether a number stands alone; where thousands have points it is not clear."""
    before, behind = _HYPHEN.sub("", text[:start])[-1:], text[stop : stop + 1]
    is_apart = not _SIGN.match(before) and not _SIGN.match(behind)
    return is_apart and "." not in text[start:stop] and not _A_ZH.match(text, start)
