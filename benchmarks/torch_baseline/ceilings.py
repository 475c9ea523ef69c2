"""A large product and a copy in PyTorch."""

import torch

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.device import (
    DEVICE,
    DTYPES,
    numpy,
    peak_mb,
    tensor,
    wait,
)

# Rows that parity looks at, and numbers of a copy.
_ROWS, _NUMBERS = 64, 4096


def product(inputs: Inputs, *, dtype: str) -> Task:
    """A run's units are TFLOP."""
    matrix = tensor(inputs["matrix"], DTYPES[dtype])
    out = torch.empty_like(matrix)

    def run() -> None:
        torch.mm(matrix, matrix, out=out)
        wait()

    return Task(
        run=run,
        outputs=lambda: {"rows": numpy((matrix @ matrix)[:_ROWS])},
        units=2 * len(matrix) ** 3 / 1e12,
        device_peak_mb=peak_mb(),
    )


def copy(inputs: Inputs, *, how: str) -> Task:
    """A run's units are GB, read and written."""
    numbers = torch.arange(int(inputs["count"]), dtype=torch.float32, device=DEVICE)
    out = torch.empty_like(numbers)

    def run() -> None:
        if how == "copy_":
            out.copy_(numbers)
        else:
            torch.neg(numbers, out=out)
        wait()

    def outputs() -> dict:
        run()
        return {"numbers": numpy(out[:_NUMBERS].abs())}

    return Task(
        run=run,
        outputs=outputs,
        units=2 * 4 * numbers.numel() / 1e9,
        device_peak_mb=peak_mb(),
    )
