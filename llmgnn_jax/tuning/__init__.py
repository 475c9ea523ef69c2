"""Hyper-parameters by random search on valid, and baselines that are tuned by it."""

from llmgnn_jax.tuning.baselines import trained_baselines
from llmgnn_jax.tuning.named import SPACES, NamedSpace
from llmgnn_jax.tuning.random_search import Search, search
from llmgnn_jax.tuning.space import Space, draw, read_space
from llmgnn_jax.tuning.trials import Trial

__all__ = [
    "SPACES",
    "NamedSpace",
    "Search",
    "Space",
    "Trial",
    "draw",
    "read_space",
    "search",
    "trained_baselines",
]
