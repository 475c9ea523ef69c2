"""The page of throughput: that it is of the documents, its ratios, and what is lost."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import benchmarks_page, scale
from benchmarks.ratios import compared, groups, name_of, pairs
from benchmarks.suite import BENCHMARKS, RESULTS
from benchmarks.throughput_plots import curves, number_of, ratio_bars
from benchmarks.throughput_sections import SECTIONS
from benchmarks.throughput_tables import Result, range_table, rows_table


def row(system: str, variant: str, median: float, **changes: Any) -> dict[str, Any]:
    return {
        "system": system,
        "variant": variant,
        "precision": "float32",
        "size": "10,000 items",
        "unit": "ms",
        "median": median,
        "p10": 0.9 * median,
        "p90": 1.1 * median,
        "peak_mb": 100.0,
        "compile_s": 0.5,
        **changes,
    }


def document(*rows: dict[str, Any], name: str = "ranking") -> dict[str, Any]:
    return {
        "name": name,
        "device": "cpu, 2 cores",
        "versions": {"jax": "1.0", "torch": "2.0"},
        "parity": {"max_abs_error": 1e-6, "tolerance": 1e-5},
        "rows": list(rows),
        "ratios": [],
        "missing": [
            {
                "system": "pyg absent",
                "size": "10,000 items",
                "precision": "float32",
                "reason": "No module named 'torch_geometric'",
            }
        ],
        "sizes": {"10,000 items": "8 users, 10,000 items"},
        "canary": None,
        "environment": {
            "cpu": "Intel(R) Xeon(R) Processor",
            "threads": 2,
            "rounds": 9,
            "turn_s": 0.5,
        },
        "command": f"python -m benchmarks.{name}",
        "date": "2026-11-28",
    }


OURS = (row("llmgnn_jax", "native", 8.0), row("llmgnn_jax", "csr", 20.0))
PEERS = (row("pytorch", "slow", 16.0), row("pytorch", "fast", 6.0))


def test_the_page_is_that_of_the_documents() -> None:
    """`python -m benchmarks.benchmarks_page` was run after the last of them."""
    rendered = benchmarks_page.render()
    assert benchmarks_page.PAGE.read_text("utf-8") == rendered.page
    folder = benchmarks_page.PAGE.with_suffix("")
    pictures = {path.name: path.read_text("utf-8") for path in folder.glob("*.svg")}
    assert pictures == rendered.pictures
    readme = benchmarks_page.README.read_text("utf-8")
    assert readme == benchmarks_page.with_table(readme, rendered.table)
    scaled = json.loads((RESULTS / "scale.json").read_text("utf-8"))
    assert (RESULTS / "scale.svg").read_text("utf-8") == scale.picture(scaled)


def test_ratios_are_those_that_the_documents_have() -> None:
    checked = 0
    for result in benchmarks_page.load():
        for group in groups(result.document):
            for pair in pairs(group):
                known = [
                    one["ratio"]
                    for one in result.document["ratios"]
                    if (one["size"], one["precision"]) == (group.size, group.precision)
                    and one["peer"] == name_of(pair.peer)
                    and one["variant"] == pair.ours["variant"]
                ]
                assert known == [pytest.approx(pair.ratio)]
                checked += 1
    assert checked > 100


def test_every_benchmark_is_on_the_page_and_can_be_run() -> None:
    sections = {section.name for section in SECTIONS}
    for benchmark in BENCHMARKS:
        assert benchmark.name in sections
        assert importlib.util.find_spec(f"benchmarks.{benchmark.name}") is not None
    linked = re.findall(r"\]\(#([^)]*)\)", benchmarks_page.render().page)
    headings = re.findall(r"^## (.*)$", benchmarks_page.render().page, re.MULTILINE)
    assert set(linked) <= {heading.lower().replace(" ", "-") for heading in headings}


def test_prose_is_no_wider_than_code() -> None:
    for line in benchmarks_page.render().page.splitlines():
        words = line.split()
        table = line.startswith(("|", "![", "No row for", "Not yet run", "#"))
        assert table or len(line) <= 88 or len(words) == 1, line


def test_the_best_of_ours_beside_every_peer() -> None:
    (group,) = groups(document(*OURS, *PEERS))
    assert [(p.peer["variant"], p.ours["variant"]) for p in pairs(group)] == [
        ("fast", "native"),
        ("slow", "native"),
    ]
    assert [pair.ratio for pair in pairs(group)] == [pytest.approx(0.75), 2.0]
    ((_, strongest),) = compared(document(*OURS, *PEERS))
    assert strongest.peer["variant"] == "fast"


def test_units_a_second_are_the_better_the_more_they_are() -> None:
    rows = [{**one, "unit": "users/s"} for one in (*OURS, *PEERS)]
    ((group, strongest),) = compared(document(*rows))
    assert strongest.ours["variant"] == "csr"
    assert strongest.peer["variant"] == "slow"
    assert strongest.ratio == pytest.approx(20 / 16)
    assert group.rows[0]["variant"] == "csr"


def test_like_allocators_are_compared() -> None:
    tuned = row("llmgnn_jax", "native, tuned malloc", 4.0)
    peer = row("pytorch", "fast, tuned malloc", 5.0)
    (group,) = groups(document(*OURS, tuned, *PEERS, peer))
    ratios = {pair.peer["variant"]: pair.ratio for pair in pairs(group)}
    assert ratios["fast, tuned malloc"] == pytest.approx(5 / 4)
    assert ratios["fast"] == pytest.approx(6 / 8)
    # Ours has no such row: what it has is compared.
    (group,) = groups(document(*OURS, peer))
    assert [pair.ratio for pair in pairs(group)] == [pytest.approx(5 / 8)]


def test_different_kinds_are_not_compared() -> None:
    other = [row("pytorch", "other", 6.0, size="20,000 items")]
    other.append(row("pytorch", "other", 6.0, precision="bfloat16"))
    other.append(row("pytorch", "other", 6.0, unit="GB/s"))
    assert compared(document(*OURS, *other)) == []
    assert len(groups(document(*OURS, *other))) == 4


def test_lost_rows_are_bold_and_printed_like_others(tmp_path: Path) -> None:
    made = document(*OURS, *PEERS)
    (group,) = groups(made)
    lines = rows_table(group).splitlines()
    assert lines[2] == "| pytorch fast | 6.00 | 5.40-6.60 | 100 | 0.50 | **0.75** |"
    assert lines[3] == "| llmgnn_jax native | 8.00 | 7.20-8.80 | 100 | 0.50 |  |"
    assert lines[4] == "| pytorch slow | 16.00 | 14.40-17.60 | 100 | 0.50 | 2.00 |"
    short = range_table([Result(file="ranking.json", document=made)])
    assert short.splitlines()[2:] == [
        "| ranking | Intel Xeon, 2 cores | 1 | **0.75** (10,000 items, float32) | "
        "**0.75** |"
    ]
    (tmp_path / "ranking.json").write_text(json.dumps(made))
    page = benchmarks_page.render(tmp_path).page
    assert "pytorch fast, 6.00 ms | **0.75** | Intel Xeon, 2 cores |" in page
    assert "No row for pyg absent (10,000 items, float32): `No module" in page
    words = " ".join(page.split())
    assert "2026-11-28; Intel Xeon, 2 cores, 2 threads; 9 turns of 0.5 s" in words


def test_the_slowest_answers_have_a_column() -> None:
    ours, peer = row("llmgnn_jax", "one user", 0.02), row("pytorch", "mv", 0.04)
    (group,) = groups(document({**ours, "p99": 0.0312}, peer))
    header, _, first, second = rows_table(group).splitlines()
    assert header.startswith("| system | ms | p10-p90 | p99 | peak MB |")
    assert first.startswith(
        "| llmgnn_jax one user | 0.0200 | 0.0180-0.0220 | 0.0312 | 100 |"
    )
    assert second.startswith("| pytorch mv | 0.0400 | 0.0360-0.0440 |  | 100 |")


def test_what_was_not_run_is_said(tmp_path: Path) -> None:
    rendered = benchmarks_page.render(tmp_path)
    command = "python -m benchmarks.propagation --json benchmarks/results/propagation"
    assert rendered.page.count(f"`{command}.json`") == 2
    assert rendered.pictures == {}


def test_several_documents_of_one_benchmark(tmp_path: Path) -> None:
    for name in ("ranking-b", "ranking", "unheard-of"):
        made = document(*OURS, *PEERS, name=name.removesuffix("-b"))
        (tmp_path / f"{name}.json").write_text(json.dumps(made))
    files = [result.file for result in benchmarks_page.load(tmp_path)]
    assert files == ["ranking.json", "ranking-b.json", "unheard-of.json"]
    page = benchmarks_page.render(tmp_path).page
    assert "### Intel Xeon, 2 cores: ranking-b" in page
    assert "## unheard-of" in page


def test_curves_where_sizes_are_numbers() -> None:
    larger = [
        {**one, "size": "1,000,000 items", "median": 90 * one["median"]}
        for one in (*OURS, *PEERS)
    ]
    assert curves(document(*OURS, *PEERS)) == {}
    charts = curves(document(*OURS, *PEERS, *larger))
    assert list(charts) == ["items, float32, ms", "items, float32, peak MB"]
    for chart in charts.values():
        assert "pytorch fast" in "".join(ElementTree.fromstring(chart).itertext())
    assert number_of("1.6 M edges") == ("edges", 1.6e6)
    assert number_of("10,000 items") == ("items", 1e4)
    assert number_of("batch 64") == ("batch", 64)
    assert number_of("full, 64 x 64 tokens") is None
    assert number_of("gowalla") is None


def test_a_bar_for_each_ratio() -> None:
    made = Result(file="ranking.json", document=document(*OURS, *PEERS))
    drawn = ElementTree.fromstring(ratio_bars([made]))
    rects = [one for one in drawn.iter() if one.tag.endswith("rect")]
    assert len(rects) == 2  # one is the background
    assert "0.75" in "".join(drawn.itertext())


def test_readme_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"README\.md: expected a line"):
        benchmarks_page.with_table("# Project\n", "| table |\n")
