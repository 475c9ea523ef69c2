"""One case from its inputs to its rows."""

import contextlib
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.parity import Parity, ParityError, compare
from benchmarks.harness.remote import Worker, WorkerFailed
from benchmarks.harness.system import OURS, Case, Effort, System, Unavailable, Work

logger = logging.getLogger(__name__)

# OpenMP's threads spin for a while after their last work: the next turn waits for them.
_SETTLE_S = 0.05
# Of a case's time, where that is limited, until when systems are set up and compared:
# one that takes longer takes no time from the turns of the others.
_SHARE_OF_SET_UP, _SHARE_OF_PARITY = 0.6, 0.75
# A round is begun where so many times the longest one so far still fit.
_SPARE = 1.5


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
        work: Of a unit of the case.
        disagrees: Names of systems that are missing because they compute other things.
        canary: Of XLA's scatter, from our worker.
    """

    case: Case
    measured: list[Measured] = field(default_factory=list)
    parity: dict[str, Parity] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    about: str = ""
    work: Work | None = None
    disagrees: list[str] = field(default_factory=list)
    canary: dict[str, Any] = field(default_factory=dict)


def measure(case: Case, effort: Effort) -> CaseResult:
    """Runs a case.

    Raises:
        ParityError: If the systems do not agree; nothing has been timed then.
        WorkerFailed: If ours fails, or a peer does after it was set up and checked.
            Neither unless `effort.strict`.
    """
    result = CaseResult(case=case)
    began = time.monotonic()
    set_up_until = began + _SHARE_OF_SET_UP * (effort.until - began)
    parity_until = began + _SHARE_OF_PARITY * (effort.until - began)
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as temporary,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(temporary)
        workers = _started(case, effort, folder, stack, result)
        try:
            _save_inputs(case, folder / "inputs", result)
        except Unavailable as reason:
            _miss(result, case.systems, str(reason))
            return result
        workers = _loaded(workers, effort, result, until=set_up_until)
        workers = _set_up(workers, effort, folder, result, until=set_up_until)
        workers = _check_parity(workers, effort, folder, result, until=parity_until)
        _time(workers, effort, result)
    return result


def _save_inputs(case: Case, folder: Path, result: CaseResult) -> None:
    inputs = case.inputs()
    folder.mkdir()
    for name, array in inputs.items():
        np.save(folder / f"{name}.npy", array)
    result.about = case.about(inputs)
    result.work = None if case.work is None else case.work(inputs)
    logger.info("%s, %s: %s", case.size, case.precision, result.about)


def _started(
    case: Case,
    effort: Effort,
    folder: Path,
    stack: contextlib.ExitStack,
    result: CaseResult,
) -> list[Worker]:
    """Starts the workers: all import what they need while the inputs are made."""
    workers = []
    for number, system in enumerate(case.systems):
        log = folder / f"worker-{number}.txt"
        with _noted(system, effort, result):
            worker = Worker(system, threads=effort.threads, log=log, until=effort.until)
            workers.append(stack.enter_context(worker))
            worker.tell("load", setup=system.setup)
    return workers


def _loaded(
    workers: list[Worker], effort: Effort, result: CaseResult, *, until: float
) -> list[Worker]:
    """Those whose packages are there; they have half of the time until then."""
    now = time.monotonic()
    able = []
    for worker in workers:
        with _noted(worker.system, effort, result):
            worker.answer("load", until=now + (until - now) / 2)
            able.append(worker)
    return able


def _set_up(
    workers: list[Worker],
    effort: Effort,
    folder: Path,
    result: CaseResult,
    *,
    until: float,
) -> list[Worker]:
    """Those that are set up: one after the other, or side by side."""

    def tell(worker: Worker) -> None:
        options = dict(worker.system.options)
        worker.tell("setup", folder=str(folder / "inputs"), options=options)

    able = []
    for worker, limit in _asked(workers, tell, effort, result, until=until):
        with _noted(worker.system, effort, result):
            answer = worker.answer("setup", until=limit)
            able.append(worker)
            measured = Measured(system=worker.system)
            measured.setup_s, measured.notes = answer["setup_s"], answer["notes"]
            result.measured.append(measured)
    return able


def _asked(
    workers: list[Worker],
    tell: Callable[[Worker], None],
    effort: Effort,
    result: CaseResult,
    *,
    until: float,
) -> Iterator[tuple[Worker, float]]:
    """Workers whose answers are to be taken, and until when they have time.

    Those that work side by side come last, and all are asked before the first of them.
    Of the others each is asked when the answer of the one before has been taken; for a
    peer no more than half of the time that is left is waited. Those for which it is
    too late are missed.
    """
    side_by_side = [
        worker
        for worker in workers
        if effort.together == "all"
        or (effort.together == "peers" and worker.system.system != OURS)
    ]
    for worker in sorted(workers, key=lambda worker: worker in side_by_side):
        limit = until
        if worker not in side_by_side:
            now = time.monotonic()
            if now > until:
                _miss(result, (worker.system,), "the time of its case did not suffice")
                continue
            if worker.system.system != OURS:
                limit = now + (until - now) / 2
            tell(worker)
        elif worker is side_by_side[0]:
            for one in side_by_side:
                tell(one)
        yield worker, limit


@contextlib.contextmanager
def _noted(system: System, effort: Effort, result: CaseResult) -> Iterator[None]:
    """A system that cannot run here is noted and left out.

    Packages may be absent, and a peer may lack a kernel for this device: that is its
    row's business alone. Ours has no such excuse.
    """
    try:
        yield
    except Unavailable as reason:
        _miss(result, (system,), str(reason))
    except WorkerFailed as failure:
        if system.system == OURS and effort.strict:
            raise
        _miss(result, (system,), failure.reason)


def _check_parity(
    workers: list[Worker],
    effort: Effort,
    folder: Path,
    result: CaseResult,
    *,
    until: float,
) -> list[Worker]:
    """Those that agree, and have what it takes to run at all."""
    case = result.case
    able: list[Worker] = []
    references: dict[str, tuple[str, Path]] = {}
    folders = {
        worker.system.name: folder / f"outputs-{number}"
        for number, worker in enumerate(workers)
    }

    def tell(worker: Worker) -> None:
        folders[worker.system.name].mkdir()
        worker.tell("outputs", folder=str(folders[worker.system.name]))

    for worker, limit in _asked(workers, tell, effort, result, until=until):
        outputs = folders[worker.system.name]
        answered = False
        # Kernels are looked for when they are first called.
        with _noted(worker.system, effort, result):
            worker.answer("outputs", until=limit)
            answered = True
        if not answered:
            continue
        name, unit = worker.system.name, case.unit_of(worker.system)
        if unit not in references:
            references[unit] = (name, outputs)
            able.append(worker)
            continue
        reference, wanted = references[unit]
        try:
            result.parity[name] = compare(
                wanted, outputs, names=(reference, name), tolerance=case.tolerance
            )
        except ParityError as error:
            if effort.strict:
                raise
            result.disagrees.append(name)
            _miss(result, (worker.system,), str(error))
            continue
        able.append(worker)
        for path in outputs.iterdir():
            path.unlink()
    names = {worker.system.name for worker in able}
    result.measured = [m for m in result.measured if m.system.name in names]
    return able


def _time(workers: list[Worker], effort: Effort, result: CaseResult) -> None:
    if not workers:
        return
    timed = list(zip(workers, result.measured, strict=True))

    def each(do: Callable[[Worker, Measured], None]) -> None:
        """Those that fail are timed no longer."""
        for worker, measured in list(timed):
            try:
                do(worker, measured)
            except WorkerFailed as failure:
                if effort.strict:
                    raise
                timed.remove((worker, measured))
                result.measured.remove(measured)
                _miss(result, (worker.system,), failure.reason)

    def first(worker: Worker, measured: Measured) -> None:
        answer = worker.ask("first")
        measured.first_s, measured.compile_s = answer["seconds"], answer["compile_s"]
        worker.ask("warm_up", seconds=effort.warm_up_s)

    def turn(worker: Worker, measured: Measured) -> None:
        time.sleep(_SETTLE_S)
        answer = worker.ask("turn", seconds=effort.turn_s)
        measured.seconds += answer["seconds"]
        measured.turns.append((answer["began"], answer["ended"]))

    def finish(worker: Worker, measured: Measured) -> None:
        answer = worker.ask("finish")
        measured.peak_mb, measured.units = answer.pop("peak_mb"), answer.pop("units")
        measured.notes = answer.pop("notes")
        measured.said = answer
        if worker.system.system == OURS and not result.canary:
            result.canary = worker.ask("canary")

    each(first)
    longest = 0.0
    for number in range(effort.rounds):
        began = time.monotonic()
        if number and began + _SPARE * longest > effort.until:
            logger.warning("%d of %d rounds fit", number, effort.rounds)
            break
        each(turn)
        longest = max(longest, time.monotonic() - began)
    each(finish)


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
