"""Citations, put behind the words that an edge backs up."""

import re
from collections.abc import Sequence

from llmgnn_jax.speaking.account import Account
from llmgnn_jax.speaking.claims import Backed
from llmgnn_jax.speaking.reading import Reading, Refused

# A name with its year and its quotes.
_NAME_END = re.compile(r"\s*\(\d{4}\)[\"”’》]?|[\"”’》]?(?:\s*\(\d{4}\))?|'(?!\w)|")


def with_citations(
    reading: Reading, backed: Sequence[Backed], account: Account
) -> tuple[str, tuple[int, ...]]:
    """The text, each reason cited behind the first words that tell of it.

    Args:
        reading: The text.
        backed: What it claims.
        account: Whose reasons are cited.

    Returns:
        The text, and the numbers that it cites, ascending.

    Raises:
        Refused: If a reason is not told.
    """
    if not account.reasons:
        raise Refused("has no reason to tell")
    places: dict[int, list[int]] = {}
    for number, reason in enumerate(account.reasons):
        told = [one for one in backed if one.number == number]
        if not told:
            raise Refused("leaves a reason out")
        stops = [
            _behind_name(reading.text, span.stop)
            for span in reading.spans
            if account.tells(reason, span.of)
        ] or [reading.stop(one.people_stop) for one in told]
        places.setdefault(stops[0], []).extend(reason.edges)
    text, cited = reading.text, set()
    for stop in sorted(places, reverse=True):
        edges = sorted(set(places[stop]))
        cited |= set(edges)
        marks = "".join(f"[{edge}]" for edge in edges)
        space = "" if text[stop - 1] in "》」人户" else " "
        text = f"{text[:stop]}{space}{marks}{text[stop:]}"
    return text, tuple(sorted(cited))


def _behind_name(text: str, stop: int) -> int:
    match = _NAME_END.match(text, stop)
    return match.end() if match else stop
