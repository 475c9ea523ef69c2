"""Renders `docs/benchmarks.md` from the committed documents in `benchmarks/results/`.

    python -m benchmarks.benchmarks_page

Beside it go the pictures, `docs/benchmarks/`, and the table in the project's README.
"""

import json
import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.report import figure
from benchmarks.ratios import Document, compared, device_of, groups
from benchmarks.roofline import CEILINGS, rooflines
from benchmarks.suite import BENCHMARKS, RESULTS, Benchmark
from benchmarks.throughput_plots import curves, ratio_bars
from benchmarks.throughput_sections import SECTIONS, Section
from benchmarks.throughput_tables import (
    Result,
    range_table,
    rows_table,
    strongest_line,
    summary_table,
)

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
# The table in README stands between these lines.
BEGIN, END = "<!-- benchmarks -->\n", "<!-- /benchmarks -->\n"

LESSER_KERNELS = """**Not yet measured again:** the peers' float32 products are those
of MKL as it is installed, which on an AMD processor with AVX-512 takes kernels for
older ones: half as fast as those that the harness now gives them. Ratios of what
consists of products (text, ranking, the fused step) are too good for us by up to that
much."""

_HEAD = """Rendered from the documents in
[benchmarks/results/](../benchmarks/results/) by `python -m benchmarks.benchmarks_page`.
Each was made by the command that stands with it, on the device that is named. Values
and gradients of all rows were compared before anything was timed.
[benchmarks/README.md](../benchmarks/README.md) says what a number means, and what each
peer is.

A ratio is how many times faster the best of our rows is than a peer's row of the same
size and precision; below 1, in bold, we lose. Rows with "tuned malloc", an allocator
that keeps what is freed, are compared with those of ours that have it too, where there
are any, and the other rows with those that have not. The strongest peer is the fastest
row that is not ours. Ratios of different devices are not to be compared."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """The page, its pictures, and the table of README.

    Attributes:
        page: Markdown.
        pictures: File name in `docs/benchmarks/` -> SVG document.
        table: Markdown.
    """

    page: str
    pictures: dict[str, str]
    table: str


def load(folder: Path = RESULTS) -> list[Result]:
    """All documents, of each benchmark the one of its name first, as sections go."""
    order = [section.name for section in SECTIONS]
    results = [
        Result(file=path.name, document=json.loads(path.read_text("utf-8")))
        for path in folder.glob("*.json")
    ]

    def place(result: Result) -> tuple[int, str, bool, str]:
        known = result.name in order
        number = order.index(result.name) if known else len(order)
        return number, result.name, result.file != f"{result.name}.json", result.file

    return sorted(results, key=place)


def render(folder: Path = RESULTS) -> Rendered:
    """Everything, of the documents that are there; the others are "not yet run".

    A document without a section has one that is called by its name and says nothing.
    """
    results = load(folder)
    known = {section.name for section in SECTIONS}
    others = dict.fromkeys(one.name for one in results if one.name not in known)
    sections = [
        *SECTIONS,
        *(Section(name=name, title=name, says="") for name in others),
    ]
    missing = [s for s in sections if s.name not in {one.name for one in results}]
    links = {section.name: _anchor(section.title) for section in sections}
    pictures: dict[str, str] = {}
    parts = [
        f"# Benchmarks\n\n{_HEAD}",
        summary_table(results, links),
        *(
            f"Not yet run: {_link(section)}, `{_command(section)}`."
            for section in missing
        ),
    ]
    if any(compared(result.document) for result in results):
        pictures["ratios.svg"] = ratio_bars(results)
        parts.append("![Ratios](benchmarks/ratios.svg)")
    for section in sections:
        parts.append(f"## {section.title}")
        if section.says:
            parts.append(_wrapped(section.says))
        own = [result for result in results if result.name == section.name]
        if not own:
            parts.append(f"Not yet run: `{_command(section)}`.")
        if section.name == CEILINGS:
            for device, picture in rooflines(results).items():
                name = f"roofline-{_slug(device)}.svg"
                pictures[name] = picture
                parts.append(f"![Roofline, {device}](benchmarks/{name})")
        for result in own:
            if len(own) > 1:
                parts.append(f"### {device_of(result.document)}: {result.title}")
            parts += _body(section, result, pictures)
    table = f"{range_table(results)}\n"
    return Rendered(page="\n\n".join(parts) + "\n", pictures=pictures, table=table)


def with_table(readme: str, table: str) -> str:
    """README with the table between its marks.

    Raises:
        ValueError: If a mark is missing.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(
            f"README.md: expected a line {BEGIN!r} and later a line {END!r}"
        )
    return f"{before}{BEGIN}{table}{END}{after}"


