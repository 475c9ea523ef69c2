"""What a benchmark file says: cases, the systems in them, and what a system sets up."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

OURS = "llmgnn_jax"

Inputs = Mapping[str, np.ndarray]
Precision = Literal["float32", "tf32", "bfloat16"]


class Unavailable(Exception):
    """A system cannot run here: its rows are missing, and the message says why."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A system that is set up, in its worker.

    Attributes:
        run: One repeat; it returns when the device is done.
        outputs: Name -> array, for parity: outputs and gradients from the inputs alone.
            Names and shapes are those of every other system of the case.
        units: Units of work in one run: steps, seeds.
        compile_s: Seconds that compiling took; None: what the first run took beyond a
            median one.
        cold_s: Seconds of a first run that the set-up has made, where a run is so long
            that another one would be a waste.
        warms_up: False where each run starts afresh and takes long: one first run is
            then all that goes before the timed ones.
        notes: What the system chose, for the reader of the results. Read again after
            the last run, so that runs may add to it.
        device_peak_mb: Peak memory of the accelerator; None on a CPU.
    """

    run: Callable[[], object]
    outputs: Callable[[], Mapping[str, np.ndarray]]
    units: float = 1.0
    compile_s: float | None = None
    cold_s: float | None = None
    warms_up: bool = True
    notes: Mapping[str, Any] = field(default_factory=dict)
    device_peak_mb: Callable[[], float] | None = None


@dataclass(frozen=True, kw_only=True)
class System:
    """A row of the results.

    Attributes:
        system: "llmgnn_jax", "pytorch", "pyg", "jraph", "recbole".
        variant: Which path of it.
        setup: "module:function" of `setup(inputs, **options) -> Task`.
        options: Keyword arguments of it; what JSON can hold.
        environment: Variables that its worker starts with, beside the common ones.
        python: The interpreter of its worker, where packages of a peer need an
            environment of their own; "" is the one that runs the benchmark.
        unit: As a case's, where it is another one: a measurement of the machine, taken
            in the same rounds. Only systems of one unit must agree and have ratios.
    """

    system: str
    variant: str
    setup: str
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    unit: str = ""

    @property
    def name(self) -> str:
        """For tables: "pytorch CSR"."""
        return f"{self.system} {self.variant}"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a unit of work is by the model, whatever a system really does.

    Attributes:
        flops: Of products and sums, a multiplication and an addition counted as two.
        bytes: That are read and written, if each array that the model names is.
    """

    flops: float
    bytes: float


@dataclass(frozen=True, kw_only=True)
class Case:
    """Systems that are compared: one size, one precision, the same inputs.

    Attributes:
        size: Names the inputs.
        precision: Of all the systems.
        unit: "ms" a unit of work, or units a second, as "seeds/s".
        inputs: Makes the arrays. May raise `Unavailable`.
        systems: The first of a unit that is there is what the others must agree with.
        tolerance: Largest difference of an output or gradient, as a share of the
            array's largest entry.
        about: What the reader should know of the inputs or of the peers; from the
            inputs.
        work: Of a unit, from the inputs; None: the rows say nothing of it.
    """

    size: str
    precision: Precision
    unit: str
    inputs: Callable[[], Inputs]
    systems: tuple[System, ...]
    tolerance: float
    about: Callable[[Inputs], str] = lambda inputs: ""
    work: Callable[[Inputs], Work] | None = None

    def __post_init__(self) -> None:
        for unit in {self.unit_of(system) for system in self.systems}:
            if unit != "ms" and not unit.endswith("/s"):
                raise ValueError(f"unit: expected 'ms' or one in '/s', got {unit!r}")
        names = [system.name for system in self.systems]
        if len(set(names)) < len(names):
            raise ValueError(f"systems: expected different names, got {names}")

    def unit_of(self, system: System) -> str:
        """What the medians of a system are in."""
        return system.unit or self.unit


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: Turns that each worker has.
        turn_s: Seconds of a turn; one run at least.
        warm_up_s: Seconds of the warm-up; two runs at least.
        threads: Of each worker, all bound to the same cores.
        until: When a case has to end, by `time.monotonic`: systems that are not set up
            by a share of its time are missing, and there are as many rounds as fit.
        strict: Whether all is over when ours fails, or when a system disagrees; else
            its row is missing, with the reason.
        together: Which systems are set up and compute what parity compares side by
            side, none, the peers after ours, or all: many cores have them ready sooner,
            and compiling takes each longer.
    """

    rounds: int
    turn_s: float
    warm_up_s: float
    threads: int
    until: float = math.inf
    strict: bool = True
    together: Literal["none", "peers", "all"] = "none"


FULL = Effort(rounds=9, turn_s=0.5, warm_up_s=1.0, threads=0)
QUICK = Effort(rounds=3, turn_s=0.1, warm_up_s=0.1, threads=0)
