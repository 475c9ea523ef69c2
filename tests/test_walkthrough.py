"""The walk-through: its code runs and prints what the pages show, in both languages."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import make_notebook

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [DOCS / name for name in make_notebook.PAGES]
# Runs what stands before a heading, and says which outputs the page shows otherwise.
RUN_PART = """
import sys
sys.path.insert(0, sys.argv[1])
import make_notebook
page = open(sys.argv[2], encoding="utf-8").read().partition("# Part 2")[0]
blocks = make_notebook.blocks_of(page)
made = make_notebook.run(blocks)
assert len(made) > 10
after = make_notebook.with_outputs(blocks, made)
print("".join(block.source for block in after) == page)
"""


def run(arguments, workplace):
    """In a process of its own, as a reader has it: without the tests' strictness."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=workplace,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_is_computed_by_hand_is_what_the_package_computes(workplace):
    assert run(["-c", RUN_PART, DOCS, PAGES[0]], workplace) == "True\n"


@pytest.mark.slow
def test_the_whole_page_runs_and_all_that_follows_from_it_is_up_to_date(workplace):
    assert run([DOCS / "make_notebook.py", "--check"], workplace).endswith(
        "stale: nothing\n"
    )
    assert (workplace / "runs" / "walkthrough" / "report.html").is_file()


def test_both_pages_have_the_same_code_and_show_the_same_outputs():
    pages = make_notebook.pages_of(DOCS)
    shown = [
        [block.source for block in blocks if block.kind == "text"]
        for blocks in pages.values()
    ]
    assert shown[0] == shown[1]
    assert len(shown[0]) > 10
    headings = [re.findall(r"^#+ (\d*)", p.read_text("utf-8"), re.M) for p in PAGES]
    assert headings[0] == headings[1]


def test_the_notebook_is_that_of_the_page():
    blocks = make_notebook.pages_of(DOCS)[PAGES[0].name]
    pictures = {
        block.option: (DOCS / make_notebook.svg_name(block.option)).read_text("utf-8")
        for block in blocks
        if block.kind == "picture"
    }
    written = (DOCS / make_notebook.NOTEBOOK).read_text("utf-8")
    assert written == make_notebook.notebook_text(blocks, pictures), (
        "run python docs/make_notebook.py"
    )
    assert len(written) < 300_000
    notebook = json.loads(written)
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    assert kinds.count("code") > 15
    drawn = [
        output["data"]["image/svg+xml"]
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
        if "data" in output
    ]
    assert len(drawn) == len(pictures) == 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_function_of_the_table_is_in_its_file(page):
    rows = re.findall(r"^\|.*\| (`\w.*`) \| `(\S+\.py)` \|$", page.read_text(), re.M)
    assert len(rows) > 15
    for names, file in rows:
        source = (ROOT / "llmgnn_jax" / file).read_text("utf-8")
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"^(def|class) {name}\b", source, re.M), (name, file)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))
    assert len(links) > 4
    for link in links:
        assert (DOCS / link).exists(), link


PAGE = """# A page

```python
print(1 + 1, "and", 0.123)
```
```text
2 and 0.124
```

Words.

```python server
print("never")
```
```toml
kept = true
```
"""


def test_a_page_is_cut_into_blocks_and_put_together_again():
    blocks = make_notebook.blocks_of(PAGE)
    assert [block.kind for block in blocks] == [
        *("prose", "python", "text", "prose", "python", "prose")
    ]
    assert "".join(block.source for block in blocks) == PAGE
    made = make_notebook.run(blocks)
    assert made == {1: "2 and 0.123\n"}
    assert make_notebook.run(blocks, has=["server"])[4] == "never\n"
    assert make_notebook.with_outputs(blocks, made) == blocks


def test_what_is_printed_otherwise_is_written_into_the_page():
    blocks = make_notebook.blocks_of(PAGE.replace("0.124", "0.125"))
    after = make_notebook.with_outputs(blocks, make_notebook.run(blocks))
    assert "".join(block.source for block in after) == PAGE.replace("0.124", "0.123")
    silent = make_notebook.blocks_of(
        PAGE.replace('print(1 + 1, "and", 0.123)', "x = 1")
    )
    after = make_notebook.with_outputs(silent, make_notebook.run(silent))
    assert [block.kind for block in after].count("text") == 0
    unsaid = make_notebook.blocks_of(PAGE.replace("```text\n2 and 0.124\n```\n", ""))
    after = make_notebook.with_outputs(unsaid, make_notebook.run(unsaid))
    assert after[2].body == "2 and 0.123\n"


@pytest.mark.parametrize(
    ("shown", "printed", "option", "same"),
    [
        ("a 1.50", "a 1.51", "", True),
        ("a 1.50", "a 1.52", "", False),
        ("a 1.50", "b 1.50", "", False),
        ("a 1", "a 2", "", False),
        ("a 1 0.50", "a 1 0.56", "about 0.06", True),
        ("a 1 0.50", "a 1 0.57", "about 0.06", False),
        ("a 1 0.50", "a 2 0.50", "about 0.06", False),
        ("a 1\nb 2", "b 2\na 1", "any order", True),
        ("a 1\nb 2", "b 2\na 1", "", False),
        ("a 1\nb 2", "b 2\na 2", "any order", False),
        ("a", "a\na", "", False),
    ],
)
def test_what_counts_as_the_same_output(shown, printed, option, same):
    assert make_notebook.agree(shown, printed, option=option) == same


def test_pages_whose_code_differs_are_refused(tmp_path):
    for path in PAGES:
        (tmp_path / path.name).write_text(path.read_text("utf-8"), "utf-8")
    changed = PAGES[1].read_text("utf-8").replace("x + A @ x", "x + A @ A @ x")
    (tmp_path / PAGES[1].name).write_text(changed, "utf-8")
    with pytest.raises(ValueError, match="the code is not the same"):
        make_notebook.pages_of(tmp_path)
