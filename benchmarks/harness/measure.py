"""One case from its inputs to its rows."""

import contextlib
import logging
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.parity import Parity, compare
from benchmarks.harness.remote import Worker, WorkerFailed
from benchmarks.harness.system import OURS, Case, Effort, System, Unavailable

logger = logging.getLogger(__name__)

# OpenMP's threads spin for a while after their last work: the next turn waits for them.
_SETTLE_S = 0.05


@dataclass(kw_only=True)
class Measured:
    """What is known of a system when its case is over.

    Attributes:
        system: Which.
        seconds: Of its timed runs.
        first_s: Of the run before them all, which compiles.
        compile_s: What the system itself says; None if it does not.
        units: Units of work in a run.
        peak_mb: While it was timed, less what the imports took.
        setup_s: From the inputs to a system that is ready.
        notes: What it chose, and what its runs added.
        turns: When each turn began and ended, by one clock for all workers.
        said: Versions, device and numerics.
    """

    system: System
    seconds: list[float] = field(default_factory=list)
    first_s: float = 0.0
    compile_s: float | None = None
    units: float = 1.0
    peak_mb: float = 0.0
    setup_s: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)
    turns: list[tuple[float, float]] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class CaseResult:
    """The outcome of a case.

    Attributes:
        case: Which.
        measured: Those that ran.
        parity: System's name -> how far it is from the reference.
        missing: System's name -> why it did not run.
        about: Of the inputs.
        canary: Of XLA's scatter, from our worker.
    """

    case: Case
    measured: list[Measured] = field(default_factory=list)
    parity: dict[str, Parity] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    about: str = ""
    canary: dict[str, Any] = field(default_factory=dict)


def measure(case: Case, effort: Effort) -> CaseResult:
    """Runs a case.

    Raises:
        ParityError: If the systems do not agree; nothing has been timed then.
        WorkerFailed: If ours fails, or a peer does after it was set up and checked.
    """
    result = CaseResult(case=case)
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as temporary,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(temporary)
        try:
            _save_inputs(case, folder / "inputs", result)
        except Unavailable as reason:
            _miss(result, case.systems, str(reason))
            return result
        workers = _set_up(case, effort, folder, stack, result)
        workers = _check_parity(workers, case, folder, result)
        _time(workers, effort, result)
    return result


def _save_inputs(case: Case, folder: Path, result: CaseResult) -> None:
    inputs = case.inputs()
    folder.mkdir()
    for name, array in inputs.items():
        np.save(folder / f"{name}.npy", array)
    result.about = case.about(inputs)
    logger.info("%s, %s: %s", case.size, case.precision, result.about)


def _set_up(
    case: Case,
    effort: Effort,
    folder: Path,
    stack: contextlib.ExitStack,
    result: CaseResult,
) -> list[Worker]:
    """Starts the workers; those that cannot run here are noted and left out.

    Packages may be absent, and a peer may lack a kernel for this device: that is its
    row's business alone. Ours has no such excuse.
    """
    workers = []
    for number, system in enumerate(case.systems):
        log = folder / f"worker-{number}.txt"
        try:
            worker = stack.enter_context(
                Worker(system, threads=effort.threads, log=log)
            )
            answer = worker.ask(
                "setup",
                setup=system.setup,
                folder=str(folder / "inputs"),
                options=dict(system.options),
            )
        except Unavailable as reason:
            _miss(result, (system,), str(reason))
            continue
        except WorkerFailed as failure:
            if system.system == OURS:
                raise
            _miss(result, (system,), failure.reason)
            continue
        workers.append(worker)
        result.measured.append(
            Measured(system=system, setup_s=answer["setup_s"], notes=answer["notes"])
        )
    return workers


def _check_parity(
    workers: list[Worker], case: Case, folder: Path, result: CaseResult
) -> list[Worker]:
    """Those that agree, and have what it takes to run at all."""
    able: list[Worker] = []
    references: dict[str, tuple[str, Path]] = {}
    for number, worker in enumerate(workers):
        outputs = folder / f"outputs-{number}"
        outputs.mkdir()
        try:
            worker.ask("outputs", folder=str(outputs))
        except WorkerFailed as failure:
            # Kernels are looked for when they are first called.
            if worker.system.system == OURS:
                raise
            _miss(result, (worker.system,), failure.reason)
            continue
        able.append(worker)
        name, unit = worker.system.name, case.unit_of(worker.system)
        if unit not in references:
            references[unit] = (name, outputs)
            continue
        reference, wanted = references[unit]
        result.parity[name] = compare(
            wanted, outputs, names=(reference, name), tolerance=case.tolerance
        )
        for path in outputs.iterdir():
            path.unlink()
    names = {worker.system.name for worker in able}
    result.measured = [m for m in result.measured if m.system.name in names]
    return able


def _time(workers: list[Worker], effort: Effort, result: CaseResult) -> None:
    for worker, measured in zip(workers, result.measured, strict=True):
        answer = worker.ask("first")
        measured.first_s, measured.compile_s = answer["seconds"], answer["compile_s"]
        worker.ask("warm_up", seconds=effort.warm_up_s)
    for _ in range(effort.rounds):
        for worker, measured in zip(workers, result.measured, strict=True):
            time.sleep(_SETTLE_S)
            answer = worker.ask("turn", seconds=effort.turn_s)
            measured.seconds += answer["seconds"]
            measured.turns.append((answer["began"], answer["ended"]))
    for worker, measured in zip(workers, result.measured, strict=True):
        answer = worker.ask("finish")
        measured.peak_mb, measured.units = answer.pop("peak_mb"), answer.pop("units")
        measured.notes = answer.pop("notes")
        measured.said = answer
        if worker.system.system == OURS and not result.canary:
            result.canary = worker.ask("canary")


def _miss(result: CaseResult, systems: tuple[System, ...], reason: str) -> None:
    for system in systems:
        result.missing[system.name] = reason
    named = systems[0].name if len(systems) == 1 else "any system"
    logger.warning(
        "%s, %s: no row for %s: %s",
        result.case.size,
        result.case.precision,
        named,
        reason,
    )
