"""One wording of titles and catalogue texts, whichever file they were read from."""

import re
import unicodedata
from collections.abc import Sequence

_YEAR = re.compile(r"\((\d{4})\)")


def clean(text: str) -> str:
    """Composed Unicode (NFC), one space between words, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def titled(title: str, year: str) -> str:
    """A title with its year at the end, "Toy Story (1995)"; "" without a title."""
    if not title or not year or title.endswith(f"({year})"):
        return title
    return f"{title} ({year})"


def year_of(title: str) -> float:
    """The last year in brackets in a title; NaN where there is none."""
    years = _YEAR.findall(title)
    return float(years[-1]) if years else float("nan")


def catalogue_text(title: str, categories: Sequence[str], prose: str = "") -> str:
    """What is encoded for an item: "Toy Story (1995). Animation, Comedy. <prose>"."""
    sentences = [
        sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
        for sentence in (title, ", ".join(categories), prose)
        if sentence
    ]
    return " ".join(sentences)
