"""The result in a few sentences, which claim no more than the paired test tells."""

from collections.abc import Iterable, Mapping
from typing import Any

from llmgnn_jax.evaluation.direction import lower_is_better
from llmgnn_jax.evaluation.leaderboard import Document, by_quality, main_metric
from llmgnn_jax.evaluation.report import numbers
from llmgnn_jax.evaluation.report.markup import Child, Markup, element
from llmgnn_jax.evaluation.significance import LEVEL

_TESTED_BY = {"rmse": "mse"}
"""Metric -> what users are compared by, where they have no value of its own."""

_MOST_NAMED = 3


def finding(document: Document) -> Markup:
    """The best number of the main metric, and what is told apart by that metric.

    One is called best only where it is the model that was compared with all others, and
    is told from each of them.
    """
    metric = main_metric(document)
    values = {
        name: model["test"][metric]
        for name, model in by_quality(document)
        if model["test"].get(metric) is not None
    }
    if not values:
        return Markup()
    top, value = next(iter(values.items()))
    number = element("strong", numbers.metric(value))
    sentences: list[Child] = [element("strong", top)]
    if len(values) == 1:
        sentences += [f" on test: {metric} ", number, "."]
        return element("p", *sentences, class_="finding")
    asked = next((one["a"] for one in document["comparisons"]), "")
    tests = {
        one["b"]: one
        for one in document["comparisons"]
        if one["metric"] in (metric, _TESTED_BY.get(metric))
        and one["a"] == asked
        and {asked, one["b"]} <= values.keys()
    }
    is_told_apart = len(tests) == len(values) - 1 and all(
        map(_is_apart, tests.values())
    )
    if asked == top and is_told_apart:
        sentences += [f" is best on test: {metric} ", number]
    else:
        extreme = "lowest" if lower_is_better(metric) else "highest"
        sentences += [f" has the {extreme} {metric} on test: ", number]
    sentences.append(_beside_the_other_kind(document, values))
    sentences.append(_tested(asked, list(values), tests))
    return element("p", *sentences, class_="finding")


def _beside_the_other_kind(document: Document, values: Mapping[str, float]) -> str:
    """The end of the sentence: learned beside baseline, or the reverse."""
    models = document["models"]
    top, value = next(iter(values.items()))
    is_baseline = bool(models[top].get("baseline"))
    other = next(
        (name for name in values if bool(models[name].get("baseline")) != is_baseline),
        None,
    )
    if other is None or min(value, values[other]) <= 0:
        return "."
    if is_baseline:
        share = _beside(values[other], value)
        return f". It is a baseline; {other}, the best learned model, is {share} it."
    return f", {_beside(value, values[other])} {other}, the best baseline."


def _beside(value: float, reference: float) -> str:
    share = 100 * abs(value - reference) / reference
    return f"{share:.1f}\u00a0% {'below' if value < reference else 'above'}"


def _tested(asked: str, ranked: list[str], tests: Mapping[str, Any]) -> str:
    """What the test tells of the model that recommends, beside those before it.

    Where it is the first itself: beside all others.
    """
    if not tests:
        return " By this metric nothing was tested."
    is_top = asked == ranked[0]
    before = ranked[1:] if is_top else ranked[: ranked.index(asked)]
    rivals = [one for one in before if one in tests]
    if not rivals:
        return ""
    unsure = [one for one in rivals if not _is_apart(tests[one])]
    apart = [one for one in rivals if one not in unsure]
    it = "it" if is_top else f"{asked}, which recommends,"
    if not unsure:
        count = f"all {len(apart)} others (p < {LEVEL:g}, corrected)"
        whom = count if is_top and len(apart) > 1 else _named(apart, tests)
        return f" A paired test tells {it} from {whom}."
    words = f"does not tell {it} from {_named(unsure, tests)}"
    if apart and not is_top:
        words += f", but from {_named(apart, tests)}"
    return f" A paired test {words}."


def _named(names: Iterable[str], tests: Mapping[str, Any]) -> str:
    named = [f"{name} ({numbers.chance(tests[name]['p'])})" for name in names]
    if len(named) > _MOST_NAMED:
        named[_MOST_NAMED:] = [f"{len(named) - _MOST_NAMED} more"]
    *firsts, last = named
    return f"{', '.join(firsts)} and {last}" if firsts else last


def _is_apart(test: Mapping[str, Any]) -> bool:
    return bool(test["p"] < LEVEL)
