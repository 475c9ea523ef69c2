"""`report.html`: one file that opens offline, on a desktop and on a phone."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmgnn_jax.assets.bucket import run_path
from llmgnn_jax.evaluation.leaderboard import main_metric
from llmgnn_jax.evaluation.report import differences, numbers, sections
from llmgnn_jax.evaluation.report.chart import Curve, line_chart
from llmgnn_jax.evaluation.report.finding import finding
from llmgnn_jax.evaluation.report.kinds import kinds_section
from llmgnn_jax.evaluation.report.markup import Markup, element, join
from llmgnn_jax.evaluation.report.series import ModelSeries, read_series
from llmgnn_jax.evaluation.report.style import CSS
from llmgnn_jax.evaluation.results import read_results, write_atomically

logger = logging.getLogger(__name__)

FILE_NAME = "report.html"

_NUM_COLORS = 6

# Should markup ever slip through, the browser still loads and runs nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def write_report(run_dir: Path | str) -> Path:
    """Writes `report.html` into a run folder and returns its path.

    Reads `results.json` there, and `metrics.jsonl` (curves) and `config.json` where
    they exist.

    Raises:
        UserError: If `results.json` is absent or breaks its contract.
    """
    run_dir = run_path(run_dir)
    document = read_results(run_dir)
    series = read_series(run_dir / "metrics.jsonl")
    config = _read_config(run_dir / "config.json")
    path = run_dir / FILE_NAME
    write_atomically(path, render(document, series, config))
    return path


def render(
    document: Mapping[str, Any],
    series: Mapping[str, ModelSeries],
    config: Mapping[str, Any],
) -> str:
    """The page as text.

    Args:
        document: A checked `results.json`.
        series: Model -> what was logged of it.
        config: The run's configuration; may be empty.
    """
    protocol = document["protocol"]
    learned = [n for n, m in document["models"].items() if not m.get("baseline")]
    named = dict.fromkeys([*learned, *series])
    colors = {name: i % _NUM_COLORS for i, name in enumerate(named)}
    # In the order of the table, whichever was trained first.
    series = {name: series[name] for name in named if name in series}
    title = f"{protocol['dataset']}: {protocol['task']}"
    header = element(
        "header",
        element("h1", protocol["dataset"]),
        element(
            "p",
            " · ".join(
                [
                    f"{protocol['task']}, {protocol['split_name']}",
                    document["device"],
                    document["date"][:10],
                ]
            ),
        ),
        finding(document),
    )
    body = element(
        "main",
        header,
        sections.models_section(document, colors),
        kinds_section(document),
        differences.comparisons_section(document),
        _curves_section(document, series, colors),
        differences.slices_section(document),
        differences.lists_section(document),
        sections.paths_section(document),
        sections.examples_section(document),
        sections.definitions("Protocol", protocol),
        _speed_section(series, colors),
        sections.definitions("Environment", document["environment"]),
        _command_section(document["command"], config),
    )
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", title),
        element("style", Markup(CSS)),
    )
    html = element("html", head, element("body", body), lang="en")
    return f"<!doctype html>\n{html}\n"


def _curves_section(
    document: Mapping[str, Any],
    series: Mapping[str, ModelSeries],
    colors: Mapping[str, int],
) -> Markup:
    metric = main_metric(document)
    references = {
        name: model["valid"][metric]
        for name, model in document["models"].items()
        if model.get("baseline") and model["valid"].get(metric) is not None
    }
    charts = [
        line_chart(
            [
                Curve(name=name, color=colors[name], points=s.valid.get(metric, []))
                for name, s in series.items()
            ],
            title=f"{metric} on valid",
            x_label="step",
            references=references,
        ),
        line_chart(
            [
                Curve(name=name, color=colors[name], points=s.loss)
                for name, s in series.items()
            ],
            title="Training loss",
            x_label="step",
        ),
    ]
    if not any(charts):
        return Markup()
    return element(
        "section", element("h2", "Training"), element("div", *charts, class_="charts")
    )


def _speed_section(
    series: Mapping[str, ModelSeries], colors: Mapping[str, int]
) -> Markup:
    """Typical speeds of training, where they were logged."""
    columns = [
        (head, {name: of(model) for name, model in series.items()})
        for head, of in (
            ("examples/s", lambda model: model.typical("examples_per_s")),
            ("tokens/s", lambda model: model.typical("tokens_per_s")),
            ("peak MB", lambda model: model.highest("memory_mb")),
        )
    ]
    # A run on stored text vectors reads no tokens.
    columns = [(head, values) for head, values in columns if any(values.values())]
    if not columns:
        return Markup()
    rows = [
        element(
            "tr",
            element(
                "th", element("span", name, class_=f"key s{colors[name]}"), scope="row"
            ),
            *(
                element("td", numbers.count(values[name] or None))
                for _, values in columns
            ),
        )
        for name in series
    ]
    heads = ("Model", *(head for head, _ in columns))
    head = element("tr", *(element("th", text, scope="col") for text in heads))
    table = element("table", element("thead", head), element("tbody", *rows))
    return element(
        "section",
        element("h2", "Speed"),
        element("p", "Medians over the logged steps; the largest memory seen."),
        sections.scrolling(table, "Training speed"),
    )


def _command_section(command: str, config: Mapping[str, Any]) -> Markup:
    parts = [element("h2", "Command"), element("pre", element("code", command))]
    if config:
        rows = [
            join(element("dt", name), element("dd", sections.flat(value)))
            for name, value in _flattened(config).items()
        ]
        parts.append(
            element(
                "details",
                element("summary", "The whole configuration"),
                element("dl", *rows),
            )
        )
    return element("section", *parts)


def _flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"model": {"dim": 64}} -> {"model.dim": 64}."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat.update(_flattened(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        logger.warning("%s: left out of the report (%s)", path, error)
        return {}
    return config if isinstance(config, dict) else {}
