"""What `accelerator` measures, and on what: everything is generated, no data needed.

On a GPU there are no rows of our kernels for CPUs and none of host allocators; float32
is full float32 on both sides, TF32 is off but for its ceiling. On a CPU sizes are
small: the command can be tried there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks import ceilings
from benchmarks.accelerator_graphs import (
    fused_step_case,
    lightgcn_step_case,
    propagation_cases,
    ranking_cases,
)
from benchmarks.accelerator_texts import text_encode_cases, text_train_cases
from benchmarks.harness import Case
from benchmarks.machine import Device


@dataclass(frozen=True, kw_only=True)
class Part:
    """A benchmark that is run within the command.

    Attributes:
        name: Of the benchmark; its document has it.
        seconds: What it is given; what it leaves goes to those that follow.
        cases: In the order of what matters most.
        left_out: What is not measured here, and why.
        together: Which of its systems are set up side by side: ours alone where XLA
            chooses among kernels for products by timing them.
    """

    name: str
    seconds: float
    cases: Sequence[Case]
    left_out: str = ""
    together: Literal["none", "peers", "all"] = "none"


def parts_for(device: Device, folder: Path) -> list[Part]:
    """All parts, in the order in which they run; files that they need go to `folder`.

    The seconds are those that a GPU's sizes want, 450 in all; `accelerator` scales them
    to its budget.
    """
    gpu = device.kind == "gpu"
    sizes = ceilings.GPU if gpu else ceilings.QUICK
    no_data = (
        "Gowalla and MovieLens-100K, which are not read: pairs and graphs of their "
        "sizes are generated"
    )
    return [
        Part(
            name="ceilings",
            seconds=55,
            cases=ceilings.cases_of(sizes, tf32=gpu),
            left_out="" if gpu else "TF32, which a CPU has not",
        ),
        Part(
            name="propagation",
            seconds=90,
            cases=propagation_cases(device),
            together="all" if gpu else "none",
            left_out=f"{no_data}; torch-sparse, whose kernels are built from source",
        ),
        Part(
            name="text_train",
            seconds=100,
            cases=text_train_cases(gpu),
            together="peers" if gpu else "none",
            left_out="ragged reviews, which need data; TF32, which ours does not use",
        ),
        Part(
            name="lightgcn_step",
            seconds=60,
            cases=[lightgcn_step_case(device)],
            together="all" if gpu else "none",
            left_out=no_data,
        ),
        Part(
            name="fused_step",
            seconds=60,
            cases=[fused_step_case(device)],
            together="all" if gpu else "none",
            left_out=no_data,
        ),
        Part(
            name="text_encode",
            seconds=45,
            cases=text_encode_cases(gpu, folder),
            left_out="MiniLM's own weights and real texts: random ones of its shape",
        ),
        Part(name="ranking", seconds=40, cases=ranking_cases(gpu), left_out=no_data),
    ]
