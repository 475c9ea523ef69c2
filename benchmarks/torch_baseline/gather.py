"""The bandwidth of reading rows at random, which a propagation cannot beat."""

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.device import numpy, peak_mb, tensor, wait

# Rows that are summed into one: what is written does not count.
_BAG = 256


def setup(inputs: Inputs, *, how: str) -> Task:
    """Reads `probe`'s rows: "copy" writes them out, "sum" adds 256 of them at a time.

    A run's units are GB: of "copy" read and written, of "sum" read.
    """
    table = tensor(inputs["nodes"])
    rows = tensor(inputs["probe"], torch.int64)
    offsets = torch.arange(0, len(rows), _BAG, device=rows.device)
    read_gb = rows.numel() * table.shape[1] * 4 / 1e9
    out = torch.empty(len(rows), table.shape[1], device=table.device)

    def run() -> None:
        with torch.inference_mode():
            if how == "copy":
                torch.index_select(table, 0, rows, out=out)
            else:
                F.embedding_bag(rows, table, offsets, mode="sum")
        wait()

    def outputs() -> dict[str, np.ndarray]:
        sums = F.embedding_bag(rows, table, offsets, mode="sum")
        if how == "copy":
            torch.index_select(table, 0, rows, out=out)
            sums = out.reshape(-1, _BAG, out.shape[1]).sum(dim=1)
        return {"sums": numpy(sums)}

    return Task(
        run=run,
        outputs=outputs,
        units=read_gb * (2 if how == "copy" else 1),
        device_peak_mb=peak_mb(),
    )
