"""One wording of titles and catalogue texts, whichever file they were read from."""

import html
import re
import unicodedata
from collections.abc import Sequence

from llmgnn_jax.data.sources.json_lines import without_halves

_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_UNSEEN = re.compile(
    r"<!--.*?-->|<(script|style)\b[^<>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE
)
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
    return sentences(title, ", ".join(categories), prose)


def catalogue_texts(
    titles: Sequence[str], categories: Sequence[Sequence[Sequence[str]]]
) -> tuple[str, ...]:
    """`catalogue_text` of each item: its title, and its values in all columns."""
    return tuple(
        catalogue_text(title, [one for values in row for one in values])
        for title, *row in zip(titles, *categories, strict=True)
    )


def sentences(*parts: str) -> str:
    """The parts that say something, each with a full stop at its end."""
    return " ".join(
        part if part.endswith((".", "!", "?")) else f"{part}." for part in parts if part
    )


def without_markup(text: str) -> str:
    """The cleaned text of a piece of HTML: no tags, scripts or entities."""
    # Entities first: tags that were escaped once more are tags all the same.
    text = _TAG.sub(" ", _UNSEEN.sub(" ", html.unescape(text)))
    # An entity may stand for half of a surrogate pair too.
    return clean(without_halves(text))
