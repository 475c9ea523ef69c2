"""One training step of LightGCN in PyTorch: propagation, BPR, backward, Adam.

Shapes: S drawn batches, B rows, N nodes, D width.

Batches are drawn beforehand and lie on the device: the peer's sampler costs nothing.
On a GPU a run is a step of every batch, one launched after the other, as in training.
"""

import itertools
import time
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.cuda_graph import captured, check_cuda, restart
from benchmarks.torch_baseline.device import DEVICE, numpy, peak_mb, tensor, wait
from benchmarks.torch_baseline.lightgcn import PROPAGATIONS, RowsOf


def batch_loss(
    propagate: RowsOf, *, l2: float
) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """(N, D) table, (3 B,) users, positives and negatives, (B,) weights -> () loss."""

    def loss_of(
        table: torch.Tensor, nodes_R: torch.Tensor, keep_B: torch.Tensor
    ) -> torch.Tensor:
        final, own = propagate(table, nodes_R)
        rows = len(keep_B)
        users, positives, negatives = final.split(rows)
        margins = (users * (positives - negatives)).sum(dim=1)
        pairs = F.softplus(-margins) * keep_B
        penalty = own.square().sum()
        return (pairs.sum() + 0.5 * l2 * penalty) / rows

    return loss_of


def setup(
    inputs: Inputs,
    *,
    propagation: str,
    num_layers: int,
    learning_rate: float,
    l2: float,
    adam: Literal["fused", "foreach"] = "fused",
    compiled: bool = False,
    cuda_graph: bool = False,
) -> Task:
    """One of `PROPAGATIONS`, with or without torch.compile, or as one CUDA graph."""
    if cuda_graph:
        check_cuda()
    propagate = PROPAGATIONS[propagation](inputs, num_layers)
    # (S, 3, B): users, positives and negatives as nodes.
    nodes = tensor(inputs["batch_nodes"], torch.int64)
    keep = tensor(inputs["batch_keep"], torch.float32)
    batches = [
        (nodes_3B.reshape(-1), keep_B)
        for nodes_3B, keep_B in zip(nodes, keep, strict=True)
    ]
    loss_of = batch_loss(propagate, l2=l2)
    loss_function = torch.compile(loss_of) if compiled else loss_of

    def start() -> tuple[torch.nn.Parameter, torch.optim.Optimizer]:
        table = torch.nn.Parameter(tensor(inputs["table"]))
        more = {"capturable": True} if cuda_graph else {}
        return table, torch.optim.Adam(
            [table], lr=learning_rate, **{adam: True}, **more
        )

    def step(
        table: torch.nn.Parameter,
        optimizer: torch.optim.Optimizer,
        batch: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_function(table, *batch)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def outputs() -> dict[str, np.ndarray]:
        table, optimizer = start()
        loss_function(table, *batches[0]).backward()
        assert table.grad is not None
        gradient = numpy(table.grad).copy()
        if cuda_graph:
            restart({held_table: tensor(inputs["table"])}, held_optimizer)
            run()
            return {"gradient": gradient, "losses": numpy(held_losses)}
        losses = [step(table, optimizer, batch) for batch in batches]
        return {"gradient": gradient, "losses": numpy(torch.stack(losses))}

    held_table, held_optimizer = start()
    held_losses = torch.zeros(len(batches), device=DEVICE)

    def every_step() -> None:
        for number, batch in enumerate(batches):
            held_losses[number] = step(held_table, held_optimizer, batch)

    began = time.perf_counter()
    if compiled:
        loss_function(held_table, *batches[0]).backward()
    launch = captured(every_step) if cuda_graph else every_step
    compile_s = time.perf_counter() - began
    turns = itertools.cycle(batches)
    # A host that waits for each step is no trainer's.
    on_gpu = DEVICE.type == "cuda"

    def run() -> None:
        if on_gpu:
            launch()
        else:
            step(held_table, held_optimizer, next(turns))
        wait()

    return Task(
        run=run,
        outputs=outputs,
        units=len(batches) if on_gpu else 1,
        compile_s=compile_s,
        device_peak_mb=peak_mb(),
    )
