"""`report.html` and the table for terminals."""

import base64
import dataclasses
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.report import numbers, write_report
from llmgnn_jax.evaluation.report.chart import Curve, line_chart
from llmgnn_jax.evaluation.report.markup import Markup, element
from llmgnn_jax.evaluation.report.series import read_series
from llmgnn_jax.evaluation.results import (
    Example,
    Explanation,
    ModelResult,
    Recommendation,
    Results,
    write_results,
)
from llmgnn_jax.evaluation.table import models_table
from tests.evaluation.conftest import metrics

EVIL = '<script>alert(\'x\')</script> " onload="1" & Co'
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Tags with their attributes, the text, and whether each tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def report(run: Path, results: Results, *lines: object) -> Page:
    write_results(run, results)
    (run / "config.json").write_text(json.dumps({"model": {"dim": 64}, "name": EVIL}))
    log = "".join(json.dumps(line) + "\n" for line in lines)
    # A killed run leaves half a line.
    (run / "metrics.jsonl").write_text(log + '{"model": "fused", "ste')
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.open == []
    return page


def training_lines() -> list[dict[str, object]]:
    return [
        {"model": "fused", "step": 10, "loss": 0.7, "examples_per_s": 900.0},
        {"model": "fused", "step": 20, "loss": 0.4, "examples_per_s": 1_100.0},
        {"model": "fused", "step": 20, "valid": {"ndcg@10": 0.2}},
        {"model": "fused", "step": 30, "loss": float("nan"), "memory_mb": 812},
        {"model": "fused", "step": 40, "valid": {"ndcg@10": 0.3}},
    ]


def test_all_parts_are_there(results: Results, tmp_path: Path) -> None:
    page = report(tmp_path, results, *training_lines())
    for words in (
        "fused has the highest ndcg@10 on test: 0.3500 , 2.9 % above ease, the best "
        "baseline. By this metric nothing was tested.",
        "ease baseline 0.3100",
        "l2 300, chosen by valid ndcg@10 among 2 trials (l2 100, 300); at the edge",
        "by a sentence 0.1000 1\u202f234",
        "History: Toy Story (1995)",
        "1 Heat \u00a0✓ 2.50 2 Alien 1.50",
        "fingerprint " + "f" * 64,
        "fused 1\u202f000 812",
        "jax 0.10.2",
        "python train.py films --train.seed 0",
        "model.dim 64",
    ):
        assert " ".join(words.split()) in page.words, words
    charts = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert [chart["aria-label"] for chart in charts] == [
        "ndcg@10 on valid: fused ends at 0.3",
        "Training loss: fused ends at 0.4",
    ]


def test_bold_is_the_best_of_its_column(results: Results, tmp_path: Path) -> None:
    report(tmp_path, results)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    best = re.findall(r'<td class="best">([\d.]+)</td>', text)
    # At 10 valid ndcg (ease wins), test ndcg and recall; at 20 valid and test ndcg.
    assert sorted(best) == ["0.1750", "0.3100", "0.3410", "0.3500", "0.3850"]


def test_a_baseline_that_wins_is_said_to_win(results: Results, tmp_path: Path) -> None:
    models = dict(results.models)
    models["fused"] = dataclasses.replace(models["fused"], test={"ndcg@10": 0.17})
    page = report(tmp_path, dataclasses.replace(results, models=models))
    assert "ease has the highest ndcg@10 on test: 0.3400 . It is a baseline" in (
        page.words
    )
    assert "fused, the best learned model, is 50.0 % below it" in page.words
    rows = models_table(dataclasses.replace(results, models=models).document())
    assert rows.index("ease (baseline)") < rows.index("fused")


def compared(metric: str, **p_values: float) -> list[dict[str, object]]:
    """Comparisons of the fused model with others."""
    return [
        {
            **{"a": "fused", "b": name, "metric": metric, "delta": 0.01, "p": p},
            **{"method": "paired permutation of users", "correction": "Holm"},
            "ci95_simultaneous": [-0.002, 0.022],
        }
        for name, p in p_values.items()
    ]


