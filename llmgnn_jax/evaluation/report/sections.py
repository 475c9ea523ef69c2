"""The parts of the page that come from `results.json`."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from llmgnn_jax.evaluation.direction import lower_is_better
from llmgnn_jax.evaluation.leaderboard import (
    Document,
    best_value,
    by_quality,
    main_metric,
)
from llmgnn_jax.evaluation.report import numbers
from llmgnn_jax.evaluation.report.markup import Markup, element, join


def models_section(document: Document, colors: Mapping[str, int]) -> Markup:
    """Tables of models: the main cut-off, the others folded, and the budgets."""
    names = list(
        dict.fromkeys(
            name for _, model in by_quality(document) for name in model["test"]
        )
    )
    main = main_metric(document)
    cutoff = main.partition("@")[2]
    first = [name for name in names if name.partition("@")[2] in ("", cutoff)]
    tables = [models_table(document, colors, first, seconds=True)]
    for k in document["protocol"]["k"]:
        others = [name for name in names if name.endswith(f"@{k}")]
        if others and str(k) != cutoff:
            table = models_table(document, colors, others, seconds=False)
            tables.append(
                element("details", element("summary", f"The same at {k}"), table)
            )
    budgets = [
        (name, model["budget"])
        for name, model in by_quality(document)
        if model["budget"]
    ]
    if budgets:
        rows = [
            join(element("dt", name), element("dd", _tuning(budget)))
            for name, budget in budgets
        ]
        tables.append(
            element(
                "details",
                element("summary", "What was tuned, on valid only"),
                element("dl", *rows),
            )
        )
    which = f"{main}, the lower the better" if lower_is_better(main) else main
    return element(
        "section",
        element("h2", "Models"),
        element(
            "p",
            f"Best on test first, by {which}; the best value of each "
            "column is bold. Choices were made on valid; test was read once. Seconds "
            "include tuning.",
        ),
        *tables,
    )


def models_table(
    document: Document,
    colors: Mapping[str, int],
    metrics: Sequence[str],
    *,
    seconds: bool,
) -> Markup:
    """One row a model: the main metric on valid, all metrics on test, seconds."""
    models = by_quality(document)
    main = main_metric(document)
    same = [m for m in metrics if m.partition("@")[0] == main.partition("@")[0]]
    on_valid = same or list(metrics[:1])
    on_test = sorted(metrics, key=lambda name: name not in on_valid)
    columns = [("valid", name) for name in on_valid]
    columns += [("test", name) for name in on_test]
    best = {column: best_value(document, *column) for column in columns}
    rows = []
    for name, model in models:
        is_baseline = bool(model.get("baseline"))
        label = element(
            "th",
            element("span", name, class_=f"key s{colors[name]}")
            if name in colors
            else element("span", name),
            element("span", "baseline", class_="tag") if is_baseline else None,
            scope="row",
        )
        cells = [
            element(
                "td",
                numbers.metric(model[part].get(metric)),
                class_="best"
                if _has(model, (part, metric))
                and model[part][metric] == best[part, metric]
                else None,
            )
            for part, metric in columns
        ]
        if seconds:
            cells.append(element("td", numbers.seconds(model["seconds"])))
        rows.append(element("tr", label, *cells))
    cutoff = metrics[0].partition("@")[2]
    at = f" @{cutoff}" if all(m.endswith(f"@{cutoff}") for m in metrics) else ""
    group = element(
        "tr",
        element("th"),
        element("th", f"Valid{at}", colspan=len(on_valid), scope="colgroup"),
        element("th", f"Test{at}", colspan=len(on_test), scope="colgroup"),
        element("th") if seconds else None,
        class_="group",
    )
    heads = [element("th", m.removesuffix(at[1:]), scope="col") for _, m in columns]
    head = element(
        "tr",
        element("th", "Model", scope="col"),
        *heads,
        element("th", "seconds", scope="col") if seconds else None,
    )
    return scrolling(
        element("table", element("thead", group, head), element("tbody", *rows)),
        "Table of models",
    )


def paths_section(document: Document) -> Markup:
    """The quality of each way to ask, if it was measured."""
    if not document["paths"]:
        return Markup()
    measured = list(
        dict.fromkeys(n for path in document["paths"].values() for n in path["metrics"])
    )
    # Beside a sentence there is room for a few; results.json has the others.
    cutoff = main_metric(document).partition("@")[2]
    shown = [f"{name}@{cutoff}" for name in ("ndcg", "recall", "mrr", "hit")]
    metrics = [name for name in shown if name in measured] or measured
    head = element(
        "tr",
        *(element("th", text, scope="col") for text in ("Path", "")),
        *(element("th", name, scope="col") for name in metrics),
        element("th", "users", scope="col"),
    )
    rows = [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", path["description"], class_="words"),
            *(element("td", numbers.metric(path["metrics"].get(m))) for m in metrics),
            element("td", numbers.count(path.get("num_users"))),
        )
        for name, path in document["paths"].items()
    ]
    table = element("table", element("thead", head), element("tbody", *rows))
    return element(
        "section",
        element("h2", "Ways to ask"),
        element("p", "What each path of recommendation is worth, on test."),
        scrolling(table, "Quality of each path"),
    )


def examples_section(document: Document) -> Markup:
    """Recommendations to look at, if there are any."""
    if not document["examples"]:
        return Markup()
    return element(
        "section",
        element("h2", "Examples"),
        element(
            "p",
            "Titles marked with a tick are in the user's test part, which no model had "
            "seen.",
        ),
        *(_example(example) for example in document["examples"]),
    )


def _example(example: Document) -> Markup:
    lists = [
        element(
            "div",
            element("h4", name),
            element("ol", *(_recommended(item) for item in items)),
        )
        for name, items in example["recommendations"].items()
    ]
    history = " · ".join(example["history"])
    return element(
        "div",
        element("h3", example["label"]),
        element("p", "History: ", history) if history else None,
        element("div", *lists, class_="lists"),
        _explanation(example.get("explanation")),
        class_="example",
    )


def _explanation(explanation: Document | None) -> Markup | None:
    """The picture as an image: what is in it can neither run nor style the page."""
    if explanation is None:
        return None
    encoded = base64.b64encode(explanation["drawing"].encode()).decode("ascii")
    sentences = explanation["sentences"]
    source = f"data:image/svg+xml;base64,{encoded}"
    return element(
        "figure",
        element("figcaption", "Why the first of them"),
        element("p", sentences),
        element("div", element("img", src=source, alt=sentences), class_="scroll"),
        class_="why",
    )


def _recommended(item: Document) -> Markup:
    score = "" if item["score"] is None else f"{item['score']:.2f}"
    mark = element("span", "\u00a0✓", title="in the test part") if item["hit"] else None
    return element(
        "li",
        element("span", item["rank"]),
        element("span", item["title"], mark, class_="title"),
        element("span", score, class_="score"),
        class_="hit" if item["hit"] else None,
    )


def definitions(title: str, entries: Mapping[str, object]) -> Markup:
    """A section of names and values."""
    rows = [
        join(element("dt", name.replace("_", " ")), element("dd", flat(value)))
        for name, value in entries.items()
    ]
    return element("section", element("h2", title), element("dl", *rows))


def scrolling(table: Markup, label: str) -> Markup:
    """A box in which a wide table scrolls, by keyboard too."""
    return element(
        "div", table, class_="scroll", tabindex=0, role="region", aria_label=label
    )


def flat(value: object) -> str:
    """A JSON value in words."""
    if isinstance(value, Mapping):
        words = (f"{key.replace('_', ' ')} {flat(item)}" for key, item in value.items())
        return "; ".join(words) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(flat(item) for item in value) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None:
        return "–"
    return str(value)


def _tuning(budget: Mapping[str, Any]) -> str:
    """A search in a sentence; other budgets as names and values."""
    if not budget.keys() >= {"trials", "grid", "chosen", "chosen_by"}:
        return flat(budget)
    sentence = (
        f"{flat(budget['chosen'])}, chosen by {budget['chosen_by']} among "
        f"{budget['trials']} trials ({flat(budget['grid'])})"
    )
    if budget.get("at_edge"):
        sentence += f"; at the edge of the grid: {flat(budget['at_edge'])}"
    return sentence


def _has(model: Document, column: tuple[str, str]) -> bool:
    return model[column[0]].get(column[1]) is not None
