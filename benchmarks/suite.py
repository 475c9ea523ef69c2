"""The benchmarks of throughput, and how each is run; runs them one after the other.

    python -m benchmarks.suite [NAME ...]           # minutes: into runs/bench
    python -m benchmarks.suite --full [NAME ...]    # hours: into benchmarks/results

The short run of a benchmark takes sizes that its full run has too, a few strong peers
and few turns, so that its ratios can be held to those that are committed
(`benchmarks.check`).
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
SHORT_RESULTS = Path("runs/bench")
# A turn of so little time is one run of what takes long, and several of what does not.
_SHORT = ("--rounds", "3", "--turn", "0.1")


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A module `benchmarks.NAME` with the command line of `benchmarks.harness`.

    Attributes:
        name: Of the module.
        full: Options of the run whose document is committed.
        short: Options of the run of minutes; None: there is none.
    """

    name: str
    full: tuple[str, ...] = ()
    short: tuple[str, ...] | None = _SHORT

    def command(self, path: Path, *, full: bool) -> list[str]:
        """Words after `python`, with the file that the document goes to."""
        options = self.full if full else self.short or ()
        return ["-m", f"benchmarks.{self.name}", *options, "--json", str(path)]


def _only(*texts: str) -> tuple[str, ...]:
    return tuple(word for text in texts for word in ("--only", text))


BENCHMARKS = (
    Benchmark(
        name="propagation",
        short=(
            *(*_SHORT, "--size", "gowalla"),
            *_only("CSR", "embedding_bag", "SparseTensor", "EdgeIndex"),
        ),
    ),
    Benchmark(
        name="lightgcn_step",
        short=(*_SHORT, *_only("last layer of the batch", "sparse.mm", "SparseTensor")),
    ),
    Benchmark(
        name="fused_step",
        short=(*_SHORT, *_only("last layer of the batch", "CSR, own backward")),
    ),
    Benchmark(name="batch_sizes", full=("--rounds", "3"), short=None),
    Benchmark(name="devices", full=("--rounds", "3"), short=None),
    Benchmark(
        name="sampled_fused",
        # A pass of the slowest peer over a million nodes takes seconds.
        full=("--rounds", "3"),
        short=(*_SHORT, "--size", "gowalla", *_only("distinct rows", "2 workers")),
    ),
    Benchmark(
        name="fused_text_step",
        # A call is ten steps of a second each.
        full=(
            *("--rounds", "2", "--turn", "1"),
            *_only("no padding, eager attention"),
        ),
        short=None,
    ),
    Benchmark(
        name="sampled_sage",
        # Four minutes, most of them for what a loader asks for first.
        short=None,
    ),
    Benchmark(
        name="ranking",
        # A run of a million items takes a quarter of a minute.
        full=("--rounds", "2"),
        short=(*_SHORT, "--size", "gowalla", *_only("one buffer", "512 a chunk")),
    ),
    Benchmark(
        name="serving",
        short=(*_SHORT, "--size", "gowalla", *_only("mv", "buffer")),
    ),
    # Minutes a run: there is no short one.
    Benchmark(
        name="end_to_end",
        full=("--rounds", "2", "--only", "last layer"),
        short=None,
    ),
    Benchmark(name="gat", short=(*_SHORT, *_only("embedding_bag"))),
    Benchmark(name="scale", short=None),
    Benchmark(name="ceilings", short=None),
    Benchmark(
        name="text_train",
        # On ragged reviews all peers at once need more than 23 GB.
        full=("--rounds", "3", "--turn", "3", "--size", "64 x 64"),
        short=(*_SHORT, "--size", "full, 64 x 64", *_only("eager attention")),
    ),
    Benchmark(name="text_lengths", full=("--rounds", "3"), short=None),
    Benchmark(
        name="generation",
        # A run is 64 steps, and what compiles takes a minute to be ready.
        full=("--rounds", "3"),
        short=(*_SHORT, "--size", "batch 8", *_only("packed")),
    ),
    Benchmark(
        name="text_encode",
        # A run is a pass over a corpus: nine turns of all peers would take hours.
        full=(
            *("--texts", "1000", "--rounds", "3", "--turn", "0.1"),
            *_only("batch 32", "batch 64", "1024 tokens"),
        ),
        short=(
            *("--texts", "500", "--rounds", "2", "--turn", "0.1", "--size", "movies"),
            *_only("batch 64", "tokens a batch"),
        ),
    ),
)


def named(names: Sequence[str], *, full: bool) -> list[Benchmark]:
    """The benchmarks of these names; of no names all that have such a run.

    Raises:
        ValueError: For a name that is none, or has no short run.
    """
    known = {one.name: one for one in BENCHMARKS if full or one.short is not None}
    for name in names:
        if name not in known:
            raise ValueError(f"NAME: expected one of {', '.join(known)}, got {name!r}")
    return [known[name] for name in names or known]


def run(benchmark: Benchmark, path: Path, *, full: bool) -> bool:
    """Runs it in a process of its own; whether it ended well."""
    command = benchmark.command(path, full=full)
    print(f"+ {shlex.join(['python', *command])}", flush=True)
    return subprocess.run([sys.executable, *command], check=False).returncode == 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs those that are named, all of them even if one fails."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.suite",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="by default all")
    parser.add_argument("--full", action="store_true", help="hours; what is committed")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where the documents go"
    )
    options = parser.parse_args(arguments)
    try:
        chosen = named(options.names, full=options.full)
    except ValueError as error:
        parser.error(str(error))
    folder = options.out or (
        # As the commands are told in the documents: from the project's root.
        Path("benchmarks/results") if options.full else SHORT_RESULTS
    )
    failed = [
        one.name
        for one in chosen
        if not run(one, folder / f"{one.name}.json", full=options.full)
    ]
    if failed:
        print(f"error: failed: {', '.join(failed)}", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
