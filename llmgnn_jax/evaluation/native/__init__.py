"""The kernels of ranking, see `llmgnn_jax.native`."""

from pathlib import Path

from llmgnn_jax.native.library import Library

library = Library(
    "ranking",
    Path(__file__).parent,
    {"llmgnn_best_items": "LlmgnnBestItems"},
)
