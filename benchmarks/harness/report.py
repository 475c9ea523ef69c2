"""Results as one JSON document and as a table."""

import dataclasses
import datetime
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import mkl, runtime
from benchmarks.harness.measure import CaseResult, Measured
from benchmarks.harness.system import OURS, Effort

_PEAK = (
    "peak_mb: most resident memory of the worker while it was timed (VmHWM, started "
    "anew after the warm-up), less what it held after its imports; of an accelerator, "
    "what its allocator says. Child processes are not in it."
)
_RUNS_FOR_P99 = 100
"""With fewer, the 99th percentile is the slowest run alone."""

_TOGETHER = (
    "compile_s and setup_s: all systems of a case were set up side by side, and took "
    "longer than one alone would; what is timed later is alone"
)
_PARITY = (
    "max_abs_error: largest difference of outputs and gradients, each array divided by "
    "its largest entry"
)


def document(
    name: str, results: Sequence[CaseResult], *, effort: Effort, command: str
) -> dict[str, Any]:
    """The benchmark's JSON document."""
    rows = [
        _row(result, measured) for result in results for measured in result.measured
    ]
    return {
        "name": name,
        "device": _device(results),
        "versions": _versions(results),
        "parity": _parity(results),
        "rows": rows,
        "ratios": ratios(rows),
        "missing": [
            {
                "system": name,
                "size": result.case.size,
                "precision": result.case.precision,
                "reason": reason,
            }
            for result in results
            for name, reason in result.missing.items()
        ],
        "sizes": {result.case.size: result.about for result in results if result.about},
        "canary": next((r.canary for r in results if r.canary), None),
        "environment": {
            "platform": platform.platform(),
            "cpu": runtime.cpu_model(),
            "threads": effort.threads,
            "rounds": effort.rounds,
            "turn_s": effort.turn_s,
            "matmul_precision": _matmul_precision(results),
            "mkl_kernels": mkl.kernels(),
            "notes": [
                _PEAK,
                _PARITY,
                *([_TOGETHER] if effort.together != "none" else []),
            ],
        },
        "command": command,
        "date": datetime.date.today().isoformat(),
    }


def write(document: Mapping[str, Any], path: Path) -> None:
    """Writes a document at once: a reader sees the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, "utf-8")
    unfinished.replace(path)


def ratios(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each of our rows against each peer of the same size, precision and unit.

    A ratio above 1 means that we are faster.
    """
    found = []
    for ours in rows:
        for peer in rows:
            if ours["system"] != OURS or peer["system"] == OURS:
                continue
            if _kind(ours) != _kind(peer):
                continue
            faster = ours["median"] / peer["median"]
            found.append(
                {
                    "variant": ours["variant"],
                    "precision": ours["precision"],
                    "size": ours["size"],
                    "peer": f"{peer['system']} {peer['variant']}",
                    "ratio": 1 / faster if ours["unit"] == "ms" else faster,
                }
            )
    return found


def table(document: Mapping[str, Any]) -> str:
    """The rows in Markdown, a column of ratios for each of our variants."""
    lines = []
    for size, precision, unit in dict.fromkeys(map(_kind, document["rows"])):
        rows = [
            row for row in document["rows"] if _kind(row) == (size, precision, unit)
        ]
        ours = [row["variant"] for row in rows if row["system"] == OURS]
        # Of some rows, or of none: a document may be from before it was taken.
        has_p99 = any("p99" in row for row in rows)
        lines += [
            f"{size}, {precision}. {document['sizes'].get(size, '')}".rstrip(),
            "",
            f"| system | {unit} | p10-p90 |"
            + " p99 |" * has_p99
            + " peak MB | compile s |"
            + "".join(f" {OURS} {variant} is faster by |" for variant in ours),
            "|---|" + "---:|" * (4 + has_p99 + len(ours)),
        ]
        for row in sorted(
            rows, key=lambda row: row["median"] * (1 if unit == "ms" else -1)
        ):
            name = f"{row['system']} {row['variant']}"
            cells = [
                name if row["system"] != OURS else f"**{name}**",
                figure(row["median"]),
                f"{figure(row['p10'])}-{figure(row['p90'])}",
                *([figure(row["p99"]) if "p99" in row else ""] if has_p99 else []),
                f"{row['peak_mb']:.0f}",
                f"{row['compile_s']:.2f}",
            ]
            cells += [
                next(
                    (
                        f"{ratio['ratio']:.2f}"
                        for ratio in document["ratios"]
                        if (ratio["size"], ratio["precision"]) == (size, precision)
                        and (ratio["variant"], ratio["peer"]) == (variant, name)
                    ),
                    "",
                )
                for variant in ours
            ]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    parity = document["parity"]
    lines.append(
        f"Parity: nearest to its tolerance {parity['max_abs_error']:.1e} of "
        f"{parity['tolerance']:.0e}. {document['device']}, "
        + ", ".join(f"{k} {v}" for k, v in document["versions"].items())
    )
    if canary := document["canary"]:
        verdict = "slow" if canary["slow"] else "not slow"
        lines.append(
            f"XLA's scatter is {verdict} here ({canary['ratio']:.1f}). "
            + canary["advice"]
        )
    lines += [
        f"No row for {one['system']} ({one['size']}, {one['precision']}): "
        + one["reason"]
        for one in document["missing"]
    ]
    return "\n".join(lines)


