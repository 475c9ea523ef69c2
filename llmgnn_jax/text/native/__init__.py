"""The kernels of the text encoders, see `llmgnn_jax.native`."""

from pathlib import Path

from llmgnn_jax.native.library import Library

library = Library(
    "text",
    Path(__file__).parent,
    {
        "llmgnn_dense": "LlmgnnDense",
        "llmgnn_feed_forward": "LlmgnnFeedForward",
        "llmgnn_attend": "LlmgnnAttend",
        "llmgnn_attend_gradient": "LlmgnnAttendGradient",
        "llmgnn_norm": "LlmgnnNorm",
        "llmgnn_norm_gradient": "LlmgnnNormGradient",
        "llmgnn_column_sums": "LlmgnnColumnSums",
        "llmgnn_panel_product": "LlmgnnPanelProduct",
        "llmgnn_decode_step": "LlmgnnDecodeStep",
    },
)
