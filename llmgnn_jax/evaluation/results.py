"""`results.json`: what a run measured, under which protocol, on which machine.

The typed builder (`Results`) makes the document, `contract.check_results` is what every
reader may rely on, and `refuse_comparison` keeps numbers of different protocols apart.
"""

import dataclasses
import datetime
import io
import json
import math
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax.assets.bucket import is_url, run_path
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.contract import check_results

FILE_NAME = "results.json"
PER_USER_NAME = "per_user.npz"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What makes two numbers comparable.

    Attributes:
        task: For example "ranking".
        dataset: Its name.
        split_name: For people, for example "random 0.8:0.1:0.1, seed 0".
        filters: What was dropped before the split; [] for nothing.
        k: Cut-offs of the metrics.
        masking: What is never recommended at test, for example "train+valid".
        candidates: What is ranked at test, for people: "1,682 items", "97 cold items".
        metric: What models were chosen by on valid, and are told apart by.
        fingerprint: Hex hash of data, filters, split rule, masking and metric.
        split_hash: Hex hash of the rows of each part.
    """

    task: str
    dataset: str
    split_name: str
    filters: Sequence[str]
    k: Sequence[int]
    masking: str
    fingerprint: str
    split_hash: str
    candidates: str = ""
    metric: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelResult:
    """One row of the table of models.

    Attributes:
        valid: METRIC -> value on valid.
        test: METRIC -> value on test, which was read once.
        seconds: Wall time to train, tuning included.
        baseline: Whether it is there to be beaten; the report marks it.
        per_seed: Seed -> METRIC -> value on test, where there are several.
        ci95: METRIC -> [low, high] on test.
        slices: Slice -> METRIC -> value on test.
        beyond_accuracy: What its lists on test are like: novelty, diversity and so on.
        budget: Trials, grid, what was chosen; steps for learned models.
        kinds: "warm", "cold items" and so on -> "users", how many; METRIC -> value of
            finding such pairs among such items, "alone", and in the lists that `test`
            is of, "together". Where pairs of several kinds are to be found.
    """

    valid: Mapping[str, float]
    test: Mapping[str, float]
    seconds: float
    baseline: bool = False
    per_seed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ci95: Mapping[str, Sequence[float]] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    beyond_accuracy: Mapping[str, float] = field(default_factory=dict)
    budget: Mapping[str, Any] = field(default_factory=dict)
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PathResult:
    """The quality of one way to ask for recommendations ("user", "items", "text").

    Attributes:
        description: What the path knows and computes, in a sentence.
        metrics: METRIC -> value on test.
        num_users: How many users it was measured on.
    """

    description: str
    metrics: Mapping[str, float]
    num_users: int


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """One recommended item of an example; `hit`: it is in the user's test part."""

    rank: int
    title: str
    score: float
    hit: bool


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why the first item of an example has its score: in words, and as SVG."""

    sentences: str
    drawing: str


@dataclass(frozen=True, kw_only=True)
class Example:
    """Recommendations to look at: some of the history, then a list for each model."""

    label: str
    history: Sequence[str]
    recommendations: Mapping[str, Sequence[Recommendation]]
    explanation: Explanation | None = None


@dataclass(frozen=True, kw_only=True)
class Results:
    """All of `results.json`.

    Attributes:
        protocol: See `Protocol`.
        models: Name -> result; in the order in which tables show them.
        environment: From `environment.environment()`.
        command: What was typed.
        device: From `environment.device()`.
        paths: Path -> result.
        examples: See `Example`.
        comparisons: {"a", "b", "metric", "delta", "p", "method", "correction"} each,
            and intervals, see `judgement.documented`.
        per_user: "users" -> (N,), "MODEL/METRIC" -> (N,) on test; a file of its own.
        date: ISO 8601 with time zone; now, if not given.
    """

    protocol: Protocol
    models: Mapping[str, ModelResult]
    environment: Mapping[str, Any]
    command: str
    device: str
    paths: Mapping[str, PathResult] = field(default_factory=dict)
    examples: Sequence[Example] = ()
    comparisons: Sequence[Mapping[str, Any]] = ()
    per_user: Mapping[str, np.ndarray] = field(default_factory=dict)
    date: str = field(
        default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(
            timespec="seconds"
        )
    )

    def document(self) -> dict[str, Any]:
        """The JSON document, checked; numbers that are not finite become null.

        Raises:
            UserError: If a field breaks the contract.
        """
        document = _plain(dataclasses.asdict(self))
        assert isinstance(document, dict)
        del document["per_user"]
        check_results(document)
        return document


def write_results(run_dir: Path | str, results: Results) -> Path:
    """Writes `results.json` into the run folder, all or nothing; returns its path.

    Where there are numbers of users, they go to `per_user.npz` before.

    Raises:
        UserError: If a field breaks the contract; nothing is written then.
    """
    path = run_path(run_dir) / FILE_NAME
    text = json.dumps(results.document(), indent=2, ensure_ascii=False, allow_nan=False)
    if results.per_user:
        stream = io.BytesIO()
        arrays: dict[str, Any] = dict(results.per_user)
        np.savez_compressed(stream, **arrays)
        write_atomically(path.with_name(PER_USER_NAME), stream.getvalue())
    write_atomically(path, text + "\n")
    return path


def read_results(run_dir: Path | str) -> dict[str, Any]:
    """The checked document of a run folder.

    Raises:
        UserError: If the file is absent, is no JSON, or breaks the contract.
    """
    path = run_path(run_dir) / FILE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        fix = "train first, or name the folder of a finished run"
        raise _absent(run_dir, path, fix=fix) from None
    except ValueError as error:
        raise UserError.field(str(path), expected="JSON", got=error) from None
    try:
        check_results(document)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return document


def read_per_user(run_dir: Path | str) -> dict[str, np.ndarray]:
    """What `write_results` put beside `results.json`.

    Raises:
        UserError: If there is none.
    """
    path = run_path(run_dir) / PER_USER_NAME
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return dict(arrays)
    except FileNotFoundError:
        raise _absent(run_dir, path, fix="`llmgnn evaluate` writes it") from None
    except (ValueError, zipfile.BadZipFile) as error:
        raise UserError.field(str(path), expected="arrays", got=error) from None


def _absent(run_dir: Path | str, path: Path, *, fix: str) -> UserError:
    return UserError.field(
        str(run_dir),
        expected=f"a run folder with {path.name}",
        got="none in it" if path.parent.is_dir() else "no such folder",
        fix=fix,
    )


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces the file in one step: a reader sees the old one or all of the new."""
    content = content.encode("utf-8") if isinstance(content, str) else content
    if is_url(path):
        # So are objects of a bucket, all of them.
        path.write_bytes(content)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_comparison(
    a: Mapping[str, Any], b: Mapping[str, Any], *, paired: bool = True
) -> None:
    """Passes only if the numbers of two documents may stand in one table.

    Args:
        a: A `results.json` document.
        b: Another.
        paired: Whether users are compared one by one (a paired test), which needs the
            same rows in each part; else the same protocol is enough.

    Raises:
        UserError: If fingerprints differ, or split hashes where that matters.
    """
    for name in ("fingerprint", "split_hash") if paired else ("fingerprint",):
        left, right = a["protocol"][name], b["protocol"][name]
        if left != right:
            different = [
                f"{key} {a['protocol'][key]!r} and {b['protocol'][key]!r}"
                for key in ("dataset", "split_name", "filters", "masking", "k")
                if a["protocol"][key] != b["protocol"][key]
            ]
            raise UserError.field(
                f"protocol.{name}",
                expected="the same in both results",
                got=f"{left[:12]} and {right[:12]}"
                + (f" ({'; '.join(different)})" if different else ""),
                fix="numbers of different protocols cannot be compared: rerun one",
            )


def _plain(value: Any) -> Any:
    """JSON types only: NumPy scalars and arrays, tuples, paths and NaN are turned."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
