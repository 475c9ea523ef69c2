"""The kernels of ranking, which the host calls, see `llmgnn_jax.native`."""

from pathlib import Path

from llmgnn_jax.native.library import Library

library = Library("ranking", Path(__file__).parent, targets={})