@pytest.mark.parametrize(
    ("tested", "said"),
    [
        (
            compared("ndcg@10", ease=0.01, graph=0.0004, text=0.0004),
            "fused is best on test: ndcg@10 0.3500 , 2.9 % above ease, the best "
            "baseline. A paired test tells it from all 3 others (p < 0.05, corrected).",
        ),
        (
            compared("ndcg@10", ease=0.31, graph=0.062, text=0.0004),
            "fused has the highest ndcg@10 on test: 0.3500 , 2.9 % above ease, the "
            "best baseline. A paired test does not tell it from ease (p 0.310) and "
            "graph (p 0.062).",
        ),
        (
            compared("ndcg@20", ease=0.01, graph=0.0004, text=0.0004),
            "fused has the highest ndcg@10 on test: 0.3500 , 2.9 % above ease, the "
            "best baseline. By this metric nothing was tested.",
        ),
    ],
)
def test_the_headline_claims_what_was_tested(
    results: Results, tmp_path: Path, tested: list[dict[str, object]], said: str
) -> None:
    models = {
        **results.models,
        "graph": ModelResult(valid={}, test=metrics(0.32), seconds=1.0),
        "text": ModelResult(valid={}, test=metrics(0.10), seconds=1.0),
    }
    page = report(
        tmp_path, dataclasses.replace(results, models=models, comparisons=tested)
    )
    assert f"{said} Models" in page.words
    if "best on test: " not in said:
        assert "is best" not in page.words
    assert "corrected for 3 comparisons (Holm). So are the intervals" in page.words
    assert "each at 98.3 %" in page.words
    assert "fused − ease +0.0100 −0.0020 to +0.0220" in page.words


def test_an_interval_that_says_more_than_p(results: Results, tmp_path: Path) -> None:
    """Of few users who differ, all to one side, no draw may come to 0."""
    tested = compared("ndcg@10", ease=0.31, graph=0.0004)
    said = "Where an interval leaves 0 out though p is 0.05 or more, go by p"
    page = report(tmp_path, dataclasses.replace(results, comparisons=tested))
    assert said not in page.words
    for ends, disagree in (([0.002, 0.022], True), ([-0.02, -0.01], True), ([], False)):
        tested[0]["ci95_simultaneous"] = ends
        page = report(tmp_path, dataclasses.replace(results, comparisons=tested))
        assert (said in page.words) == disagree


def test_speeds_that_a_model_has_not(results: Results, tmp_path: Path) -> None:
    speeds = {"examples_per_s": 900.0, "tokens_per_s": 0.0}
    lines = (
        {"model": "fused", "step": 10, "loss": 0.7, **speeds},
        {"model": "encoder", "step": 0, "tokens_per_s": 2_700.0},
    )
    page = report(tmp_path, results, *lines)
    assert "fused 900 – encoder – 2 700" in page.words


def test_the_headline_of_a_model_that_is_not_the_best(
    results: Results, tmp_path: Path
) -> None:
    models = {
        **results.models,
        "graph": ModelResult(valid={}, test=metrics(0.36), seconds=1.0),
        "slim": ModelResult(valid={}, test=metrics(0.37), seconds=1.0, baseline=True),
    }
    for p, said in (
        (
            0.2,
            "does not tell fused, which recommends, from graph (p 0.200), but from "
            "slim (p 0.001).",
        ),
        (
            0.02,
            "tells fused, which recommends, from slim (p 0.001) and graph (p 0.020).",
        ),
    ):
        tested = compared("ndcg@10", ease=0.4, graph=p, slim=0.001)
        page = report(
            tmp_path, dataclasses.replace(results, models=models, comparisons=tested)
        )
        assert (
            "slim has the highest ndcg@10 on test: 0.3700 . It is a baseline; graph, "
            f"the best learned model, is 2.7 % below it. A paired test {said} Models"
        ) in page.words


def test_all_goes_by_the_metric_of_the_protocol(
    results: Results, tmp_path: Path
) -> None:
    other = dataclasses.replace(
        results,
        protocol=dataclasses.replace(results.protocol, metric="ndcg@20"),
        comparisons=compared("ndcg@20", ease=0.012),
    )
    page = report(tmp_path, other)
    assert (
        "fused is best on test: ndcg@20 0.3850 , 2.9 % above ease, the best baseline. "
        "A paired test tells it from ease (p 0.012)."
    ) in page.words
    assert "Valid @20 Test @20" in page.words
    assert "The same at 10" in page.words
    assert "The same at 20" not in page.words
    # One comparison is corrected for no other.
    assert "two-sided. difference 95 % interval p" in page.words


