"""Lists of one user, or of a batch of them, in PyTorch.

Shapes: U users, I items, W >= I columns of a buffer, B users of a request or of a chunk
of it, S pairs of them that are seen.
"""

import numpy as np
import torch

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.requests import Answer, task_of
from benchmarks.torch_baseline.device import DEVICE, peak_mb, tensor
from benchmarks.torch_baseline.ranking import BLOCK, best_of_blocks

Lists = tuple[torch.Tensor, torch.Tensor]


def setup(
    inputs: Inputs,
    *,
    k: int,
    batch: int,
    layout: str = "rows",
    buffer: bool = False,
    top: str = "topk",
    compiled: bool = False,
    chunk: int = 1,
) -> Task:
    """Lists of `batch` users a run.

    Args:
        inputs: Vectors, who saw what, and who asks.
        k: How many items of each user.
        batch: Users of a request.
        layout: Of the table for one user: `rows` of items, or `columns`.
        buffer: Whether all scores are written into the same memory.
        top: `topk`, or `blocks`, of one buffer.
        compiled: Whether scores, masks and the best are one compiled function.
        chunk: Users that are ranked at a time, of a request of more than one.
    """
    users_UD, items_ID = tensor(inputs["user_vectors"]), tensor(inputs["item_vectors"])
    items_DI = items_ID.T if batch > 1 or layout == "rows" else items_ID.T.contiguous()
    num_items = len(items_ID)
    best = {"topk": torch.topk, "blocks": best_of_blocks}[top]
    width = -(-num_items // BLOCK) * BLOCK if top == "blocks" else num_items
    memory = torch.full((chunk if buffer else 0, width), -torch.inf, device=DEVICE)

    def ranked_one(user_D: torch.Tensor, seen_S: torch.Tensor) -> Lists:
        if layout == "columns":
            scores_BI = _scores(user_D[None], items_DI, memory, num_items)
        elif buffer:
            scores_BI = memory
            torch.mv(items_ID, user_D, out=scores_BI[0, :num_items])
        else:
            scores_BI = torch.mv(items_ID, user_D)[None]
        scores_BI[0].index_fill_(0, seen_S, -torch.inf)
        return best(scores_BI, k)

    def ranked_chunk(
        users_BD: torch.Tensor, rows_S: torch.Tensor, seen_S: torch.Tensor
    ) -> Lists:
        scores_BI = _scores(users_BD, items_DI, memory, num_items)
        scores_BI[rows_S, seen_S] = -torch.inf
        return best(scores_BI, k)

    one, many = ranked_one, ranked_chunk
    if compiled:
        one, many = (torch.compile(program, dynamic=True) for program in (one, many))
    indptr = np.array(inputs["seen_indptr"])
    seen = tensor(inputs["seen_items"], torch.int64)

    @torch.inference_mode()
    def answer_one(users_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        user = int(users_B[0])
        scores, items = one(users_UD[user], seen[indptr[user] : indptr[user + 1]])
        return items.cpu().numpy(), scores.cpu().numpy()

    @torch.inference_mode()
    def answer_many(users_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = np.empty((batch, k), np.float32)
        items = np.empty((batch, k), np.int64)
        for first in range(0, batch, chunk):
            members = users_B[first : first + chunk]
            counts = indptr[members + 1] - indptr[members]
            rows_S = tensor(np.repeat(np.arange(len(members)), counts))
            starts = indptr[members] - (np.cumsum(counts) - counts)
            places_S = tensor(np.repeat(starts, counts) + np.arange(counts.sum()))
            users_BD = users_UD[torch.from_numpy(members)]
            top_scores, top_items = many(users_BD, rows_S, seen[places_S])
            scores[first : first + chunk] = top_scores.cpu().numpy()
            items[first : first + chunk] = top_items.cpu().numpy()
        return items, scores

    answer: Answer = answer_one if batch == 1 else answer_many
    return task_of(answer, inputs, batch=batch, device_peak_mb=peak_mb())


def _scores(
    users_BD: torch.Tensor,
    items_DI: torch.Tensor,
    memory: torch.Tensor,
    num_items: int,
) -> torch.Tensor:
    """(B, W), in the memory if there is any."""
    if not len(memory):
        return users_BD @ items_DI
    scores_BW = memory[: len(users_BD)]
    torch.mm(users_BD, items_DI, out=scores_BW[:, :num_items])
    return scores_BW
