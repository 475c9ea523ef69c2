"""Runs docs/walkthrough.md, and writes what follows from it.

    python docs/make_notebook.py            # after a change of the page's code
    python docs/make_notebook.py --check    # writes nothing; exit code 1 if it would

The code blocks run in order, in one namespace. Of a page

    ```python            runs; ```python NEED runs where NEED is named with --has
    ```text              right behind it: what it prints. A number may be off by one in
                         its last digit, or by X after ```text about X; lines may come
                         in another order after ```text any order
    <!-- picture NAME: EXPRESSION -->
                         draws EXPRESSION (see pictures.py) into walkthrough/NAME.svg

What is printed is written into walkthrough.md and walkthrough.zh.md, whose code is the
same, and with the pictures into walkthrough.ipynb.
"""

import argparse
import contextlib
import io
import itertools
import json
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGES = ("walkthrough.md", "walkthrough.zh.md")
NOTEBOOK = "walkthrough.ipynb"

_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"^<!-- picture (\w+): (.+) -->\n!\[.*\]\(.*\)\n", re.MULTILINE)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A part of a page: `source` is its Markdown, `body` what is within.

    `kind` is prose, python, text or picture; `option` what stands behind the kind.
    """

    kind: str
    source: str
    body: str
    option: str = ""


def blocks_of(page: str) -> list[Block]:
    """A page cut into blocks; their sources joined are the page."""
    found = [*_FENCE.finditer(page), *_PICTURE.finditer(page)]
    blocks, end = [], 0
    for match in sorted(found, key=lambda one: one.start()):
        kind = match[1] if match.re is _FENCE else "picture"
        if kind not in ("python", "text", "picture"):
            continue
        if prose := page[end : match.start()]:
            blocks.append(Block(kind="prose", source=prose, body=prose.strip()))
        option, body = (
            (match[2].strip(), match[3]) if kind != "picture" else match.groups()
        )
        blocks.append(Block(kind=kind, source=match[0], body=body, option=option))
        end = match.end()
    if prose := page[end:]:
        blocks.append(Block(kind="prose", source=prose, body=prose.strip()))
    return blocks


def code_of(blocks: Sequence[Block]) -> list[tuple[str, str, str]]:
    """All that runs: the same in every language."""
    return [
        (b.kind, b.option, b.body) for b in blocks if b.kind in ("python", "picture")
    ]


def pictures_code() -> str:
    """What draws pictures, without its docstring."""
    return (HERE / "pictures.py").read_text("utf-8").split('"""\n\n', 1)[1]


def run(blocks: Sequence[Block], *, has: Collection[str] = ()) -> dict[int, str]:
    """Number of a block of code or of a picture -> what it printed, or its SVG.

    What needs something that is not at hand is left out.
    """
    namespace: dict[str, Any] = {"__name__": "walkthrough"}
    exec(compile(pictures_code(), "pictures.py", "exec"), namespace)
    made = {}
    for number, block in enumerate(blocks):
        if block.kind == "picture":
            made[number] = str(eval(block.body, namespace))
        if block.kind == "python" and (not block.option or block.option in has):
            code = compile(block.body, f"<block {number} of the page>", "exec")
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(code, namespace)
            made[number] = printed.getvalue()
    return made


def agree(shown: str, printed: str, *, option: str = "") -> bool:
    """Whether a page shows what was printed, as its option has it."""
    if option == "any order":
        shown, printed = (
            "\n".join(sorted(one.splitlines())) for one in (shown, printed)
        )
    about = float(option.removeprefix("about ")) if option[:5] == "about" else None
    if _NUMBER.sub("#", shown) != _NUMBER.sub("#", printed):
        return False
    pairs = zip(_NUMBER.findall(shown), _NUMBER.findall(printed), strict=True)
    for one, other in pairs:
        digits = len(one.partition(".")[2])
        # A whole number is a count or part of a name.
        unit = 10.0**-digits if digits else 0.0
        room = about if about is not None and digits else unit
        if abs(float(one) - float(other)) > room * (1 + 1e-6):
            return False
    return True


