"""The part of the page that tells what is warm from what is cold."""

from llmgnn_jax.evaluation.leaderboard import Document, by_quality, main_metric
from llmgnn_jax.evaluation.report import numbers
from llmgnn_jax.evaluation.report.differences import plain_table
from llmgnn_jax.evaluation.report.markup import Markup, element


def kinds_section(document: Document) -> Markup:
    """Each kind of pair among its own items alone, and in the lists of all."""
    main = main_metric(document)
    longest = max(document["protocol"]["k"], default=0)
    metrics = list(dict.fromkeys([main, f"recall@{longest}"]))
    rows = [
        [
            f"{name}: {kind}",
            *(
                cell
                for metric in metrics
                for cell in _cells(
                    found["alone"].get(metric), found["together"].get(metric)
                )
            ),
            numbers.count(found.get("users")),
        ]
        for name, model in by_quality(document)
        for kind, found in model.get("kinds", {}).items()
    ]
    if not rows:
        return Markup()
    columns = [
        column
        for metric in metrics
        for column in (f"{metric} alone", "together", "kept")
    ]
    return element(
        "section",
        element("h2", "Warm and cold"),
        element(
            "p",
            "What is to be found on test by whether training ever met the user and the "
            "item: among items of its own kind alone, in the lists of all items "
            "together, and how much of the first is kept in the second.",
        ),
        plain_table(["", *columns, "users"], rows, "Warm and cold, alone and together"),
    )


def _cells(alone: float | None, together: float | None) -> list[str]:
    kept = "–"
    if alone and together is not None:
        kept = f"{100 * together / alone:.1f}\u00a0%"
    return [numbers.metric(alone), numbers.metric(together), kept]
