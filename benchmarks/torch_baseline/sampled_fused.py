"""A training step of the fused model in PyTorch, its neighbours sampled in the step.

Shapes: S drawn batches, B rows, R = 2 B nodes of a batch, Q different ones of them, M
rows of the table that a step reads, N nodes, D width.

Batches lie on the device with what was drawn and looked up for them, as in
`fused_step`; neighbours are drawn within the run, once for each different node of a
batch.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.bert_weights import with_prefix, without_prefix
from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline import sampled_blocks as blocks
from benchmarks.torch_baseline.device import DEVICE, numpy, peak_mb, tensor, wait
from benchmarks.torch_baseline.fused import Batch, FusedModel
from benchmarks.torch_baseline.fused_step import FUSION_SCALE, batches_of, sums_of_users
from benchmarks.torch_baseline.neighbours import Replacement, Rows
from benchmarks.torch_baseline.row_table import RowwiseAdagrad

# A run takes each batch so often: what workers prefetch between runs weighs less.
PASSES = 2


def setup(
    inputs: Inputs,
    *,
    sums: Literal["in_place", "of_distinct", "plain", "bags"],
    fanouts: list[int],
    learning_rate: float,
    l2: float,
    anchor: float,
    table_optimizer: Literal["adam", "rowwise_adagrad"] = "adam",
    table_learning_rate: float = 0.0,
    replacement: Replacement = "without",
    num_workers: int = 0,
    compiled: bool = False,
    **_: Any,
) -> Task:
    """One run is some passes over all batches.

    Args:
        inputs: As `benchmarks.sampled_fused` makes them.
        sums: What is drawn and how it is summed up: trees of our own, or the blocks of
            a `NeighborLoader` ("plain" and "bags").
        fanouts: Of each hop.
        learning_rate: Of Adam.
        l2: Of a row's id vectors.
        anchor: Pull of the fusion to its start.
        table_optimizer: Of the node vectors; only Adam can read them `in_place`.
        table_learning_rate: Of `rowwise_adagrad`.
        replacement: Of trees; a loader draws without.
        num_workers: Of the loader.
        compiled: Whether what follows the sums is compiled by torch.compile.
        _: What our side alone is told.
    """
    weights = without_prefix(inputs, "weight.")
    num_nodes = len(weights["node_embedding"])
    edges = Rows.of(
        tensor(inputs["indptr"], torch.int64), tensor(inputs["senders"], torch.int64)
    )
    texts = {
        "item_texts": tensor(inputs["item_texts"]),
        "user_sums": tensor(sums_of_users(inputs)),
    }
    batches = batches_of(inputs)
    seeds = [torch.unique(batch.nodes_R, return_inverse=True) for batch in batches]
    by_rows = table_optimizer == "rowwise_adagrad"

    def drawn_of_tree(tree: Any) -> blocks.Drawn:
        if sums == "in_place":
            return blocks.in_place(tree)
        return blocks.of_distinct(tree, num_nodes)

    def sampled(loader: Iterable | None) -> Iterator[blocks.Drawn]:
        """What each batch of a pass draws."""
        if loader is None:
            for nodes_Q, _ in seeds:
                yield drawn_of_tree(edges.tree(nodes_Q, fanouts, replacement))
            return
        for block in loader:
            block = block.to(DEVICE)
            yield blocks.of_block(
                block.n_id,
                block.edge_index,
                block.batch_size,
                scale_N=edges.scale,
                forward=sums,
            )

    def fixed(step: int) -> blocks.Drawn:
        """What our program draws in its first steps, for each node of the batch."""
        nodes_R, hops = batches[step].nodes_R, []
        for hop in range(len(fanouts)):
            nodes = np.asarray(inputs[f"batch_tree_nodes_{hop}"][step], np.int64)
            hops.append((nodes, np.asarray(inputs[f"batch_tree_mask_{hop}"][step])))
        if sums in blocks.FORWARDS:
            nodes_M, edges_2E = blocks.block_of_hops(numpy(nodes_R), hops)
            return blocks.of_block(
                tensor(nodes_M, torch.int64),
                tensor(edges_2E, torch.int64),
                len(nodes_R),
                scale_N=edges.scale,
                forward=sums,
                repeats=True,
            )
        on_device = [(tensor(n, torch.int64), tensor(m, torch.bool)) for n, m in hops]
        return drawn_of_tree(edges.weighed(nodes_R, on_device))

    def dense(
        model: FusedModel, final: torch.Tensor, own: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        return model.loss(final, own, batch, l2=l2, anchor=anchor)

    dense_part = torch.compile(dense) if compiled else dense

    def read(model: FusedModel, drawn: blocks.Drawn) -> torch.Tensor:
        """The rows, a leaf of their own where the optimizer goes by rows."""
        if drawn.nodes_M is None:
            return model.table
        if by_rows:
            rows_MD = model.table.detach().index_select(0, drawn.nodes_M)
            return rows_MD.requires_grad_()
        return model.table.index_select(0, drawn.nodes_M)

    def loss_of(
        model: FusedModel,
        rows_MD: torch.Tensor,
        drawn: blocks.Drawn,
        places_R: torch.Tensor | None,
        batch: Batch,
    ) -> torch.Tensor:
        final, own = drawn.sums(rows_MD)
        if places_R is not None:
            final, own = (rows.index_select(0, places_R) for rows in (final, own))
        return dense_part(model, final, own, batch)

    def start() -> tuple[FusedModel, torch.optim.Optimizer, RowwiseAdagrad | None]:
        model = FusedModel(weights, **texts).to(DEVICE)
        groups = model.groups(learning_rate, fusion_scale=FUSION_SCALE)
        of_table = None
        if by_rows:
            of_table = RowwiseAdagrad(model.table, table_learning_rate)
            groups[0]["params"] = [
                one for one in groups[0]["params"] if one is not model.table
            ]
        optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
        return model, optimizer, of_table

    def step(
        state: tuple, drawn: blocks.Drawn, places_R: torch.Tensor | None, batch: Batch
    ) -> torch.Tensor:
        model, optimizer, of_table = state
        optimizer.zero_grad(set_to_none=True)
        rows_MD = read(model, drawn)
        loss = loss_of(model, rows_MD, drawn, places_R, batch)
        loss.backward()
        optimizer.step()
        if of_table is not None:
            of_table.step(drawn.nodes_M, rows_MD.grad, repeats=drawn.repeats)
        return loss.detach()

    def outputs() -> dict[str, np.ndarray]:
        state = start()
        model, drawn = state[0], fixed(0)
        rows_MD = read(model, drawn)
        loss_of(model, rows_MD, drawn, None, batches[0]).backward()
        if by_rows:
            model.table.grad = torch.zeros_like(model.table)
            model.table.grad.index_add_(0, drawn.nodes_M, rows_MD.grad)
        gradients = with_prefix(model.gradients(), "gradient.")
        final = numpy(drawn.sums(rows_MD.detach())[0])
        losses = [
            step(state, fixed(number), None, batch)
            for number, batch in enumerate(batches)
        ]
        return {
            "propagated": final,
            **gradients,
            "losses": numpy(torch.stack(losses)),
        }

    loader = None
    if sums in blocks.FORWARDS:
        loader = blocks.block_loader(
            senders=inputs["senders"],
            receivers=inputs["receivers"],
            num_nodes=num_nodes,
            seeds=[numpy(nodes_Q) for nodes_Q, _ in seeds],
            fanouts=fanouts,
            num_workers=num_workers,
        )
    state = start()
    began = time.perf_counter()
    if compiled:
        step(start(), next(sampled(loader)), seeds[0][1], batches[0])
    compile_s = time.perf_counter() - began

    def run() -> None:
        for _ in range(PASSES):
            for drawn, (_, places_R), batch in zip(
                sampled(loader), seeds, batches, strict=True
            ):
                step(state, drawn, places_R, batch)
        wait()

    return Task(
        run=run,
        outputs=outputs,
        units=PASSES * len(batches),
        compile_s=compile_s,
        device_peak_mb=peak_mb(),
    )
