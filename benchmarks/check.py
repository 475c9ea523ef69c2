"""Runs benchmarks again and holds their ratios to those that are committed.

    python -m benchmarks.check [NAME ...]
    python -m benchmarks.check --against FILE --from FILE

Only ratios are compared, of ours to one peer at one size and precision, never times:
these are of a machine. Without names it takes every benchmark that has a short run and
a committed document; of several documents that of this device, if there is one. Ends
with 1 if a ratio fell by more than the tolerance, if a benchmark failed, or if it had
no ratio to compare. A peer that is missing here is named, and no failure.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import suite
from benchmarks.ratios import Document, device_of, groups, name_of, pairs

FRESH = Path("runs/bench-check")
TOLERANCE = 0.25
_VERSIONS = ("jax", "torch", "torch-geometric", "sentence-transformers")

# Size, precision, unit, peer.
Key = tuple[str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A document beside the committed one.

    Attributes:
        name: Of the benchmark.
        ratios: Of what both have: (before, now).
        absent: What the committed one has at the same sizes, and this one has not:
            why, or "not run".
        remarks: What makes the comparison weaker than it looks.
    """

    name: str
    ratios: dict[Key, tuple[float, float]]
    absent: dict[Key, str]
    remarks: tuple[str, ...]

    def fallen(self, tolerance: float) -> list[Key]:
        """Those whose ratio fell by more than this share of what it was."""
        return [
            key
            for key, (before, now) in self.ratios.items()
            if now < before * (1 - tolerance)
        ]


def compare(committed: Document, fresh: Document) -> Comparison:
    """Ratios of ours to each peer, before and now."""
    before, now = _ratios(committed), _ratios(fresh)
    # What was left out by choice is not named: sizes that were not run at all.
    sizes = {(group.size, group.precision) for group in groups(fresh)}
    reasons = {
        (one["size"], one["precision"], one["system"]): one["reason"]
        for one in fresh.get("missing", ())
    }
    return Comparison(
        name=fresh["name"],
        ratios={key: (before[key], now[key]) for key in before if key in now},
        absent={
            key: reasons.get((key[0], key[1], key[3]), "not run")
            for key in before
            if key not in now and key[:2] in sizes
        },
        remarks=_remarks(committed, fresh),
    )


def nearest(documents: Sequence[Document], fresh: Document) -> Comparison:
    """The comparison with the document that has ratios in common, of this device first.

    Without any ratio in common that with the first of the documents, one at least.
    """
    device = device_of(fresh)
    ordered = sorted(documents, key=lambda document: device_of(document) != device)
    found = [compare(document, fresh) for document in ordered]
    return next((one for one in found if one.ratios), found[0])


def table(comparison: Comparison, tolerance: float) -> str:
    """All ratios before and now, in Markdown, remarks above and absent peers below."""
    fallen = set(comparison.fallen(tolerance))
    lines = [f"note: {comparison.name}: {remark}" for remark in comparison.remarks]
    lines += [
        "",
        f"| {comparison.name}: size, precision | peer | committed | now | |",
        "|---|---|---:|---:|---|",
    ]
    for key, (before, now) in comparison.ratios.items():
        size, precision, _, peer = key
        told = "fell" if key in fallen else ""
        lines.append(
            f"| {size}, {precision} | {peer} | {before:.2f} | {now:.2f} | {told} |"
        )
    lines += [
        f"missing here: {peer} ({size}, {precision}): {reason}"
        for (size, precision, _, peer), reason in comparison.absent.items()
    ]
    return "\n".join([*lines, ""])