def test_of_errors_the_lowest_is_the_best(results: Results, tmp_path: Path) -> None:
    errors = {"fused": 0.9, "ease": 1.0}
    rated = dataclasses.replace(
        results,
        protocol=dataclasses.replace(results.protocol, task="rating", k=[]),
        models={
            name: dataclasses.replace(
                row,
                valid={"rmse": errors[name], "mae": errors[name] / 2},
                test={"rmse": errors[name], "mae": errors[name] / 2},
            )
            for name, row in results.models.items()
        },
        paths={},
    )
    page = report(tmp_path, rated)
    said = "fused has the lowest rmse on test: 0.9000 , 10.0 % below ease, the best"
    assert said in page.words
    assert "by rmse, the lower the better" in page.words
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    best = re.findall(r'<td class="best">([\d.]+)</td>', text)
    assert sorted(best) == ["0.4500", "0.9000", "0.9000"]
    rows = models_table(rated.document()).splitlines()
    assert [row.split()[0] for row in rows[-2:]] == ["fused", "ease"]
    assert "0.9000*" in rows[-2]
    assert "*" not in rows[-1]
    models = {"fused": rated.models["fused"], "ease": rated.models["ease"]}
    models["fused"] = dataclasses.replace(models["fused"], test={"rmse": 1.1})
    page = report(tmp_path, dataclasses.replace(rated, models=models))
    assert "fused, the best learned model, is 10.0 % above it" in page.words


def test_everything_is_escaped(results: Results, tmp_path: Path) -> None:
    protocol = dataclasses.replace(results.protocol, dataset=EVIL, split_name=EVIL)
    example = Example(
        label=EVIL,
        history=[EVIL],
        recommendations={
            EVIL: [Recommendation(rank=1, title=EVIL, score=1.0, hit=True)]
        },
    )
    evil = dataclasses.replace(
        results,
        protocol=protocol,
        models={**results.models, EVIL: results.models["fused"]},
        paths={EVIL: dataclasses.replace(results.paths["text"], description=EVIL)},
        examples=[example],
        environment={EVIL: EVIL},
        command=EVIL,
        device=EVIL,
    )
    lines = [{"model": EVIL, "step": 1, "loss": 1.0, "valid": {"ndcg@10": 0.1}}]
    page = report(tmp_path, evil, *lines)
    allowed = {
        *("html", "head", "meta", "title", "style", "body", "main", "header"),
        *("section", "h1", "h2", "h3", "h4", "p", "strong", "span", "div"),
        *("table", "thead", "tbody", "tr", "th", "td", "ol", "li", "dl", "dt", "dd"),
        *("details", "summary", "pre", "code", "figure", "figcaption"),
        *("svg", "g", "line", "text", "polyline", "circle"),
    }
    assert {tag for tag, _ in page.tags} <= allowed
    assert not [name for _, attrs in page.tags for name in attrs if name[:2] == "on"]
    assert page.words.count("<script>alert('x')</script>") >= 12


def test_an_example_is_explained(results: Results, tmp_path: Path) -> None:
    """Whatever the picture holds, it is the source of an image and nothing else."""
    drawing = f"<svg><script>alert(1)</script>{EVIL}</svg>"
    explained = dataclasses.replace(
        results.examples[0],
        explanation=Explanation(sentences=f"Because of {EVIL}", drawing=drawing),
    )
    page = report(tmp_path, dataclasses.replace(results, examples=[explained]))
    (image,) = [attributes for tag, attributes in page.tags if tag == "img"]
    source = image["src"] or ""
    assert source.startswith("data:image/svg+xml;base64,")
    assert base64.b64decode(source.partition(",")[2]).decode() == drawing
    assert image["alt"] == f"Because of {EVIL}"
    assert f"Because of {EVIL}" in page.words
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.open == []


