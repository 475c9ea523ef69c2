"""The linear filter that a run adds to its scores."""

import numpy as np

from llmgnn_jax.config import Config
from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.graph.aggregate import checked_backend
from llmgnn_jax.graph.item_item import FilterVectors, item_item_filter
from llmgnn_jax.graph.spectral import ideal_low_pass
from llmgnn_jax.graph.structure import InteractionGraph
from llmgnn_jax.models.features import (
    FilterFeatures,
    TextFeatures,
    build_filter_features,
)
from llmgnn_jax.models.text_to_filter import MAX_ITEMS, TextToFilter


def prepared_filter(
    config: Config,
    train: TrainSplit,
    graph: InteractionGraph,
    text: TextFeatures | None,
) -> tuple[FilterFeatures | None, TextToFilter | None]:
    """The linear filter that is added to scores, if there is one, and what says from a
    text how it scores an item that nobody had."""
    chosen = config.graph
    if chosen.filter == "none" or config.models == ("text",):
        return None, None
    if chosen.filter == "spectral":
        vectors = ideal_low_pass(
            train.csr(),
            train.num_items,
            rank=chosen.filter_rank,
            seed=config.seed,
            backend=checked_backend(chosen.backend),
        )
    else:
        vectors = item_item_filter(
            train,
            l2=chosen.filter_l2,
            rating_power=chosen.rating_power,
            rank=chosen.filter_rank,
        )
    from_text = None
    if text is not None and config.graph.filter_text_l2:
        vectors, from_text = _with_unheard(config, train, vectors, text)
    features = build_filter_features(
        vectors,
        user_capacity=graph.user_capacity,
        item_capacity=graph.item_capacity,
    )
    return features, from_text


def _with_unheard(
    config: Config, train: TrainSplit, vectors: FilterVectors, text: TextFeatures
) -> tuple[FilterVectors, TextToFilter | None]:
    """A filter's vectors, those of items without an interaction from their texts."""
    counts = np.bincount(train.items, minlength=train.num_items)
    known = np.asarray(text.item_known_I)[: train.num_items]
    texts_IT = np.asarray(text.item_IT)[: train.num_items]
    heard = np.flatnonzero(known & (counts > 0))
    if len(heard) < 2:  # There is nothing in which texts could differ.
        return vectors, None
    # Those that most is known of, where all would be too many.
    heard = np.sort(heard[np.argsort(-counts[heard], kind="stable")][:MAX_ITEMS])
    from_text = TextToFilter.fit(
        texts_IT[heard],
        vectors.item_IK[heard],
        l2=config.graph.filter_text_l2,
        sharpness=config.graph.filter_text_sharpness,
    )
    unheard = np.flatnonzero(known & (counts == 0))
    item_IK = vectors.item_IK.copy()
    item_IK[unheard] = from_text(texts_IT[unheard])
    return vectors._replace(item_IK=item_IK), from_text