def _body(section: Section, result: Result, pictures: dict[str, str]) -> list[str]:
    """Paragraphs about one document; pictures are added to `pictures`."""
    document = result.document
    parts = [_origin(result)]
    if section.picture:
        parts.append(f"![{section.title}]({section.picture})")
    for what, picture in curves(document, medians=not section.picture).items():
        name = f"{result.title}-{_slug(what)}.svg"
        pictures[name] = picture
        parts.append(f"![{section.title}: {what}](benchmarks/{name})")
    for group in groups(document):
        about = document["sizes"].get(group.size, "")
        title = f"**{group.size}, {group.precision}, {group.unit}.** {about}"
        parts += [_wrapped(title), rows_table(group)]
        if line := strongest_line(group):
            parts.append(_wrapped(line))
    if section.more is not None and (told := section.more(document)):
        parts.append(told)
    for one in document.get("missing", ()):
        where = f"{one['size']}, {one['precision']}"
        parts.append(f"No row for {one['system']} ({where}): `{one['reason']}`")
    return parts


def lesser_kernels(document: Document) -> bool:
    """Whether PyTorch's products ran on a part of an AMD processor."""
    if "AMD" not in device_of(document) or "environment" not in document:
        return False
    peers = {row["system"] for row in document["rows"]} & {
        *("pytorch", "pyg", "sentence-transformers", "recbole")
    }
    return bool(peers) and document["environment"].get("mkl_kernels") != "all"


def _origin(result: Result) -> str:
    """Command, date, device, versions and parity."""
    document = result.document
    said = [f"`{document['command']}`", document["date"]]
    if "environment" in document:
        environment, parity = document["environment"], document["parity"]
        said += [
            f"{device_of(document)}, {environment['threads']} threads",
            f"{environment['rounds']} turns of {environment['turn_s']:g} s a row",
            ", ".join(f"{name} {held}" for name, held in document["versions"].items()),
            f"parity: nearest to its tolerance {parity['max_abs_error']:.1e} of "
            f"{parity['tolerance']:.0e}",
        ]
    said.append(f"[all numbers](../benchmarks/results/{result.file})")
    lines = _wrapped("; ".join(said) + ".")
    if lesser_kernels(document):
        lines += "\n\n" + _wrapped(LESSER_KERNELS)
    canary = document.get("canary")
    if canary and canary["slow"]:
        told = f"XLA's scatter is slow here ({figure(canary['ratio'])}). "
        lines += "\n" + _wrapped(told + canary["advice"])
    return lines


def _command(section: Section) -> str:
    if section.command:
        return section.command
    known = {one.name: one for one in BENCHMARKS}
    benchmark = known.get(section.name, Benchmark(name=section.name))
    path = Path("benchmarks/results") / f"{section.name}.json"
    return shlex.join(["python", *benchmark.command(path, full=True)])


def _link(section: Section) -> str:
    return f"[{section.name}](#{_anchor(section.title)})"


def _anchor(title: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _slug(what: str) -> str:
    """A file name."""
    return re.sub(r"\W+", "-", what.lower()).strip("-")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 88, break_long_words=False, break_on_hyphens=False)


def write(rendered: Rendered, page: Path = PAGE, readme: Path = README) -> None:
    """Page, pictures and README; pictures that are no longer of the page go."""
    page.write_text(rendered.page, "utf-8")
    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        if old.name not in rendered.pictures:
            old.unlink()
    for name, picture in rendered.pictures.items():
        (folder / name).write_text(picture, "utf-8")
    readme.write_text(with_table(readme.read_text("utf-8"), rendered.table), "utf-8")


def main() -> None:
    write(render())


if __name__ == "__main__":
    main()
