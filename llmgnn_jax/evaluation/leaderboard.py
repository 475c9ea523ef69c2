"""The order of models in every table made from `results.json`."""

from collections.abc import Mapping
from typing import Any

from llmgnn_jax.evaluation.direction import as_gain

Document = Mapping[str, Any]


def main_metric(document: Document) -> str:
    """What models are ordered by: the one of the protocol, by which they were chosen.

    Where it names none: ndcg at the first cut-off, else the first metric there is.
    """
    names = list(next(iter(document["models"].values()))["test"])
    protocol = document["protocol"]
    wanted = [protocol.get("metric"), *(f"ndcg@{k}" for k in protocol["k"])]
    return next((name for name in wanted if name in names), names[0] if names else "")


def by_quality(document: Document) -> list[tuple[str, Document]]:
    """(name, model) pairs, best on test first; those without a number last."""
    metric = main_metric(document)

    def value(pair: tuple[str, Document]) -> float:
        measured = pair[1]["test"].get(metric)
        return float("-inf") if measured is None else as_gain(metric, float(measured))

    return sorted(document["models"].items(), key=value, reverse=True)


def best_value(document: Document, part: str, metric: str) -> float | None:
    """The best value of a metric on "valid" or "test", None if none was measured.

    The largest one; of an error the smallest.
    """
    measured = [model[part].get(metric) for model in document["models"].values()]
    return max(
        (value for value in measured if value is not None),
        key=lambda value: as_gain(metric, value),
        default=None,
    )
