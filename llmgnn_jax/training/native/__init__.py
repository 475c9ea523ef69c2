"""The kernels of training steps, see `llmgnn_jax.native`."""

from pathlib import Path

from llmgnn_jax.native.library import Library

library = Library(
    "training",
    Path(__file__).parent,
    {
        "llmgnn_known_among": "LlmgnnKnownAmong",
        "llmgnn_row_squares": "LlmgnnRowSquares",
    },
)
