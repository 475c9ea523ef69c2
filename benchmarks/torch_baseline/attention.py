"""Attention over sorted edges by hand, on torch's CPU kernels.

Shapes: N nodes, E edges, H heads, F width of a head.

No (E, H F) array is made: `embedding_bag` sums rows weighted by the shares, forward
over receivers and backward over senders, and the gradient of its per-sample weights is
the dot product an edge. Softmax and the sums of scores go through torch-scatter's
`segment_csr` on (E, H).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.harness import Unavailable
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.device import tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Edges:
    """Edges by receiver, and the same by sender.

    Attributes:
        senders: (E,) int64, by (receiver, sender).
        receivers: (E,) int64, ascending.
        indptr: (N + 1,) int64.
        by_sender: (E,) int64, positions in order of (sender, receiver).
        receivers_by_sender: (E,) int64.
        sender_indptr: (N + 1,) int64.
    """

    senders: torch.Tensor
    receivers: torch.Tensor
    indptr: torch.Tensor
    by_sender: torch.Tensor
    receivers_by_sender: torch.Tensor
    sender_indptr: torch.Tensor

    @classmethod
    def of(cls, inputs: Inputs) -> "Edges":
        """From the arrays of a benchmark, sorted by receiver.

        Raises:
            Unavailable: If torch-scatter is not there.
        """
        try:
            import torch_scatter  # noqa: F401
        except (ImportError, OSError) as error:
            raise Unavailable(
                "torch-scatter is not installed: pip install --no-build-isolation "
                "torch-scatter"
            ) from error
        senders, receivers = inputs["senders"], inputs["receivers"]
        order = np.lexsort((receivers, senders))
        counts = np.bincount(senders, minlength=int(inputs["num_nodes"]))
        return cls(
            senders=tensor(senders, torch.int64),
            receivers=tensor(receivers, torch.int64),
            indptr=tensor(inputs["indptr"], torch.int64),
            by_sender=tensor(order, torch.int64),
            receivers_by_sender=tensor(np.asarray(receivers)[order], torch.int64),
            sender_indptr=tensor(np.concatenate([[0], np.cumsum(counts)]), torch.int64),
        )


def attend(
    values_HNF: torch.Tensor,
    sent_NH: torch.Tensor,
    received_NH: torch.Tensor,
    edges: Edges,
    *,
    slope: float,
) -> torch.Tensor:
    """out[h, v] = sum over e = (u, v) of softmax(LeakyReLU(sent + received)) values.

    Returns:
        (H, N, F).
    """
    return _Attend.apply(values_HNF, sent_NH, received_NH, edges, slope)


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        values_HNF: torch.Tensor,
        sent_NH: torch.Tensor,
        received_NH: torch.Tensor,
        edges: Edges,
        slope: float,
    ) -> torch.Tensor:
        raw_EH = sent_NH.index_select(0, edges.senders)
        raw_EH += received_NH.index_select(0, edges.receivers)
        powers_EH = F.leaky_relu(raw_EH, slope)
        highest_NH = _segments(powers_EH, edges.indptr, "max")
        powers_EH -= highest_NH.index_select(0, edges.receivers)
        powers_EH.exp_()
        sums_NH = _segments(powers_EH, edges.indptr, "sum")
        shares_EH = powers_EH.div_(sums_NH.index_select(0, edges.receivers))
        out_HNF = _bags(values_HNF, edges.senders, edges.indptr, shares_EH)
        ctx.edges, ctx.slope = edges, slope
        ctx.save_for_backward(values_HNF, raw_EH, shares_EH, out_HNF)
        return out_HNF

    @staticmethod
    def backward(ctx: Any, gradient_HNF: torch.Tensor) -> tuple:
        values_HNF, raw_EH, shares_EH, out_HNF = ctx.saved_tensors
        edges, slope = ctx.edges, ctx.slope
        gradient_HNF = gradient_HNF.contiguous()
        values_gradient = _bags(
            gradient_HNF,
            edges.receivers_by_sender,
            edges.sender_indptr,
            shares_EH.index_select(0, edges.by_sender),
        )
        dots = torch.ops.aten._embedding_bag_per_sample_weights_backward
        flow_EH = torch.stack(
            [
                dots(gradient, values, edges.senders, edges.indptr, edges.receivers, 0)
                for gradient, values in zip(gradient_HNF, values_HNF, strict=True)
            ],
            dim=1,
        )
        # The sum over a node's edges of share times dot product is out . gradient.
        mean_NH = (out_HNF * gradient_HNF).sum(dim=2).T.contiguous()
        flow_EH -= mean_NH.index_select(0, edges.receivers)
        flow_EH *= shares_EH
        flow_EH = torch.ops.aten.leaky_relu_backward(flow_EH, raw_EH, slope, False)
        received_gradient = _segments(flow_EH, edges.indptr, "sum")
        by_sender_EH = flow_EH.index_select(0, edges.by_sender)
        sent_gradient = _segments(by_sender_EH, edges.sender_indptr, "sum")
        return values_gradient, sent_gradient, received_gradient, None, None


def _bags(
    values_HNF: torch.Tensor,
    others: torch.Tensor,
    indptr: torch.Tensor,
    weights_EH: torch.Tensor,
) -> torch.Tensor:
    """(H, N, F), the weighted sums over each node's edges."""
    return torch.stack(
        [
            F.embedding_bag(
                others,
                values,
                indptr,
                mode="sum",
                per_sample_weights=weights,
                include_last_offset=True,
            )
            for values, weights in zip(
                values_HNF, weights_EH.T.contiguous(), strict=True
            )
        ]
    )


def _segments(values_EH: torch.Tensor, indptr: torch.Tensor, how: str) -> torch.Tensor:
    """(E, H) -> (N, H)."""
    import torch_scatter

    return torch_scatter.segment_csr(values_EH, indptr, reduce=how)