def _kind(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """What rows must have in common to stand in one table."""
    return row["size"], row["precision"], row["unit"]


def _row(result: CaseResult, measured: Measured) -> dict[str, Any]:
    case = result.case
    seconds = np.asarray(measured.seconds)
    unit = case.unit_of(measured.system)
    if unit == "ms":
        values = seconds * 1e3 / measured.units
    else:
        values = measured.units / seconds
    low, median, high, highest = np.percentile(values, [10, 50, 90, 99]).tolist()
    # Of a rate it would be the best runs, not the slow ones that users remember.
    has_p99 = unit == "ms" and len(seconds) >= _RUNS_FOR_P99
    compile_s = measured.compile_s
    if compile_s is None:
        compile_s = max(0.0, measured.first_s - float(np.median(seconds)))
    work = {}
    if result.work is not None and unit == case.unit:
        work = {"work": dataclasses.asdict(result.work)}
    said = measured.said.get("matmul_precision")
    return {
        "system": measured.system.system,
        "variant": measured.system.variant,
        "precision": case.precision,
        "size": case.size,
        "unit": unit,
        "median": median,
        "p10": low,
        "p90": high,
        **({"p99": highest} if has_p99 else {}),
        "peak_mb": measured.peak_mb,
        "compile_s": compile_s,
        "setup_s": measured.setup_s,
        "runs": len(seconds),
        **({"matmul_precision": said} if said else {}),
        **work,
        **({"notes": measured.notes} if measured.notes else {}),
    }


def _parity(results: Sequence[CaseResult]) -> dict[str, Any]:
    checked = [
        {
            "system": name,
            "size": result.case.size,
            "precision": result.case.precision,
            "max_abs_error": parity.max_abs_error,
            "worst": parity.worst,
            "tolerance": result.case.tolerance,
        }
        for result in results
        for name, parity in result.parity.items()
    ]
    # The one nearest to its tolerance: precisions have tolerances of their own.
    nearest = max(
        checked,
        key=lambda one: one["max_abs_error"] / one["tolerance"],
        default={"max_abs_error": 0.0, "tolerance": 0.0},
    )
    return {
        "max_abs_error": nearest["max_abs_error"],
        "tolerance": nearest["tolerance"],
        "systems": checked,
    }


def _device(results: Sequence[CaseResult]) -> str:
    said = [m.said for result in results for m in result.measured]
    return next((one["device"] for one in said if "device" in one), "unknown")


def _matmul_precision(results: Sequence[CaseResult]) -> dict[str, str]:
    """What each system set; several, where a row of it is about another one."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        for measured in result.measured:
            if said := measured.said.get("matmul_precision"):
                found.setdefault(measured.system.system, {})[said] = None
    return {system: ", ".join(said) for system, said in found.items()}


def _versions(results: Sequence[CaseResult]) -> dict[str, str]:
    """Of all packages; those of an interpreter of its own under its system's name."""
    versions: dict[str, str] = {}
    for result in results:
        for measured in result.measured:
            said = measured.said.get("versions", {})
            if measured.system.python:
                own = measured.system.system
                said = {
                    name if name == own else f"{own}'s {name}": held
                    for name, held in said.items()
                }
            versions |= said
    return versions


def figure(value: float) -> str:
    """A median, peak or quantile as tables show it."""
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.1f}"
    # Of a few microseconds in ms, two digits are left.
    return f"{value:.2f}" if value >= 0.1 or value < 0.0001 else f"{value:.4f}"
