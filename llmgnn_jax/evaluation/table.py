"""The table of models as plain text, for a terminal of 80 columns."""

from collections.abc import Mapping
from typing import Any

from llmgnn_jax.evaluation.leaderboard import best_value, by_quality, main_metric

_SHOWN = ("ndcg", "recall", "mrr", "coverage")


def models_table(document: Mapping[str, Any]) -> str:
    """One line a model, best on test first; `*` marks the best of a column.

    Shows the first cut-off: the main metric on valid, a few metrics on test, and the
    seconds of training with tuning.

    Args:
        document: A checked `results.json`.
    """
    main = main_metric(document)
    cutoff = main.partition("@")[2]
    models = by_quality(document)
    # Without cut-offs there are few metrics.
    on_test = (
        [f"{name}@{cutoff}" for name in _SHOWN]
        if cutoff
        else list(
            dict.fromkeys([main, *(m for _, model in models for m in model["test"])])
        )
    )
    on_test = [m for m in on_test if any(m in model["test"] for _, model in models)]
    columns = [("valid", main), *(("test", metric) for metric in on_test)]

    def cell(model: Mapping[str, Any], part: str, metric: str) -> str:
        value = model[part].get(metric)
        if value is None:
            return "- "
        return (
            f"{value:.4f}{'*' if value == best_value(document, part, metric) else ' '}"
        )

    names = {
        name: f"{name} (baseline)" if model.get("baseline") else name
        for name, model in models
    }
    first = max(len("model"), *map(len, names.values()))
    at = f"@{cutoff}" if cutoff else ""
    protocol = document["protocol"]
    lines = [
        f"{protocol['task']} on {protocol['dataset']}, {protocol['split_name']}",
        "",
        f"{'':{first}}  {'valid' + at:>9} {'test' + at:>9}",
        f"{'model':{first}}  "
        + " ".join(f"{metric.removesuffix(at):>8} " for _, metric in columns)
        + f" {'seconds':>7}",
    ]
    for name, model in models:
        seconds = model["seconds"]
        cells = " ".join(f"{cell(model, *column):>9}" for column in columns)
        took = "-" if seconds is None else f"{seconds:.1f}"
        lines.append(f"{names[name]:{first}}  {cells}  {took:>7}")
    return "\n".join(lines)
