"""How well words that a run was taught foresee reviews that nobody has read.

    python -m benchmarks.quality_words --json docs/results/words.json

Amazon gift cards, a folder below `LLMGNN_SHARED` or `../shared/data`, in the split of
`benchmarks.quality_sets` (warm, seed 0), whose fused model is trained first. A review
is held out with the interaction that it is about. Taught is the train part, the best
step is chosen on valid, test is read once.

    adapter             SmolLM2-135M, frozen, with the evidence in words and the vectors
                        of user and item by soft tokens
    adapter, shuffled   the same, told the vectors of another pair of the test part
    smollm2             the evidence in words alone
    smollm2, no evidence  the name of the item alone
    lstm, cnn, transformer  small decoders, told the fused vectors; `shuffled` as above;
                        `untold`: taught without vectors; `encoder`: told the vectors of
                        the text encoder

Bits a byte compare them all: their tokens differ, and all of them are lossless. The end
of a text is not counted. Reviews are cut to 280 characters.
"""

import argparse
import dataclasses
import datetime
import json
import logging
import math
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.quality_sets import configs
from benchmarks.quality_tables import table
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.results import write_atomically
from llmgnn_jax.evaluation.significance import (
    CORRECTION,
    compared,
    ratio_intervals,
)
from llmgnn_jax.speaking.course import Course, Outcome
from llmgnn_jax.speaking.known import Known, VectorSource
from llmgnn_jax.speaking.measured import Measured, measure, of_others
from llmgnn_jax.speaking.pupil import Pupil
from llmgnn_jax.speaking.pupils import DecoderName, PupilOptions, new_pupil
from llmgnn_jax.speaking.teach import COURSES, Reviews, taught_on
from llmgnn_jax.text.generation.small.config import SMALL_KINDS
from llmgnn_jax.training.run import fit

logger = logging.getLogger("llmgnn_jax.benchmarks")

METHOD = "paired permutation of reviews"
_SEED = 0


