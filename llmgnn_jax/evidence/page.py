"""An explanation as one HTML file that opens offline."""

from llmgnn_jax.evaluation.report.markup import Markup, element
from llmgnn_jax.evaluation.report.style import CSS
from llmgnn_jax.evidence.document import edge_words
from llmgnn_jax.evidence.drawing import drawing
from llmgnn_jax.evidence.explanation import Evidence
from llmgnn_jax.evidence.labels import Language, label_of
from llmgnn_jax.evidence.template import cites, sentence, signed

# Should markup ever slip through, the browser still loads and runs nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(evidence: Evidence, *, language: Language = "en") -> str:
    """The sentences, the picture, and a table of the cited edges."""
    title = label_of(evidence, evidence.item, language)
    rows = [
        [
            cites((edge.number,)),
            signed(edge.attribution),
            *edge_words(evidence, edge, language),
        ]
        for edge in evidence.edges
    ]
    table = element(
        "table",
        element(
            "tbody",
            *(
                element("tr", *(element("td", cell, class_="words") for cell in row))
                for row in rows
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
