"""The parts of the page that say how sure a result is, for whom, and at what price."""

from collections.abc import Mapping, Sequence
from typing import Any

from llmgnn_jax.evaluation.direction import lower_is_better
from llmgnn_jax.evaluation.leaderboard import Document, by_quality, main_metric
from llmgnn_jax.evaluation.report import numbers
from llmgnn_jax.evaluation.report.markup import Markup, element
from llmgnn_jax.evaluation.report.sections import scrolling
from llmgnn_jax.evaluation.significance import LEVEL


def comparisons_section(document: Document) -> Markup:
    """The recommending model beside each of the others, user by user."""
    found = document["comparisons"]
    if not found:
        return Markup()
    first, several = found[0], len(found) > 1
    rows = [
        [
            f"{one['a']} − {one['b']}",
            _signed(one["delta"]),
            " to ".join(_signed(end) for end in one.get("ci95_simultaneous", ()))
            or "–",
            numbers.chance(one["p"]).removeprefix("p\u00a0"),
        ]
        for one in found
    ]
    words = f"Differences in {first['metric']} on test, user by user"
    if lower_is_better(first["metric"]):
        words += ", below 0 where the first is better"
    words += f"; p by {first['method']}, two-sided"
    if several:
        level = 100 * (1 - LEVEL / len(found))
        words += (
            f", corrected for {len(found)} comparisons ({first['correction']}). So are "
            "the intervals: all of them hold at once at 95\u00a0%, each at "
            f"{level:.1f}\u00a0% (Bonferroni, so one may hold 0 where p is just below "
            f"{LEVEL:g})"
        )
    words += "."
    if any(_disagree(one) for one in found):
        words += (
            f" Where an interval leaves 0 out though p is {LEVEL:g} or more, go by p: "
            "resampled users give too narrow an interval where few of them differ."
        )
    interval = "95\u00a0%, all at once" if several else "95\u00a0% interval"
    return element(
        "section",
        element("h2", "How sure"),
        element("p", words),
        plain_table(["", "difference", interval, "p"], rows, "Differences"),
    )


def _disagree(one: Mapping[str, Any]) -> bool:
    """Whether the interval of a difference leaves 0 out, and p does not."""
    low, high = one.get("ci95_simultaneous") or (0.0, 0.0)
    return one["p"] >= LEVEL and (low > 0 or high < 0)


def slices_section(document: Document) -> Markup:
    """The main metric of each model for parts of users and of items."""
    metric = main_metric(document)
    names = list(
        dict.fromkeys(
            name
            for model in document["models"].values()
            for name in model.get("slices", {})
        )
    )
    if not names:
        return Markup()
    rows = [
        [
            name,
            *(
                numbers.metric(model["slices"].get(one, {}).get(metric))
                for one in names
            ),
        ]
        for name, model in by_quality(document)
    ]
    return element(
        "section",
        element("h2", "For whom, and of what"),
        element(
            "p",
            f"{metric} on test of users with so many train items, and of targets among "
            "the items that have the first, second and last third of all train "
            "interactions, the most popular first.",
        ),
        plain_table(["Model", *map(_unbroken, names)], rows, "Quality of parts"),
    )


def lists_section(document: Document) -> Markup:
    """What the lists of each model are like."""
    cutoff = main_metric(document).partition("@")[2]
    about = {
        name: {
            key.partition("@")[0].replace("_", " "): value
            for key, value in {
                **model.get("beyond_accuracy", {}),
                f"coverage@{cutoff}": model["test"].get(f"coverage@{cutoff}"),
            }.items()
            if key.partition("@")[2] == cutoff
        }
        for name, model in by_quality(document)
        if model.get("beyond_accuracy")
    }
    if not about:
        return Markup()
    columns = list(dict.fromkeys(key for row in about.values() for key in row))
    rows = [
        [name, *(numbers.metric(row.get(key)) for key in columns)]
        for name, row in about.items()
    ]
    return element(
        "section",
        element("h2", "What the lists are like"),
        element(
            "p",
            f"The first {cutoff} places on test: bits of surprise a place (novelty), 1 "
            "less the cosine of two items' train users (diversity), how much more "
            "popular lists are than histories (popularity lift), how unequally items "
            "are shown (gini), the share of places that show an item without a train "
            "interaction (new share) and of all items that are shown (coverage).",
        ),
        plain_table(["Model", *columns], rows, "What the lists are like"),
    )


def plain_table(
    head: Sequence[str], rows: Sequence[Sequence[Any]], label: str
) -> Markup:
    """A table of words and numbers; the first column names the row."""
    body = [
        element(
            "tr",
            element("th", name, scope="row"),
            *(element("td", cell) for cell in cells),
        )
        for name, *cells in rows
    ]
    heads = element("tr", *(element("th", text, scope="col") for text in head))
    return scrolling(
        element("table", element("thead", heads), element("tbody", *body)), label
    )


def _unbroken(name: str) -> str:
    """The name of a slice, which breaks neither in its range nor in its count."""
    name, opening, count = name.partition(" (")
    return name.replace("-", "-\u2060") + opening + count.replace(" ", "\u00a0")


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}".replace("-", "−")
