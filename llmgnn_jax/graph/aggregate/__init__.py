"""The one neighbour-aggregation primitive and its kin, over several backends.

    out[v] = sum over edges e = (u, v) of weights[e] nodes[u]

Backends, equal to float rounding:

* `segment`: gather, scale, sorted segment sum. Fusible; the common ground.
* `csr`: a CSR matrix times the node vectors, the fast path of stock XLA on a CPU.
* `bucketed`: dense gathers by degree, nothing is scattered; made for TPUs.
* `native`: a C++ kernel through XLA's foreign functions, on CPUs with a compiler.

All accumulate in float32 and repeat bit for bit. Gradients go through the transposed
plan: no gradient is scattered in the order of the senders.
"""

from llmgnn_jax.graph.aggregate.backends import BACKENDS, Backend
from llmgnn_jax.graph.aggregate.choice import (
    checked_backend,
    choose_backend,
    resolve_backend,
    usable_backend,
)
from llmgnn_jax.graph.aggregate.operations import (
    aggregate,
    edge_softmax,
    gather_receivers,
    gather_senders,
    maximum,
    sum_edges,
    weighted_sum,
)

__all__ = [
    "BACKENDS",
    "Backend",
    "aggregate",
    "checked_backend",
    "choose_backend",
    "edge_softmax",
    "gather_receivers",
    "gather_senders",
    "maximum",
    "resolve_backend",
    "sum_edges",
    "usable_backend",
    "weighted_sum",
]
