"""The spectrum of who interacted with what: singular vectors, and filters of them."""

from llmgnn_jax.graph.spectral.filters import Filter, FilterData, filter_data, filtered
from llmgnn_jax.graph.spectral.ideal import ideal_low_pass
from llmgnn_jax.graph.spectral.pairs import PairPlan, plan_pairs
from llmgnn_jax.graph.spectral.singular import SingularVectors, singular_vectors

__all__ = [
    "Filter",
    "FilterData",
    "PairPlan",
    "SingularVectors",
    "filter_data",
    "filtered",
    "ideal_low_pass",
    "plan_pairs",
    "singular_vectors",
]
