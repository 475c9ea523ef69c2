"""Full-catalogue ranking in PyTorch.

Shapes: U users, I items, B users of a chunk, S pairs of a chunk that are seen.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.rankings import outputs_of
from benchmarks.torch_baseline.device import DEVICE, peak_mb, tensor, wait

BLOCK = 64
_MASKED = -(2.0**10)
"""What LightGCN's published code writes over sigmoids of seen items."""

Best = Callable[[torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]
Masks = Callable[[int, int], tuple[torch.Tensor, torch.Tensor]]


def setup(inputs: Inputs, *, k: int, sigmoid: bool = False, **options: Any) -> Task:
    """Lists of all users; the options are those of `ranker`."""
    users_UD = tensor(inputs["user_vectors"])
    items_ID = tensor(inputs["item_vectors"])
    ranked = ranker(users_UD, items_ID, inputs, k=k, sigmoid=sigmoid, **options)

    def run() -> None:
        ranked()
        wait()

    def outputs() -> dict[str, np.ndarray]:
        items, scores = ranked()
        if sigmoid:
            # What the others have: the same order, but for what rounds to 1.
            found = torch.from_numpy(items).to(DEVICE)
            vectors = items_ID[found]
            scores = (vectors * users_UD[:, None]).sum(-1).cpu().numpy()
        return outputs_of(items, scores, inputs)

    return Task(run=run, outputs=outputs, units=len(users_UD), device_peak_mb=peak_mb())


def ranker(
    users_UD: torch.Tensor,
    items_ID: torch.Tensor,
    seen: Inputs,
    *,
    k: int,
    chunk: int,
    mask: str = "slices",
    sigmoid: bool = False,
    top: str = "topk",
    buffer: bool = False,
    compiled: bool = False,
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """What gives (U, k) items, best first, and their scores, chunk by chunk.

    Args:
        users_UD: Vectors of users.
        items_ID: Of items.
        seen: "seen_indptr" and "seen_items", who saw what.
        k: How many items of each user.
        chunk: B.
        mask: `lists`: rows and columns gathered in Python lists; `slices`: in NumPy.
        sigmoid: Of the scores, as LightGCN's published code has it.
        top: `topk`, or `blocks`, of one buffer: the best of the blocks that have the
            best maxima.
        buffer: Whether all chunks write their scores into the same memory.
        compiled: Whether scores, masks and the best are one compiled function.
    """
    items_DI = items_ID.T
    num_users, num_items = len(users_UD), items_DI.shape[1]
    best: Best = {"topk": torch.topk, "blocks": best_of_blocks}[top]
    masks = {"lists": _lists, "slices": _slices}[mask](seen)
    # Blocks want whole ones: what is beyond the last item stays at -inf.
    width = -(-num_items // BLOCK) * BLOCK if top == "blocks" else num_items
    memory = torch.full((chunk if buffer else 0, width), -torch.inf, device=DEVICE)

    def ranked_chunk(
        users_BD: torch.Tensor, rows_S: torch.Tensor, columns_S: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if buffer:
            scores_BI = memory[: len(users_BD)]
            torch.mm(users_BD, items_DI, out=scores_BI[:, :num_items])
        else:
            scores_BI = users_BD @ items_DI
        if sigmoid:
            scores_BI = torch.sigmoid(scores_BI)
        scores_BI[rows_S, columns_S] = _MASKED if sigmoid else -torch.inf
        return best(scores_BI, k)

    program = torch.compile(ranked_chunk, dynamic=True) if compiled else ranked_chunk

    @torch.inference_mode()
    def ranked() -> tuple[np.ndarray, np.ndarray]:
        scores = np.empty((num_users, k), np.float32)
        items = np.empty((num_users, k), np.int64)
        for first in range(0, num_users, chunk):
            last = min(first + chunk, num_users)
            top_scores, top_items = program(users_UD[first:last], *masks(first, last))
            scores[first:last] = top_scores.cpu().numpy()
            items[first:last] = top_items.cpu().numpy()
        return items, scores

    return ranked


def _lists(inputs: Inputs) -> Masks:
    """Seen pairs as LightGCN's published code gathers them, user by user."""
    indptr = np.asarray(inputs["seen_indptr"])
    seen = np.split(np.asarray(inputs["seen_items"], np.int64), indptr[1:-1])

    def masks(first: int, last: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows: list[int] = []
        columns: list[int] = []
        for row, items in enumerate(seen[first:last]):
            rows.extend([row] * len(items))
            columns.extend(items)
        return torch.tensor(rows, device=DEVICE), torch.tensor(columns, device=DEVICE)

    return masks


def _slices(inputs: Inputs) -> Masks:
    """Seen pairs as slices of arrays that are sorted by user."""
    indptr = np.asarray(inputs["seen_indptr"])
    columns = tensor(inputs["seen_items"], torch.int64)
    rows = tensor(np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)))

    def masks(first: int, last: int) -> tuple[torch.Tensor, torch.Tensor]:
        chunk = slice(int(indptr[first]), int(indptr[last]))
        return rows[chunk] - first, columns[chunk]

    return masks


def best_of_blocks(
    scores_BW: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k best of each row: those of the k blocks with the best maxima."""
    blocks_BNW = scores_BW.view(len(scores_BW), -1, BLOCK)
    if blocks_BNW.shape[1] <= k:
        return torch.topk(scores_BW, k)
    _, blocks_Bk = torch.topk(blocks_BNW.amax(-1), k, sorted=False)
    places = blocks_Bk[:, :, None].expand(-1, -1, BLOCK)
    candidates = blocks_BNW.gather(1, places).flatten(1)
    scores_Bk, found_Bk = torch.topk(candidates, k)
    return scores_Bk, blocks_Bk.gather(1, found_Bk // BLOCK) * BLOCK + found_Bk % BLOCK
