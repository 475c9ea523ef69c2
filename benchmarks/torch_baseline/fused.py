"""The fused model in PyTorch: LightGCN, a projection of texts, and their fusion.

Shapes: N nodes, U users, I items, T width of a text vector, D width of a side, M = 2 D,
B rows, K items that each is compared with, R = B + K.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.fused_weights import FUSION, fusion_start
from benchmarks.torch_baseline.device import numpy, tensor

# Our names -> this module's; those of the fusion are the same but for their place.
NAMES = {
    "node_embedding": "table",
    "text_projection": "text_projection",
    "null_text": "null_text",
    "null_graph": "null_graph",
    **{f"fusion.{name}": name for name in FUSION},
}


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What a step reads.

    Attributes:
        users_B: (B,) int64.
        positives_B: (B,) int64.
        items_K: (K,) int64, what each row is compared with; None for all items.
        nodes_R: (B + K,) int64 nodes of the users, then of the items.
        own_2B: (2 B,) int64 places in `nodes_R` of the users and their positives.
        targets_B: (B,) int64, which of the items is a row's positive.
        bias_BK: (B, K) float32, added to scores: -inf for what is no negative.
        graph_R1: (B + K, 1) bool, False where the null vector stands in.
        text_R1: (B + K, 1) bool, likewise.
    """

    users_B: torch.Tensor
    positives_B: torch.Tensor
    items_K: torch.Tensor | None
    nodes_R: torch.Tensor
    own_2B: torch.Tensor
    targets_B: torch.Tensor
    bias_BK: torch.Tensor
    graph_R1: torch.Tensor
    text_R1: torch.Tensor


class FusedModel(torch.nn.Module):
    """Parameters and what is computed of them, but for the propagation.

    Args:
        weights: By our names.
        item_texts: (I, T) of unit length.
        user_sums: (U, T) sums over the items of each user.
    """

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        *,
        item_texts: torch.Tensor,
        user_sums: torch.Tensor,
    ) -> None:
        super().__init__()
        self.register_buffer("item_texts", item_texts)
        self.register_buffer("user_sums", user_sums)
        for ours, theirs in NAMES.items():
            setattr(self, theirs, torch.nn.Parameter(tensor(weights[ours])))
        for name, array in fusion_start(weights["node_embedding"].shape[1]).items():
            self.register_buffer(f"start_{name}", tensor(array))

    def ours(self) -> dict[str, np.ndarray]:
        """The weights, by our names."""
        return {ours: numpy(getattr(self, name)) for ours, name in NAMES.items()}

    def gradients(self) -> dict[str, np.ndarray]:
        """Of the last backward pass, by our names."""
        found = {}
        for ours, name in NAMES.items():
            gradient = getattr(self, name).grad
            assert gradient is not None, name
            found[ours] = numpy(gradient).copy()
        return found

    def fuse(self, graph_RD: torch.Tensor, text_RD: torch.Tensor) -> torch.Tensor:
        """(R, M): W_y relu(W [g ; t] + b) + b_y."""
        both_RM = torch.cat([graph_RD, text_RD], dim=1)
        hidden = torch.addmm(self.bias, both_RM, self.kernel).relu_()
        return torch.addmm(self.output_bias, hidden, self.output_kernel)

    def vectors(self, final_ND: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(U, M) and (I, M) that are ranked by, from all propagated vectors."""
        texts = torch.cat([F.normalize(self.user_sums), self.item_texts])
        fused = self.fuse(final_ND, texts @ self.text_projection)
        users, items = fused.split([len(self.user_sums), len(self.item_texts)])
        return users, items

    def loss(
        self,
        final_RD: torch.Tensor,
        own_RD: torch.Tensor,
        batch: Batch,
        *,
        l2: float,
        anchor: float,
        items_KT: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Softmax cross-entropy and the penalties.

        Args:
            final_RD: Propagated vectors of `nodes_R`.
            own_RD: Id vectors of `nodes_R`.
            batch: The rest.
            l2: Of a row's id vectors.
            anchor: Pull of the fusion to its start.
            items_KT: Texts of what rows are compared with; None: those that are stored.
        """
        rows = len(batch.targets_B)
        users_BT = self.user_sums.index_select(0, batch.users_B)
        users_BT = users_BT - self.item_texts.index_select(0, batch.positives_B)
        if items_KT is None:
            items_KT = self.item_texts
            if batch.items_K is not None:
                items_KT = items_KT.index_select(0, batch.items_K)
        said_RD = torch.cat(
            [
                F.normalize(users_BT) @ self.text_projection,
                items_KT @ self.text_projection,
            ]
        )
        text_RD = torch.where(batch.text_R1, said_RD, self.null_text)
        graph_RD = torch.where(batch.graph_R1, final_RD, self.null_graph)
        users_BM, items_KM = self.fuse(graph_RD, text_RD).split(
            [rows, len(final_RD) - rows]
        )
        scores_BK = torch.addmm(batch.bias_BK, users_BM, items_KM.T)
        loss = F.cross_entropy(scores_BK, batch.targets_B)
        penalty = own_RD.index_select(0, batch.own_2B).square().sum()
        apart = sum(
            (getattr(self, name) - getattr(self, f"start_{name}")).square().sum()
            for name in FUSION
        )
        return loss + 0.5 * l2 / rows * penalty + anchor * apart

    def groups(self, learning_rate: float, *, fusion_scale: float) -> list[dict]:
        """For the optimizer: the fusion's step is a share of the others'."""
        parts = dict(self.named_parameters())
        fusion = [parts.pop(name) for name in FUSION]
        return [
            {"params": list(parts.values()), "lr": learning_rate},
            {"params": fusion, "lr": fusion_scale * learning_rate},
        ]
