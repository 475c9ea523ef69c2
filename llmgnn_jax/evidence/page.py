"""An explanation as one HTML file that opens offline."""

from llmgnn_jax.evaluation.report.markup import Markup, element
from llmgnn_jax.evaluation.report.style import CSS
from llmgnn_jax.evidence.document import sum_rows
from llmgnn_jax.evidence.drawing import drawing
from llmgnn_jax.evidence.explanation import Evidence
from llmgnn_jax.evidence.labels import Language, label_of
from llmgnn_jax.evidence.template import sentence

# Should markup ever slip through, the browser still loads and runs nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


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
        element("section", Markup(drawing(evidence, language=language))),
        element("section", element("div", table, class_="scroll")),
    )
    html = element("html", head, element("body", body), lang=language)
    return f"<!doctype html>\n{html}\n"
