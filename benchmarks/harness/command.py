"""The command line that every benchmark has."""

import argparse
import dataclasses
import logging
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import report, runtime
from benchmarks.harness.measure import CaseResult, measure
from benchmarks.harness.parity import ParityError
from benchmarks.harness.remote import WorkerFailed
from benchmarks.harness.system import FULL, QUICK, Case

# Gets the document before it is written: to add what is derived from rows, or a plot.
Finish = Callable[[dict[str, Any], Path | None], None]
# The document as further lines of text, printed below the table.
More = Callable[[dict[str, Any]], str]


def main(
    name: str,
    cases: Callable[..., Sequence[Case]],
    *,
    description: str,
    options_of_cases: Mapping[str, Mapping[str, Any]] | None = None,
    finish: Finish | None = None,
    more: More | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Runs a benchmark: `python -m benchmarks.NAME --json FILE [--quick]`.

    Args:
        name: Of the benchmark.
        cases: quick -> cases, in the order in which they run.
        description: For `--help`; begins with an example.
        options_of_cases: Keyword argument of `cases` -> how `argparse` reads it.
        finish: Called with the document and the path of the JSON file.
        more: What to print below the table.
        arguments: Of the command line; by default the process's.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where results go")
    parser.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes; rough numbers"
    )
    parser.add_argument(
        "--threads", type=int, default=len(runtime.usable_cores()), help="of each side"
    )
    parser.add_argument(
        "--only",
        metavar="TEXT",
        action="append",
        help="only peers whose name holds TEXT; may be given again, for one of several",
    )
    parser.add_argument(
        "--size", metavar="TEXT", default="", help="only sizes whose name holds TEXT"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="turns of each side",
    )
    parser.add_argument(
        "--turn",
        type=float,
        metavar="SECONDS",
        help="of a turn; where a run takes less than half of it, the first one is not "
        "counted",
    )
    for keyword, how in (options_of_cases or {}).items():
        parser.add_argument(f"--{keyword}", **how)
    options = parser.parse_args(arguments)
    keywords = {name: getattr(options, name) for name in options_of_cases or {}}
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    effort = QUICK if options.quick else FULL
    effort = dataclasses.replace(
        effort,
        threads=options.threads,
        rounds=options.rounds or effort.rounds,
        turn_s=effort.turn_s if options.turn is None else options.turn,
    )
    words = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", f"benchmarks.{name}", *words])
    results: list[CaseResult] = []
    document: dict[str, Any] | None = None

    def write() -> dict[str, Any]:
        document = report.document(name, results, effort=effort, command=command)
        if finish is not None:
            finish(document, options.json)
        if options.json is not None:
            report.write(document, options.json)
        return document

    try:
        for case in cases(options.quick, **keywords):
            if options.size not in case.size:
                continue
            results.append(measure(_narrowed(case, options.only or [""]), effort))
            if any(result.measured for result in results):
                # After each case: whoever stops a long run keeps what it has measured.
                document = write()
    except (ParityError, WorkerFailed) as error:
        print(f"error: {name}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    if document is None:
        # Each case has said why.
        print(f"error: {name}: nothing could be measured", file=sys.stderr)
        raise SystemExit(1)
    print(report.table(document))
    if more is not None:
        print(f"\n{more(document)}")


def _narrowed(case: Case, texts: Sequence[str]) -> Case:
    kept = tuple(
        system
        for system in case.systems
        if system.system == "llmgnn_jax" or any(text in system.name for text in texts)
    )
    return dataclasses.replace(case, systems=kept)