def failures(comparison: Comparison, tolerance: float) -> list[str]:
    """What is wrong, a line each."""
    if not comparison.ratios:
        return [f"{comparison.name}: no ratio is in both: nothing was compared"]
    lines = []
    for key in comparison.fallen(tolerance):
        size, precision, _, peer = key
        before, now = comparison.ratios[key]
        lines.append(
            f"{comparison.name}, {size}, {precision}: ours against {peer} fell from "
            f"{before:.2f} to {now:.2f}"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Compares; ends the process with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="by default all")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        metavar="SHARE",
        help=f"by which a ratio may fall (default {TOLERANCE:g})",
    )
    parser.add_argument("--full", action="store_true", help="the long runs: hours")
    parser.add_argument("--against", type=Path, metavar="FILE", help="what was")
    parser.add_argument(
        "--from", type=Path, dest="fresh", metavar="FILE", help="what is"
    )
    options = parser.parse_args(arguments)
    if not 0 <= options.tolerance < 1:
        parser.error(
            f"--tolerance: expected 0 or more and below 1, got {options.tolerance:g}"
        )
    if (options.against is None) != (options.fresh is None):
        parser.error("--against and --from: expected both or neither, got one")
    if options.against is not None and options.names:
        parser.error("NAME: expected none with --against, got some")
    try:
        if options.against is not None:
            wrong = _of_files(options.against, options.fresh, options.tolerance)
        else:
            wrong = _of_runs(options.names, options.tolerance, full=options.full)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    if wrong:
        raise SystemExit(1)


def _of_files(against: Path, fresh: Path, tolerance: float) -> list[str]:
    """What is wrong between two documents.

    Raises:
        OSError, ValueError: If a file is none, or they are of different benchmarks.
    """
    was, now = _read(against), _read(fresh)
    if was["name"] != now["name"]:
        raise ValueError(
            f"--from: expected a document of {was['name']}, got one of {now['name']}"
        )
    return _report(compare(was, now), tolerance)


def _of_runs(names: Sequence[str], tolerance: float, *, full: bool) -> list[str]:
    """What is wrong after benchmarks were run.

    Raises:
        ValueError: For a name that is none, or has no committed document.
    """
    documents = _committed(suite.RESULTS)
    chosen = suite.named(names, full=full)
    for name in names:
        if name not in documents:
            raise ValueError(
                f"NAME: expected one of {', '.join(documents)}, whose documents are "
                f"committed, got {name!r}"
            )
    wrong = []
    for benchmark in chosen:
        if benchmark.name not in documents:
            print(f"note: {benchmark.name}: no document is committed yet", flush=True)
            continue
        path = FRESH / f"{benchmark.name}.json"
        # A run that fails must not be judged by what an earlier one has left.
        path.unlink(missing_ok=True)
        if suite.run(benchmark, path, full=full):
            comparison = nearest(documents[benchmark.name], _read(path))
            wrong += _report(comparison, tolerance)
        else:
            wrong.append(f"{benchmark.name}: the benchmark failed")
    return wrong


def _report(comparison: Comparison, tolerance: float) -> list[str]:
    print(table(comparison, tolerance), flush=True)
    return failures(comparison, tolerance)


def _committed(folder: Path) -> dict[str, list[Document]]:
    """Name of a benchmark -> its documents, the one of its name first."""
    found: dict[str, list[Document]] = {}
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stem):
        document = _read(path)
        found.setdefault(document["name"], []).append(document)
    return found


def _read(path: Path) -> Document:
    document: Document = json.loads(path.read_text("utf-8"))
    return document


def _ratios(document: Document) -> dict[Key, float]:
    return {
        (group.size, group.precision, group.unit, name_of(pair.peer)): pair.ratio
        for group in groups(document)
        for pair in pairs(group)
    }


def _remarks(committed: Document, fresh: Document) -> tuple[str, ...]:
    before, now = device_of(committed), device_of(fresh)
    remarks = []
    if before != now:
        remarks.append(f"ratios of another device are compared: {before}; here {now}")
    versions = committed.get("versions", {}), fresh.get("versions", {})
    changed = [
        f"{name} {versions[0][name]} -> {versions[1][name]}"
        for name in _VERSIONS
        if name in versions[0]
        and name in versions[1]
        and versions[0][name] != versions[1][name]
    ]
    if changed:
        remarks.append(f"versions differ: {', '.join(changed)}")
    return tuple(remarks)


if __name__ == "__main__":
    main()
