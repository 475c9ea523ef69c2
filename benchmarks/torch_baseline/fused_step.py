"""A training step of the fused model in PyTorch.

Shapes: S drawn batches, B rows, K items of each, U users, I items, T width of a text.

Batches lie on the device with all that was drawn and looked up for them: samplers,
dropped sides and known items cost the peer nothing. On a GPU a run is a step of every
batch, one launched after the other, as in training.
"""

import itertools
import time
from typing import Literal

import numpy as np
import scipy.sparse
import torch

from benchmarks.bert_weights import with_prefix, without_prefix
from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.cuda_graph import captured, check_cuda, restart
from benchmarks.torch_baseline.device import DEVICE, numpy, peak_mb, tensor, wait
from benchmarks.torch_baseline.fused import Batch, FusedModel
from benchmarks.torch_baseline.lightgcn import PROPAGATIONS

# Of the learning rate, for the fusion.
FUSION_SCALE = 0.1


def setup(
    inputs: Inputs,
    *,
    propagation: str,
    num_layers: int,
    learning_rate: float,
    l2: float,
    anchor: float,
    compiled: Literal["", "dense", "all"] = "",
    cuda_graph: bool = False,
) -> Task:
    """One of `PROPAGATIONS`; torch.compile of nothing, all, or all but that.

    Or, with `cuda_graph`, the steps of all batches as one graph.
    """
    if cuda_graph:
        check_cuda()
    weights = without_prefix(inputs, "weight.")
    # PyG's module takes its size from the table.
    inputs = {**inputs, "table": weights["node_embedding"]}
    propagate = PROPAGATIONS[propagation](inputs, num_layers)
    texts = {
        "item_texts": tensor(inputs["item_texts"]),
        "user_sums": tensor(sums_of_users(inputs)),
    }
    batches = batches_of(inputs)

    def dense(
        model: FusedModel, final: torch.Tensor, own: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        return model.loss(final, own, batch, l2=l2, anchor=anchor)

    dense_part = torch.compile(dense) if compiled == "dense" else dense

    def whole(model: FusedModel, batch: Batch) -> torch.Tensor:
        return dense_part(model, *propagate(model.table, batch.nodes_R), batch)

    loss_function = torch.compile(whole) if compiled == "all" else whole

    def start() -> tuple[FusedModel, torch.optim.Optimizer]:
        model = FusedModel(weights, **texts).to(DEVICE)
        groups = model.groups(learning_rate, fusion_scale=FUSION_SCALE)
        more = {"capturable": True} if cuda_graph else {}
        return model, torch.optim.AdamW(groups, weight_decay=0.0, fused=True, **more)

    def step(
        model: FusedModel, optimizer: torch.optim.Optimizer, batch: Batch
    ) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_function(model, batch)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def outputs() -> dict[str, np.ndarray]:
        model, optimizer = start()
        with torch.no_grad():
            nodes = torch.arange(len(model.table), device=DEVICE)
            users, items = model.vectors(propagate(model.table, nodes)[0])
        loss_function(model, batches[0]).backward()
        gradients = with_prefix(model.gradients(), "gradient.")
        if cuda_graph:
            starts = dict(start()[0].named_parameters())
            parameters = held_model.named_parameters()
            restart({held: starts[name] for name, held in parameters}, held_optimizer)
            run()
            losses = list(held_losses)
        else:
            losses = [step(model, optimizer, batch) for batch in batches]
        return {
            "user_vectors": numpy(users),
            "item_vectors": numpy(items),
            **gradients,
            "losses": numpy(torch.stack(losses)),
        }

    held_model, held_optimizer = start()
    held_losses = torch.zeros(len(batches), device=DEVICE)

    def every_step() -> None:
        for number, batch in enumerate(batches):
            held_losses[number] = step(held_model, held_optimizer, batch)

    began = time.perf_counter()
    if compiled:
        loss_function(held_model, batches[0]).backward()
    launch = captured(every_step) if cuda_graph else every_step
    compile_s = time.perf_counter() - began
    turns = itertools.cycle(batches)
    # A host that waits for each step is no trainer's.
    on_gpu = DEVICE.type == "cuda"

    def run() -> None:
        if on_gpu:
            launch()
        else:
            step(held_model, held_optimizer, next(turns))
        wait()

    return Task(
        run=run,
        outputs=outputs,
        units=len(batches) if on_gpu else 1,
        compile_s=compile_s,
        device_peak_mb=peak_mb(),
    )


def sums_of_users(inputs: Inputs) -> np.ndarray:
    """(U, T) sums of the texts of each user's items."""
    pairs = np.asarray(inputs["users"]), np.asarray(inputs["items"])
    matrix = scipy.sparse.csr_array(
        (np.ones(len(pairs[0]), np.float32), pairs),
        shape=(int(inputs["num_users"]), int(inputs["num_items"])),
    )
    return np.asarray(matrix @ np.asarray(inputs["item_texts"]))


def batches_of(inputs: Inputs) -> list[Batch]:
    """What our program draws, on the device."""
    num_users, num_items = int(inputs["num_users"]), int(inputs["num_items"])
    users_SB = tensor(inputs["batch_users"], torch.int64)
    positives_SB = tensor(inputs["batch_positives"], torch.int64)
    bias_SBK = tensor(inputs["batch_bias"])
    keep = {
        side: torch.cat(
            [
                tensor(inputs[f"batch_keep_{of}_{side}"], torch.bool)
                for of in ("user", "item")
            ],
            dim=1,
        )
        for side in ("graph", "text")
    }
    rows = torch.arange(users_SB.shape[1], device=DEVICE)
    every_item = bias_SBK.shape[2] == num_items
    batches = []
    for step, (users_B, positives_B) in enumerate(
        zip(users_SB, positives_SB, strict=True)
    ):
        items = torch.arange(num_items, device=DEVICE) if every_item else positives_B
        targets_B = positives_B if every_item else rows
        batches.append(
            Batch(
                users_B=users_B,
                positives_B=positives_B,
                items_K=None if every_item else items,
                nodes_R=torch.cat([users_B, num_users + items]),
                own_2B=torch.cat([rows, len(rows) + targets_B]),
                targets_B=targets_B,
                bias_BK=bias_SBK[step],
                graph_R1=keep["graph"][step][:, None],
                text_R1=keep["text"][step][:, None],
            )
        )
    return batches
