"""Trees of sampled neighbours in PyTorch, without a loop over nodes.

Shapes: N nodes, E edges, R seeds, W parents of a hop, F slots of each, T places of a
seed's tree, the seed first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

Replacement = Literal["with", "without"]


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What LightGCN's sampled sums read, in one row a seed.

    Attributes:
        nodes_RT: (R, T) int64; that of the seed itself in empty slots.
        weights_RT: (R, T) float32, the products of the weights on the way to the seed,
            over the number of layers and one; 0 in empty slots.
    """

    nodes_RT: torch.Tensor
    weights_RT: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The edges into each node.

    Attributes:
        indptr: (N + 1,) int64.
        senders: (E,) int64.
        scale: (N,) float32, sqrt(d_v).
    """

    indptr: torch.Tensor
    senders: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def of(cls, indptr: torch.Tensor, senders: torch.Tensor) -> "Rows":
        degrees = (indptr[1:] - indptr[:-1]).to(torch.float32)
        return cls(indptr=indptr, senders=senders, scale=degrees.clamp(min=1).sqrt())

    def draw(
        self, parents_W: torch.Tensor, fanout: int, replacement: Replacement
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(W, F) int64 neighbours, drawn uniformly, and (W, F) bool, False in empty
        slots, which name the parent; None where all are filled.

        With replacement every parent must have a neighbour. Without it those that have
        no more than F give each once; of the others Floyd's algorithm draws a set.
        """
        starts_W1 = self.indptr[parents_W][:, None]
        counts_W1 = self.indptr[parents_W + 1][:, None] - starts_W1
        if replacement == "with":
            draws_WF = torch.rand(len(parents_W), fanout, device=parents_W.device)
            draws_WF = (draws_WF * counts_W1).long()
            draws_WF = torch.minimum(draws_WF, counts_W1 - 1)  # Of what rounds up.
            return self.senders[draws_WF.add_(starts_W1)], None
        draws_WF = _subsets(counts_W1[:, 0], fanout)
        mask_WF = torch.arange(fanout, device=parents_W.device) < counts_W1
        last = len(self.senders) - 1
        nodes_WF = self.senders[draws_WF.add_(starts_W1).clamp_(max=last)]
        return torch.where(mask_WF, nodes_WF, parents_W[:, None]), mask_WF

    def tree(
        self,
        seeds_R: torch.Tensor,
        fanouts: Sequence[int],
        replacement: Replacement,
    ) -> Tree:
        """Draws a tree under each seed."""
        hops = []
        parents_W = seeds_R
        for fanout in fanouts:
            nodes_WF, mask_WF = self.draw(parents_W, fanout, replacement)
            hops.append((nodes_WF, mask_WF))
            parents_W = nodes_WF.reshape(-1)
        return self.weighed(seeds_R, hops)

    def weighed(
        self,
        seeds_R: torch.Tensor,
        hops: Sequence[tuple[torch.Tensor, torch.Tensor | None]],
    ) -> Tree:
        """A tree of drawn hops: (W, F) nodes and their mask.

        An edge u -> v weighs sqrt(d_v / d_u) / k_v, where k_v neighbours were drawn: of
        a path from g to the seed s remains sqrt(d_s / d_g) over the product of the k.
        """
        rows, layers = len(seeds_R), len(hops) + 1
        share = self.scale[seeds_R][:, None] / layers
        nodes, weights = [seeds_R[:, None]], [torch.full_like(share, 1 / layers)]
        for nodes_WF, mask_WF in hops:
            fanout = nodes_WF.shape[1]
            share_W1 = share.reshape(-1, 1)
            if mask_WF is None:
                share = (share_W1 / fanout).expand(-1, fanout)
            else:
                drawn_W1 = mask_WF.sum(dim=1, keepdim=True).clamp(min=1)
                share = (share_W1 / drawn_W1) * mask_WF
            nodes.append(nodes_WF.reshape(rows, -1))
            weights.append((share / self.scale[nodes_WF]).reshape(rows, -1))
        return Tree(
            nodes_RT=torch.cat(nodes, dim=1), weights_RT=torch.cat(weights, dim=1)
        )


def distinct(ids: torch.Tensor, num_nodes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """As `torch.unique` with inverse, by marks instead of a sort: it is faster.

    Returns:
        The different ids, ascending, and the place of each id among them.
    """
    marks_N = torch.zeros(num_nodes, dtype=torch.bool, device=ids.device)
    marks_N[ids.reshape(-1)] = True
    found = marks_N.nonzero()[:, 0]
    places_N = torch.empty(num_nodes, dtype=torch.int64, device=ids.device)
    places_N[found] = torch.arange(len(found), device=ids.device)
    return found, places_N[ids]


def _subsets(counts_W: torch.Tensor, size: int) -> torch.Tensor:
    """(W, F) different numbers of [0, count); 0, 1, ... where there are no more than F.

    Bentley and Floyd 1987: a subset of the first n - 1 numbers gets a draw from the
    first n, or, if that is there already, the last of the n.
    """
    chosen_FW = torch.full((size, len(counts_W)), -1, device=counts_W.device)
    draws_FW = torch.rand(size, len(counts_W), device=counts_W.device)
    firsts_W = (counts_W - size).clamp_(min=0)
    for number in range(size):
        last_W = firsts_W + number
        drawn_W = (draws_FW[number] * (last_W + 1)).long()
        drawn_W = torch.minimum(drawn_W, last_W)
        taken_W = (chosen_FW[:number] == drawn_W).any(dim=0)
        chosen_FW[number] = torch.where(taken_W, last_W, drawn_W)
    return chosen_FW.T.contiguous()