def test_nothing_is_loaded(results: Results, tmp_path: Path) -> None:
    report(tmp_path, results, *training_lines())
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(|src=|href=", text)
    assert "default-src 'none'" in text
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text


def test_results_alone_are_enough(results: Results, tmp_path: Path) -> None:
    bare = dataclasses.replace(results, paths={}, examples=[])
    write_results(tmp_path, bare)
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "Training" not in page.words
    assert "Examples" not in page.words
    assert not [tag for tag, _ in page.tags if tag == "svg"]


def test_values_that_are_missing(results: Results, tmp_path: Path) -> None:
    models = {
        "empty": dataclasses.replace(
            results.models["fused"], valid={}, test={"ndcg@10": None}, seconds=None
        )
    }
    page = report(tmp_path, dataclasses.replace(results, models=models))
    assert "empty – – –" in page.words


def test_paths_show_a_few_metrics(results: Results, tmp_path: Path) -> None:
    many = {"recall@10": 0.21, "ndcg@10": 0.22, "map@10": 0.23, "ndcg@20": 0.24}
    path = dataclasses.replace(results.paths["text"], metrics=many)
    page = report(tmp_path, dataclasses.replace(results, paths={"text": path}))
    assert "text by a sentence 0.2200 0.2100 1 234" in page.words


def test_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run folder with results\.json"):
        write_report(tmp_path)


def test_series_skip_what_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"model": "a", "step": 2, "loss": 0.5, "tokens_per_s": 3}\n'
        '{"model": "a", "step": 1, "loss": Infinity, "valid": {"hit@1": 1}}\n'
        '{"model": "a", "step": 1, "loss": 0.75, "tokens_per_s": 5}\n'
        '\n[1]\n7\n{"step": 3}\n{"model": "a", "step": null}\n{"model": "b", "st'
    )
    series = read_series(path)
    assert list(series) == ["a"]
    assert series["a"].loss == [(1, 0.75), (2, 0.5)]
    assert series["a"].valid == {"hit@1": [(1, 1)]}
    assert series["a"].typical("tokens_per_s") == 4
    assert series["a"].highest("memory_mb") is None
    assert read_series(tmp_path / "absent") == {}


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    points = [(float(x), x % 7 / 7) for x in range(5_000)]
    chart = line_chart(
        [Curve(name="a", color=0, points=points)], title="t", x_label="x"
    )
    match = re.search(r'points="([^"]*)"', chart)
    assert match is not None
    places = match[1].split()
    assert 200 < len(places) <= 400
    # The last step lies at the right edge of the plot.
    assert float(places[-1].split(",")[0]) == 440 - 18


def test_names_of_close_reference_lines_do_not_overlap() -> None:
    chart = line_chart(
        [Curve(name="a", color=0, points=[(0, 0.0), (9, 1.0)])],
        title="t",
        x_label="x",
        references={"one": 0.500, "two": 0.501, "three": 0.502},
    )
    heights = re.findall(r'y="([\d.]+)" text-anchor="start"', chart)
    assert len(heights) == 3
    gaps = [float(b) - float(a) for a, b in pairwise(heights)]
    assert min(gaps) >= 12
    assert chart.index(">three<") < chart.index(">two<") < chart.index(">one<")


@pytest.mark.parametrize("points", [[(5.0, 0.2)], [(0.0, 0.0)], [(1, -3.0), (2, -3.0)]])
def test_flat_and_single_curves_can_be_drawn(points: list[tuple[float, float]]) -> None:
    chart = line_chart(
        [Curve(name="a", color=0, points=points)], title="t", x_label="x"
    )
    assert "nan" not in chart
    assert "<polyline" in chart


def test_no_curve_no_chart() -> None:
    chart = line_chart([Curve(name="a", color=0, points=[])], title="t", x_label="x")
    assert chart == ""


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 0.292, [0.0, 0.1, 0.2, 0.3]),
        (0.11, 0.79, [0.0, 0.2, 0.4, 0.6, 0.8]),
        (0, 6_000, [0, 2_000, 4_000, 6_000]),
        (0.5, 0.5, [0.5, 0.6]),
        (-1, 1, [-1.0, -0.5, 0.0, 0.5, 1.0]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    found, _ = numbers.ticks(low, high)
    assert found == pytest.approx(expected)


def test_numbers_in_words() -> None:
    assert numbers.tick(0.25, 0.05) == "0.25"
    assert numbers.tick(4_000, 2_000) == "4k"
    assert numbers.tick(0, 2_000) == "0"
    assert numbers.tick(300, 100) == "300"
    assert numbers.seconds(0.04) == "0.0"
    assert numbers.seconds(81.4) == "81"
    assert numbers.seconds(None) == "–"


def test_markup_is_escaped_once() -> None:
    inner = element("b", "a<b", title='"')
    assert inner == '<b title="&quot;">a&lt;b</b>'
    assert element("p", inner, None, 3) == f"<p>{inner}3</p>"
    assert element("p", str(Markup("x")) + "<i>") == "<p>x&lt;i&gt;</p>"


def test_the_table_fits_a_terminal(results: Results) -> None:
    table = models_table(results.document())
    lines = table.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "ranking on films, random 0.8:0.1:0.1, seed 0"
    assert lines[4].split() == ["fused", "0.3000", "0.3500*", "0.1750*", "81.0"]
    assert lines[5].split() == [
        *("ease", "(baseline)", "0.3100*", "0.3400", "0.1700", "4.2"),
    ]
