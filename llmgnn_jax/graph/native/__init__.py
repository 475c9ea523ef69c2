"""The kernels of the graph engine, see `llmgnn_jax.native`."""

from pathlib import Path

from llmgnn_jax.native.library import Library

library = Library(
    "graph",
    Path(__file__).parent,
    {
        "llmgnn_weighted_row_sums": "LlmgnnWeightedRowSums",
        "llmgnn_compact_rows": "LlmgnnCompactRows",
        "llmgnn_row_maxima": "LlmgnnRowMaxima",
        "llmgnn_edge_dots": "LlmgnnEdgeDots",
        "llmgnn_gather_rows": "LlmgnnGatherRows",
        "llmgnn_gathered_sums": "LlmgnnGatheredSums",
        "llmgnn_scattered_sums": "LlmgnnScatteredSums",
        "llmgnn_softmax_forward": "LlmgnnSoftmaxForward",
        "llmgnn_softmax_backward": "LlmgnnSoftmaxBackward",
    },
)
