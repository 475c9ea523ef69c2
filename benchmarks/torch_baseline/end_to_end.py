"""LightGCN in PyTorch, from the files to recall and ndcg.

Shapes: U users, I items, N = U + I nodes, D width, B rows of a batch, S steps, K of
a list.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import graphs
from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.device import DEVICE, numpy, peak_mb, tensor, wait
from benchmarks.torch_baseline.lightgcn import PROPAGATIONS, RowsOf
from benchmarks.torch_baseline.lightgcn_step import batch_loss
from benchmarks.torch_baseline.pairs import Pairs, Sampler, read_pairs
from benchmarks.torch_baseline.ranking import ranker
from benchmarks.whole_runs import Phases, WholeRuns

# Steps that the sampler draws at once: an epoch of Gowalla.
_DRAWN_STEPS = 396
# Of a line of our log: the last one has the mean loss since the line before.
_LOGGED_STEPS = 99
# The fastest path of `benchmarks.ranking` on Gowalla.
_RANKING = {"chunk": 128, "buffer": True, "top": "blocks"}

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is trained, and how.

    Attributes:
        propagation: One of `PROPAGATIONS`.
        compiled: Whether the loss is compiled.
        width: D.
        num_layers: Of LightGCN.
        batch_size: B.
        learning_rate: Of Adam.
        l2: Of the batch's own rows of the table.
        steps: S.
        k: K.
    """

    propagation: str
    compiled: bool
    width: int
    num_layers: int
    batch_size: int
    learning_rate: float
    l2: float
    steps: int
    k: int


def setup(inputs: Inputs, **options: Any) -> Task:
    """The whole run; `options` are those of `Setting`."""
    setting = Setting(**options)
    folder = Path(str(inputs["folder"]))
    runs = WholeRuns(steps=setting.steps)

    def run() -> None:
        phases = Phases()
        runs.add(phases, whole_run(folder, setting, seed=runs.seed, phases=phases))

    def outputs() -> dict[str, np.ndarray]:
        return first_losses(folder, setting, inputs)

    return Task(
        run=run,
        outputs=outputs,
        warms_up=False,
        notes=runs.notes,
        device_peak_mb=peak_mb(),
    )


def whole_run(
    folder: Path, setting: Setting, *, seed: int, phases: Phases
) -> Mapping[str, float]:
    """From train.txt and test.txt to recall, ndcg and the loss of the last steps."""
    if setting.compiled:
        torch.compiler.reset()
    with phases.timed("read"):
        train, test = _read(folder)
    with phases.timed("build"):
        propagate, seen = _graph(train, setting)
        generator = torch.Generator(device=DEVICE).manual_seed(seed)
        table = torch.cat(
            [
                _xavier(count, setting.width, generator)
                for count in (train.num_users, train.num_items)
            ]
        )
        sampler = Sampler(train, seed=seed + 2**32)
        wait()
    with phases.timed("train"):
        table, losses = _trained(table, propagate, setting, sampler, phases)
        since = (setting.steps - 1) // _LOGGED_STEPS * _LOGGED_STEPS
        loss = float(losses[since:].mean())
    with phases.timed("rank"), torch.no_grad():
        nodes = torch.arange(len(table), device=DEVICE)
        final_ND, _ = propagate(table, nodes)
        users_UD, items_ID = final_ND.split([train.num_users, train.num_items])
        items_UK, _ = ranker(users_UD, items_ID, seen, k=setting.k, **_RANKING)()
        recall, ndcg = _metrics(torch.from_numpy(items_UK).to(DEVICE), test)
    return {f"recall@{setting.k}": recall, f"ndcg@{setting.k}": ndcg, "loss": loss}


