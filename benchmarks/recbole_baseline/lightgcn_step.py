"""RecBole's training step of LightGCN: its model, its loss, its optimizer.

Shapes: S drawn batches, B rows, N nodes, D width.

A step is that of `recbole.trainer.Trainer`: gradients to zero, `calculate_loss`, the
loss as a number and its check, backward, Adam. Batches are drawn beforehand and cost
nothing; RecBole's sampler runs in Python between steps.
"""

import itertools
from typing import Literal

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.model.loss import BPRLoss

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.recbole_baseline import model as recbole
from benchmarks.torch_baseline.device import DEVICE, numpy, peak_mb, tensor, wait


class _KeptRows(BPRLoss):
    """RecBole's loss without the rows whose negative is known, as all systems have it.

    They are a few of a batch; a product with B numbers is all that this adds.
    """

    keep_B: torch.Tensor

    def forward(self, pos_score: torch.Tensor, neg_score: torch.Tensor) -> torch.Tensor:
        kept = torch.log(self.gamma + torch.sigmoid(pos_score - neg_score))
        return -(kept * self.keep_B).mean()


def setup(
    inputs: Inputs,
    *,
    num_layers: int,
    learning_rate: float,
    l2: float,
    matrix: Literal["coo", "csr"] = "coo",
    adam: Literal["default", "fused"] = "default",
) -> Task:
    """The library's matrix, COO, and its optimizer as it makes it; or faster ones.

    Args:
        inputs: Pairs, table and batches.
        num_layers: Of the propagation.
        learning_rate: Of Adam.
        l2: RecBole's `reg_weight`.
        matrix: `csr` replaces `norm_adj_matrix`, which the library makes in COO.
        adam: `default` is what RecBole's trainer makes.
    """
    width = inputs["table"].shape[1]
    model = recbole.light_gcn(inputs, width=width, num_layers=num_layers, l2=l2)
    loss = _KeptRows()
    model.mf_loss = loss
    if matrix == "csr":
        model.norm_adj_matrix = model.norm_adj_matrix.coalesce().to_sparse_csr()
    batches = _batches(inputs)
    model.train()

    def start() -> torch.optim.Optimizer:
        recbole.start_from(model, np.asarray(inputs["table"]))
        options = {"fused": True} if adam == "fused" else {}
        return torch.optim.Adam(model.parameters(), lr=learning_rate, **options)

    def gradients(batch: tuple[Interaction, torch.Tensor]) -> float:
        model.zero_grad()
        interaction, loss.keep_B = batch
        value = model.calculate_loss(interaction)
        told = value.item()
        if np.isnan(told):
            raise ValueError("Training loss is nan")
        value.backward()
        return told

    def outputs() -> dict[str, np.ndarray]:
        start()
        gradients(batches[0])
        gradient = recbole.of_nodes(
            model.user_embedding.weight.grad, model.item_embedding.weight.grad
        )
        found = {"gradient": numpy(gradient).copy()}
        optimizer = start()
        losses = []
        for batch in batches:
            losses.append(gradients(batch))
            optimizer.step()
        return {**found, "losses": np.asarray(losses, np.float32)}

    optimizer = start()
    turns = itertools.cycle(batches)

    def run() -> None:
        gradients(next(turns))
        optimizer.step()
        wait()

    return Task(run=run, outputs=outputs, compile_s=0.0, device_peak_mb=peak_mb())


def _batches(inputs: Inputs) -> list[tuple[Interaction, torch.Tensor]]:
    """As RecBole's loader gives them, and (B,) which rows count."""
    num_users = int(inputs["num_users"])
    found = []
    for nodes_3B, keep_B in zip(
        inputs["batch_nodes"], inputs["batch_keep"], strict=True
    ):
        users, positives, negatives = tensor(nodes_3B, torch.int64)
        interaction = Interaction(
            {
                recbole.USER: users + 1,
                recbole.ITEM: positives - num_users + 1,
                recbole.NEGATIVE_PREFIX + recbole.ITEM: negatives - num_users + 1,
            }
        ).to(DEVICE)
        found.append((interaction, tensor(keep_B, torch.float32)))
    return found