class Bench:
    """The rows so far.

    Args:
        known: What the run knows.
        steps: Of each training at most; None for those of `COURSES`.
        reviews: Of each part; 0 for all.
    """

    def __init__(self, known: Known, *, steps: int | None, reviews: int) -> None:
        self._known, self._steps, self._most = known, steps, reviews
        self.rows: dict[str, dict[str, Any]] = {}
        self.measured: dict[str, Measured] = {}

    def parts(self, options: PupilOptions) -> tuple[Reviews, Reviews, Reviews]:
        """Train, valid and test."""
        train, valid, test = (
            Reviews.of(self._known, part, options, most=self._most)
            for part in ("train", "valid", "test")
        )
        return train, valid, test

    def small(self, kind: DecoderName, told: VectorSource) -> None:
        """A small decoder, told the vectors, and not told the fused ones."""
        options = PupilOptions(decoder=kind, told=told, seed=_SEED)
        train, valid, test = self.parts(options)
        pupil = new_pupil(options, self._known, train.pairs)
        course = self.course(kind)
        name = kind if told == "merged" else f"{kind}, {told}"
        outcome = taught_on(pupil, course, train=train, valid=valid)
        self._add(name, outcome.pupil, test, course, outcome)
        if told != "merged":
            return
        self._add_shuffled(name, outcome.pupil, test, course)
        outcome = taught_on(pupil.unadapted(), course, train=train, valid=valid)
        self._add(f"{kind}, untold", outcome.pupil, test, course, outcome)

    def adapter(self, words: str, dtype: str) -> None:
        """The language model without and with its adapter."""
        options = PupilOptions(
            decoder="adapter",
            words=words,
            dtype=dtype,  # type: ignore[arg-type]
            seed=_SEED,
        )
        train, valid, test = self.parts(options)
        pupil = new_pupil(options, self._known, train.pairs)
        course = self.course("adapter")
        bare = dataclasses.replace(
            test,
            pairs=[
                dataclasses.replace(pair, prompt=_without_user(pair.prompt))
                for pair in test.pairs
            ],
        )
        self._add("smollm2, no evidence", pupil.unadapted(), bare, course)
        self._add("smollm2", pupil.unadapted(), test, course)
        outcome = taught_on(pupil, course, train=train, valid=valid)
        self._add("adapter", outcome.pupil, test, course, outcome)
        self._add_shuffled("adapter", outcome.pupil, test, course)

    def course(self, kind: DecoderName) -> Course:
        """Of a decoder."""
        course = dataclasses.replace(COURSES[kind], seed=_SEED)
        if self._steps is None:
            return course
        return dataclasses.replace(
            course,
            steps=self._steps,
            validate_every=min(course.validate_every, self._steps),
        )

    def _add_shuffled(
        self, name: str, pupil: Pupil, test: Reviews, course: Course
    ) -> None:
        others = of_others(test.vectors_NC, seed=_SEED)
        shuffled = dataclasses.replace(test, vectors_NC=others)
        self._add(f"{name}, shuffled", pupil, shuffled, course)

    def _add(
        self,
        name: str,
        pupil: Pupil,
        test: Reviews,
        course: Course,
        outcome: Outcome | None = None,
    ) -> None:
        started = time.perf_counter()
        found = measure(pupil, test.pairs, test.vectors_NC, rows=course.batch_size)
        seconds = time.perf_counter() - started
        low, high = ratio_intervals(
            found.nats_N[:, None] / math.log(2), found.bytes_N, seed=_SEED
        )
        self.measured[name] = found
        self.rows[name] = {
            "test": {
                "perplexity": found.perplexity,
                "bits_per_byte": found.bits_per_byte,
            },
            "ci95": {"bits_per_byte": [float(low[0]), float(high[0])]},
            "tokens": int(found.tokens_N.sum()),
            "trained_parameters": _size(pupil.trained) if outcome else 0,
            "parameters": _size([pupil.params, pupil.trained.get("adapter")]),
            "teach_seconds": outcome.seconds if outcome else 0.0,
            "steps": outcome.steps if outcome else 0,
            "best_step": outcome.best_step if outcome else 0,
            "valid_nats_per_token": [*map(list, outcome.curve)] if outcome else [],
            "measure_seconds": seconds,
            # Of the process so far: who takes the least goes first.
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        logger.info(
            "%s: %.4f bits a byte, perplexity %.2f, %.0f s",
            name,
            found.bits_per_byte,
            found.perplexity,
            self.rows[name]["teach_seconds"],
        )

    def comparisons(self) -> list[dict[str, Any]]:
        """The adapter beside all others, and small decoders beside their controls."""
        values = {name: -found.bits_per_byte_N for name, found in self.measured.items()}
        groups = [("adapter", values)] if "adapter" in values else []
        for kind in SMALL_KINDS:
            of_kind = {
                name: one
                for name, one in values.items()
                if name.partition(",")[0] == kind
            }
            if kind in of_kind:
                groups.append((kind, of_kind))
        return [
            {
                **dataclasses.asdict(one),
                "metric": "-bits_per_byte",
                "method": METHOD,
                "correction": CORRECTION,
            }
            for name, group in groups
            for one in compared(name, group, seed=_SEED)
        ]


def _without_user(prompt: str) -> str:
    """The name of the item alone."""
    first, *_, last = prompt.split("\n")
    return f"{first}\n{last}"


def _size(params: Any) -> int:
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def words_table(document: Mapping[str, Any]) -> str:
    """One row a decoder, the fewest bits first."""
    models = document["models"]
    p_values = {
        one["b"]: one["p"] for one in document["comparisons"] if one["a"] == "adapter"
    }
    heads = ["decoder", "bits a byte", "95 %", "perplexity", "p beside adapter"]
    heads += ["trained parameters", "taught", "peak MB"]
    rows = []
    for name in sorted(models, key=lambda one: models[one]["test"]["bits_per_byte"]):
        row = models[name]
        p_value = p_values.get(name)
        taught = f"{row['teach_seconds']:.0f} s, step {row['best_step']}"
        rows.append(
            [
                name,
                f"{row['test']['bits_per_byte']:.4f}",
                "{:.4f} to {:.4f}".format(*row["ci95"]["bits_per_byte"]),
                f"{row['test']['perplexity']:.2f}",
                "" if p_value is None else f"{p_value:.4f}",
                f"{row['trained_parameters']:,}" if row["trained_parameters"] else "",
                taught if row["steps"] else "",
                f"{row['peak_mb']:.0f}",
            ]
        )
    return table(heads, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality_words",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--words", default="smollm2-135m", help="the language model")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="bfloat16", help="of its"
    )
    parser.add_argument("--steps", type=int, help="at most, to try it out")
    parser.add_argument(
        "--reviews", type=int, default=0, help="of each part, to try it out"
    )
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    typed = sys.argv[1:] if arguments is None else arguments
    config = configs(
        "gift-cards", "warm", {"evaluation.baselines": False, "models": ("fused",)}
    )["0"]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        fit(config, out=run, command="benchmarks.quality_words")
        known = Known.load(run)
    # What stores checkpoints has made the root logger quieter.
    logging.getLogger("llmgnn_jax").setLevel(logging.INFO)
    bench = Bench(known, steps=chosen.steps, reviews=chosen.reviews)
    started = time.perf_counter()
    for kind in SMALL_KINDS:
        bench.small(kind, "merged")
    bench.small("lstm", "encoder")
    bench.adapter(chosen.words, chosen.dtype)
    document = {
        "name": "words",
        "protocol": {
            "task": "reviews",
            "dataset": config.recipe,
            "split_name": known.split_name,
            "split_hash": known.split_hash,
            "reviews": {
                part: len(known.pairs(part)) if not chosen.reviews else chosen.reviews
                for part in ("train", "valid", "test")
            },
            "metric": "bits_per_byte",
            "words": chosen.words,
            "dtype": chosen.dtype,
        },
        "models": bench.rows,
        "comparisons": bench.comparisons(),
        "seconds": time.perf_counter() - started,
        "environment": environment(),
        "command": " ".join(["python", "-m", "benchmarks.quality_words", *typed]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": device(),
    }
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(chosen.json, json.dumps(document, indent=2) + "\n")
    print(words_table(document))


if __name__ == "__main__":
    main()
