"""Throughput on a GPU in one command of minutes: ceilings, then systems beside them.

    python -m benchmarks.accelerator --json benchmarks/results/gpu.json --budget 450

It needs no data and no network. In this order: what the device can do at most
(`ceilings`), propagation, fine-tuning and encoding of texts, training steps of LightGCN
and of the fused model, ranking. Each part is a document of its own beside FILE
(`gpu-propagation.json`), written as soon as a case is over; FILE says what each part
took, and what was left out and why. Rows name their share of the ceilings in `notes`:
`mfu` of the product's at their precision, `of_copy` of the copy's; both by the work
that the model asks for (`benchmarks.work`), whatever a system does.

What does not fit into the budget is skipped, with the reason, and is no failure. It
ends with 1 if a part failed or a system disagreed with the others; the rest is written
all the same. On a CPU it runs too, with small sizes.
"""

import argparse
import dataclasses
import json
import logging
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.accelerator_parts import Part, parts_for
from benchmarks.ceilings import Ceilings
from benchmarks.harness import report, runtime
from benchmarks.harness.measure import CaseResult, measure
from benchmarks.harness.remote import WorkerFailed
from benchmarks.harness.system import Effort
from benchmarks.outcomes import Outcome, parts_table, summary
from benchmarks.ratios import device_of
from benchmarks.roofline import add_shares
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)

# A case that has less than this of its wish is not begun.
_LEAST = 0.4
# What a case takes beside its systems, in systems.
_START = 2
# Of the budget: for ends of processes and the last document.
_RESERVE_S = 5.0
Cases = Callable[[machine.Device, Path], Sequence[Part]]


def run_part(
    part: Part,
    path: Path,
    *,
    until: float,
    effort: Effort,
    command: str,
    known: Ceilings | None,
) -> tuple[Outcome, dict[str, Any] | None]:
    """Runs a part's cases while they fit.

    Args:
        part: Which.
        path: Of its document.
        until: When it has to end, by `time.monotonic`.
        effort: How long to measure.
        command: For the document.
        known: What rows name their share of.

    Returns:
        What became of it, and its document, if a case was measured.
    """
    outcome = Outcome(name=part.name, left_out=part.left_out)
    began = time.monotonic()
    results: list[CaseResult] = []
    document = None
    for number, case in enumerate(part.cases):
        name = f"{case.size}, {case.precision}"
        now = time.monotonic()
        # A case of many systems takes longer.
        weights = [_START + len(one.systems) for one in part.cases]
        share = (until - now) * weights[number] / sum(weights[number:])
        wish = part.seconds * weights[number] / sum(weights)
        if share < _LEAST * wish:
            outcome.skipped.append(
                f"{name}: {max(0.0, share):.0f} s are left, it wants {wish:.0f}"
            )
            continue
        limited = dataclasses.replace(effort, until=now + share, together=part.together)
        try:
            result = measure(case, limited)
        except (
            WorkerFailed,
            UserError,
            OSError,
            ValueError,
            # Of what draws the inputs, in a process of its own.
            subprocess.SubprocessError,
        ) as error:
            outcome.failed.append(f"{name}: {str(error).strip().splitlines()[0]}")
            logger.warning("%s failed: %s", name, error)
            continue
        outcome.failed += [
            f"{name}: {system}: {result.missing[system]}" for system in result.disagrees
        ]
        results.append(result)
        if not any(result.measured for result in results):
            continue
        document = report.document(part.name, results, effort=limited, command=command)
        if known is not None:
            add_shares(document, known)
        report.write(document, path)
        outcome.file = path.name
        logger.info("%s", report.table(document))
    if results and document is None:
        reasons = dict.fromkeys(
            reason for result in results for reason in result.missing.values()
        )
        outcome.skipped.append(f"no system was ready: {'; '.join(reasons)}")
    outcome.seconds = time.monotonic() - began
    return outcome, document


def run(
    parts: Sequence[Part],
    path: Path,
    *,
    device: str,
    until: float,
    effort: Effort,
    command: str,
) -> list[Outcome]:
    """Runs all parts; each has its share of the time that is left.

    Ceilings that an earlier call left beside the file count if they are this device's.

    Returns:
        What became of each.
    """
    outcomes: list[Outcome] = []
    known = None
    earlier = path.with_name(f"{path.stem}-ceilings.json")
    if earlier.exists() and parts[0].name != "ceilings":
        document = json.loads(earlier.read_text("utf-8"))
        known = Ceilings.of(document) if device_of(document) == device else None
    for number, part in enumerate(parts):
        now = time.monotonic()
        left = max(0.0, until - now)
        share = part.seconds / sum(one.seconds for one in parts[number:])
        own = path.with_name(f"{path.stem}-{part.name}.json")
        outcome, document = run_part(
            part,
            own,
            until=now + share * left,
            effort=effort,
            command=command,
            known=known,
        )
        if part.name == "ceilings" and document is not None:
            known = Ceilings.of(document)
        outcomes.append(outcome)
        logger.info("%s: %.0f s", part.name, outcome.seconds)
    return outcomes


def main(arguments: Sequence[str] | None = None, cases: Cases = parts_for) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accelerator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, metavar="FILE", required=True)
    parser.add_argument(
        "--budget",
        type=float,
        metavar="SECONDS",
        default=450.0,
        help="after which all is over; 450 by default",
    )
    parser.add_argument(
        "--parts", nargs="+", metavar="NAME", help="only these, by default all"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side")
    parser.add_argument("--turn", type=float, metavar="SECONDS", default=0.3)
    parser.add_argument("--threads", type=int, default=len(runtime.usable_cores()))
    options = parser.parse_args(arguments)
    began = time.monotonic()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    words = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "benchmarks.accelerator", *words])
    try:
        device = machine.found()
    except UserError as error:
        parser.error(str(error))
    logger.info("device: %s (%s)", device.name, device.kind)
    effort = Effort(
        rounds=options.rounds,
        turn_s=options.turn,
        warm_up_s=options.turn,
        threads=options.threads,
        strict=False,
    )
    with tempfile.TemporaryDirectory(prefix="accelerator-") as folder:
        parts = cases(device, Path(folder))
        known = [part.name for part in parts]
        for name in options.parts or ():
            if name not in known:
                parser.error(f"--parts: expected {', '.join(known)}, got {name!r}")
        outcomes = run(
            [part for part in parts if part.name in (options.parts or known)],
            options.json,
            device=device.name,
            until=began + options.budget - _RESERVE_S,
            effort=effort,
            command=command,
        )
    seconds = time.monotonic() - began
    document = summary(outcomes, device, command=command, seconds=seconds)
    report.write(document, options.json)
    print(f"{device.name} ({device.kind}), {seconds:.0f} s\n\n{parts_table(document)}")
    if any(outcome.failed for outcome in outcomes):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