def first_losses(
    folder: Path, setting: Setting, inputs: Inputs
) -> dict[str, np.ndarray]:
    """Losses of the first steps from a given table and batches, and what was read."""
    train, test = _read(folder)
    propagate, _ = _graph(train, setting)
    step = _stepper(tensor(inputs["table"]), propagate, setting)
    losses = [
        step(tensor(nodes_3B).reshape(-1), tensor(keep_B, torch.float32))
        for nodes_3B, keep_B in zip(
            inputs["batch_nodes"], inputs["batch_keep"], strict=True
        )
    ]
    return {
        "losses": numpy(torch.stack(losses)),
        "train_items": np.bincount(train.items, minlength=train.num_items),
        "train_users": numpy(train.indptr.diff()),
        "test_users": numpy(test.indptr.diff()),
    }


def _read(folder: Path) -> tuple[Pairs, Pairs]:
    files = [read_pairs(folder / name) for name in ("train.txt", "test.txt")]
    num_users, num_items = (
        1 + max(int(part[side].max()) for part in files) for side in (0, 1)
    )
    train, test = (Pairs.of(*part, num_users, num_items) for part in files)
    return train, test


def _graph(train: Pairs, setting: Setting) -> tuple[RowsOf, Inputs]:
    """The propagation, and who saw what."""
    items = train.items
    edges = graphs.Interactions(
        num_users=train.num_users,
        num_items=train.num_items,
        users=train.users,
        items=items,
    ).edges()
    build = PROPAGATIONS[setting.propagation]
    seen = {"seen_indptr": train.indptr.cpu().numpy(), "seen_items": items}
    return build(edges.arrays(), setting.num_layers), seen


def _xavier(count: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """(count, width), uniform."""
    table = torch.empty(count, width, device=DEVICE)
    return torch.nn.init.xavier_uniform_(table, generator=generator)


def _stepper(
    table: torch.Tensor, propagate: RowsOf, setting: Setting
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """(3 B,) nodes and (B,) weights -> () loss; the table is changed where it lies."""
    table.requires_grad_()
    optimizer = torch.optim.Adam([table], lr=setting.learning_rate, fused=True)
    loss_of: Loss = batch_loss(propagate, l2=setting.l2)
    if setting.compiled:
        loss_of = torch.compile(loss_of)

    def step(nodes: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(table, nodes, keep)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _trained(
    table: torch.Tensor,
    propagate: RowsOf,
    setting: Setting,
    sampler: Sampler,
    phases: Phases,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The table after all steps, and (S,) losses."""
    step = _stepper(table, propagate, setting)
    keep = torch.ones(setting.batch_size, device=DEVICE)
    losses: list[torch.Tensor] = []
    compile_s = 0.0
    while len(losses) < setting.steps:
        count = min(_DRAWN_STEPS, setting.steps - len(losses))
        drawn = sampler.draw(count * setting.batch_size)
        batches = drawn.view(3, count, -1).transpose(0, 1).reshape(count, -1)
        for nodes in batches:
            began = time.perf_counter()
            losses.append(step(nodes, keep))
            if setting.compiled and len(losses) == 1:
                wait()
                compile_s = time.perf_counter() - began
    wait()
    phases.seconds["compile"] = compile_s
    return table.detach(), torch.stack(losses)


def _metrics(items_UK: torch.Tensor, test: Pairs) -> tuple[float, float]:
    """Recall and ndcg at K, means over the users that have a test item."""
    k = items_UK.shape[1]
    users_U = torch.arange(len(items_UK), device=DEVICE)
    hits_UK = test.contain(users_U[:, None], items_UK).double()
    counts_U = test.indptr.diff()
    discounts_K = 1 / torch.log2(torch.arange(2, k + 2, device=DEVICE).double())
    ideal_U = discounts_K.cumsum(0)[counts_U.clamp(1, k) - 1]
    asked = counts_U > 0
    recall_U = hits_UK.sum(1) / counts_U
    ndcg_U = hits_UK @ discounts_K / ideal_U
    return float(recall_U[asked].mean()), float(ndcg_U[asked].mean())