def with_outputs(blocks: Sequence[Block], made: dict[int, str]) -> list[Block]:
    """The blocks with what was printed, where the page does not show it already."""
    result: list[Block] = []
    for number, (block, after) in enumerate(
        itertools.zip_longest(blocks, blocks[1:], fillvalue=None)
    ):
        assert block is not None
        before = number - 1
        if block.kind == "text" and before in made:
            continue
        result.append(block)
        printed = made.get(number, "")
        if block.kind != "python" or not printed:
            continue
        shown = after if after is not None and after.kind == "text" else None
        option = shown.option if shown else ""
        if shown is None or not agree(shown.body, printed, option=option):
            source = f"```text{' ' * bool(option)}{option}\n{printed}```\n"
            shown = Block(kind="text", source=source, body=printed, option=option)
        result.append(shown)
    return result


def notebook_text(blocks: Sequence[Block], pictures: dict[str, str]) -> str:
    """The notebook of a page, with what it prints and draws, as JSON.

    Args:
        blocks: Of the page, with outputs.
        pictures: Name -> SVG.
    """
    cells: list[dict[str, Any]] = []

    def code(source: str, outputs: list[dict[str, Any]]) -> None:
        cells.append(
            {
                "cell_type": "code",
                "execution_count": None,
                "metadata": {},
                "outputs": outputs,
                "source": source.rstrip("\n").splitlines(keepends=True),
            }
        )

    drawn = False
    for block, after in itertools.zip_longest(blocks, blocks[1:], fillvalue=None):
        assert block is not None
        if block.kind == "picture":
            if not drawn:
                code(pictures_code(), [])
            drawn = True
            svg = pictures[block.option].splitlines(keepends=True)
            data = {"image/svg+xml": svg, "text/plain": [f"<{block.option}>"]}
            output = {"output_type": "execute_result", "execution_count": None}
            code(block.body, [{**output, "metadata": {}, "data": data}])
        elif block.kind == "python" and not block.option:
            text = after.body if after is not None and after.kind == "text" else ""
            stream = {"output_type": "stream", "name": "stdout"}
            lines = text.splitlines(keepends=True)
            code(block.body, [{**stream, "text": lines}] if text else [])
        elif block.kind == "python" or (block.kind == "prose" and block.body):
            text = block.source if block.kind == "python" else block.body
            cells.append(
                {
                    "cell_type": "markdown",
                    "metadata": {},
                    "source": text.strip().splitlines(keepends=True),
                }
            )
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def pages_of(folder: Path) -> dict[str, list[Block]]:
    """The blocks of each page.

    Raises:
        ValueError: If their code differs.
    """
    pages = {name: blocks_of((folder / name).read_text("utf-8")) for name in PAGES}
    first, *others = map(code_of, pages.values())
    if any(other != first for other in others):
        raise ValueError(f"{' and '.join(PAGES)}: the code is not the same")
    return pages


def made_files(folder: Path, *, has: Collection[str] = ()) -> dict[str, str]:
    """Name -> content of all that follows from running the page.

    Raises:
        ValueError: If the pages' code differs.
    """
    pages = pages_of(folder)
    first = pages[PAGES[0]]
    made = run(first, has=has)
    files, shown = {}, {}
    for name, blocks in pages.items():
        # What runs is the same in all pages, what stands between may be cut otherwise.
        places = zip(_places(blocks), _places(first), strict=True)
        of_page = {place: made[one] for place, one in places if one in made}
        shown[name] = with_outputs(blocks, of_page)
        files[name] = "".join(block.source for block in shown[name])
    pictures = {
        first[place].option: kept(folder / svg_name(first[place].option), svg)
        for place, svg in made.items()
        if first[place].kind == "picture"
    }
    files |= {svg_name(name): svg for name, svg in pictures.items()}
    files[NOTEBOOK] = notebook_text(shown[PAGES[0]], pictures)
    return files


def _places(blocks: Sequence[Block]) -> list[int]:
    return [n for n, one in enumerate(blocks) if one.kind in ("python", "picture")]


def svg_name(picture: str) -> str:
    return f"walkthrough/{picture}.svg"


def kept(path: Path, svg: str) -> str:
    """The picture that is there, if it looks the same."""
    old = path.read_text("utf-8") if path.is_file() else ""
    return old if agree(old, svg, option="about 25") else svg


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--has", nargs="*", default=[], help="needs that can be met")
    options = parser.parse_args()
    stale = []
    for name, content in made_files(HERE, has=options.has).items():
        path = HERE / name
        if path.is_file() and path.read_text("utf-8") == content:
            continue
        stale.append(name)
        if not options.check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, "utf-8")
    verb = "stale" if options.check else "written"
    print(f"{verb}: {', '.join(stale) or 'nothing'}")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
