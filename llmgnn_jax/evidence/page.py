"""An explanation as one HTML file that opens offline."""

from collections.abc import Mapping

from llmgnn_jax.evaluation.report.markup import Markup, element
from llmgnn_jax.evaluation.report.sections import scrolling
from llmgnn_jax.evaluation.report.style import CSS
from llmgnn_jax.evidence.document import sum_rows
from llmgnn_jax.evidence.drawing import drawing
from llmgnn_jax.evidence.explanation import Evidence
from llmgnn_jax.evidence.labels import Language, label_of
from llmgnn_jax.evidence.template import sentence

# Should markup ever slip through, the browser still loads and runs nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_LABELS: Mapping[Language, tuple[str, str]] = {
    "en": ("What leads to it", "What the score is the sum of"),
    "zh": ("通向它的路径", "得分由何相加而成"),
}


def page(evidence: Evidence, *, language: Language = "en") -> str:
    """The sentences, the picture, and a table of what the score is the sum of."""
    title = label_of(evidence, evidence.item, language)
    table = element(
        "table",
        element(
            "tbody",
            *(
                element(
                    "tr",
                    element("td", number),
                    element("td", amount),
                    *(element("td", name, class_="name") for name in names),
                )
                for number, amount, *names in sum_rows(evidence, language)
            ),
        ),
    )
    picture, words = Markup(drawing(evidence, language=language)), _LABELS[language]
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", title),
        element("style", Markup(CSS)),
    )
    body = element(
        "main",
        element("header", element("h1", title)),
        element("section", element("p", sentence(evidence, language=language))),
        element("section", scrolling(picture, words[0])),
        element("section", scrolling(table, words[1])),
    )
    html = element("html", head, element("body", body), lang=language)
    return f"<!doctype html>\n{html}\n"
