"""The contract of `results.json`, checked field by field."""

import math
import re
from typing import Any

from llmgnn_jax.errors import UserError

_METRIC = re.compile(r"[a-z][a-z0-9_]*(@[1-9][0-9]*)?")
_HASH = re.compile(r"[0-9a-f]{8,64}")
_COMPARISON = {"a", "b", "metric", "delta", "p", "method", "correction"}
_RECOMMENDATION = {"rank", "title", "score", "hit"}
_EXPLANATION = ("sentences", "drawing")


def check_results(document: Any) -> None:
    """Checks a parsed document; fields beyond the contract are allowed.

    Raises:
        UserError: Naming the first field at fault.
    """
    _need(isinstance(document, dict), "results", "an object", document)
    for name, kind, expected in (
        ("protocol", dict, "an object"),
        ("models", dict, "an object"),
        ("comparisons", list, "a list"),
        ("environment", dict, "an object"),
        ("command", str, "a string"),
        ("date", str, "a string"),
        ("device", str, "a string"),
        ("paths", dict, "an object"),
        ("examples", list, "a list"),
    ):
        _need_kind(document, name, kind, expected)
    _check_protocol(document["protocol"])
    _need(bool(document["models"]), "models", "at least one model", {})
    for name, model in document["models"].items():
        _check_model(model, f"models.{name}")
    for name, path in document["paths"].items():
        where = f"paths.{name}"
        _need(isinstance(path, dict), where, "an object", path)
        _need_kind(path, "description", str, "a string", where)
        _check_metrics(path.get("metrics"), f"{where}.metrics")
    for i, example in enumerate(document["examples"]):
        _check_example(example, f"examples[{i}]")
    for i, comparison in enumerate(document["comparisons"]):
        complete = isinstance(comparison, dict) and comparison.keys() >= _COMPARISON
        expected = "an object with " + ", ".join(sorted(_COMPARISON))
        _need(complete, f"comparisons[{i}]", expected, comparison)


def _check_protocol(protocol: dict[str, Any]) -> None:
    for name in ("task", "dataset", "split_name", "masking"):
        _need_kind(protocol, name, str, "a string", "protocol")
    for name in ("fingerprint", "split_hash"):
        value = protocol.get(name)
        is_hash = isinstance(value, str) and _HASH.fullmatch(value) is not None
        _need(is_hash, f"protocol.{name}", "a hash in hex", value)
    _need_kind(protocol, "filters", list, "a list", "protocol")
    cutoffs = protocol.get("k")
    whole = isinstance(cutoffs, list) and all(type(k) is int and k > 0 for k in cutoffs)
    _need(whole, "protocol.k", "a list of positive integers", cutoffs)


def _check_model(model: Any, where: str) -> None:
    _need(isinstance(model, dict), where, "an object", model)
    _check_metrics(model.get("valid"), f"{where}.valid")
    _check_metrics(model.get("test"), f"{where}.test")
    seconds = model.get("seconds")
    _need(_is_number(seconds), f"{where}.seconds", "a number or null", seconds)
    for name in ("per_seed", "ci95", "slices", "beyond_accuracy", "budget"):
        _need_kind(model, name, dict, "an object", where)
    for kind, found in model.get("kinds", {}).items():
        there = f"{where}.kinds.{kind}"
        _need(isinstance(found, dict), there, "an object", found)
        for name in ("alone", "together"):
            _check_metrics(found.get(name), f"{there}.{name}")


def _check_example(example: Any, where: str) -> None:
    _need(isinstance(example, dict), where, "an object", example)
    _need_kind(example, "label", str, "a string", where)
    _need_kind(example, "history", list, "a list of titles", where)
    _need_kind(example, "recommendations", dict, "an object", where)
    for name, items in example["recommendations"].items():
        complete = isinstance(items, list) and all(
            isinstance(item, dict) and item.keys() >= _RECOMMENDATION for item in items
        )
        expected = "a list of objects with " + ", ".join(sorted(_RECOMMENDATION))
        _need(complete, f"{where}.recommendations.{name}", expected, items)
    # Runs of before there were explanations have none.
    explanation = example.get("explanation")
    complete = explanation is None or (
        isinstance(explanation, dict)
        and all(isinstance(explanation.get(name), str) for name in _EXPLANATION)
    )
    expected = "null, or strings " + " and ".join(_EXPLANATION)
    _need(complete, f"{where}.explanation", expected, explanation)


def _check_metrics(metrics: Any, where: str) -> None:
    _need(isinstance(metrics, dict), where, "an object metric -> value", metrics)
    for name, value in metrics.items():
        _need(_METRIC.fullmatch(name) is not None, where, "names like ndcg@10", name)
        _need(_is_number(value), f"{where}.{name}", "a number or null", value)


def _is_number(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and math.isfinite(value))


def _need_kind(
    parent: dict[str, Any], name: str, kind: type, expected: str, where: str = ""
) -> None:
    value = parent.get(name)
    field = f"{where}.{name}" if where else name
    _need(isinstance(value, kind), field, expected, value)


def _need(condition: bool, name: str, expected: str, got: Any) -> None:
    if not condition:
        text = "nothing" if got is None else repr(got)
        shown = text if len(text) <= 60 else text[:57] + "..."
        raise UserError.field(name, expected=expected, got=shown)
