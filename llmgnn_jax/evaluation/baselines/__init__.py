"""Strong simple recommenders on the same split, each a few lines and tuned alike.

They train on the train part only, like every model here, and their hyper-parameters are
chosen on valid, each from as many. Scoring runs through `ranking.rank`.
"""

from llmgnn_jax.evaluation.baselines.fitted import Baseline
from llmgnn_jax.evaluation.baselines.item_item import (
    ease,
    item_knn,
    text_knn,
)
from llmgnn_jax.evaluation.baselines.neighbours import (
    adamic_adar,
    common_neighbours,
)
from llmgnn_jax.evaluation.baselines.popular import popularity
from llmgnn_jax.evaluation.baselines.slim import slim
from llmgnn_jax.evaluation.baselines.spectral import spectral
from llmgnn_jax.evaluation.baselines.tuning import (
    GRIDS,
    trial_quality,
    tuned_baselines,
)
from llmgnn_jax.evaluation.baselines.vectors import of_vectors, with_vectors

__all__ = [
    "GRIDS",
    "Baseline",
    "adamic_adar",
    "common_neighbours",
    "ease",
    "item_knn",
    "of_vectors",
    "popularity",
    "slim",
    "spectral",
    "text_knn",
    "trial_quality",
    "tuned_baselines",
    "with_vectors",
]
