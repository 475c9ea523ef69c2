"""Spaces by name: of each model as a recipe has it, and of baselines that are trained.

A baseline's settings are choices of one: whoever tunes by its space has that baseline,
whatever the recipe is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmgnn_jax.config import ModelName
from llmgnn_jax.tuning.space import Space


@dataclass(frozen=True, kw_only=True)
class NamedSpace:
    """A space and the model that it is of."""

    model: ModelName
    space: Space


_LEARNING: dict[str, Any] = {
    "train.learning_rate": (1e-3, 1e-1, "log"),
    "train.half_life": (200, 5_000, "log"),
}
_OF_IDS: dict[str, Any] = {
    **_LEARNING,
    "train.l2": (1e-5, 1e-1, "log"),
    "graph.embedding_dim": (32, 64, 128),
}
# Rendle et al. 2009, https://arxiv.org/abs/1205.2618: pairs of a positive and a drawn
# negative, dot products of id vectors.
_BPR: dict[str, Any] = {
    **_OF_IDS,
    "graph.init_scale": (1e-2, 3e-1, "log"),
    "train.num_negatives": (1, 4, 16),
    "train.loss": ("bpr",),
    "train.negatives": ("uniform",),
    "train.table_optimizer": ("adam",),
    "graph.layer": ("lightgcn",),
    "graph.fanouts": ((),),
    "graph.init": ("normal",),
    "graph.temperature": (0.0,),
    "graph.contrast": (0.0,),
    "graph.filter": ("none",),
}

_OF_TEXTS: Space = {
    **_LEARNING,
    "train.weight_decay": (1e-5, 1e-1, "log"),
    "graph.embedding_dim": (32, 64, 128),
}

SPACES: Mapping[str, NamedSpace] = {
    "graph": NamedSpace(
        model="graph", space={**_OF_IDS, "graph.num_layers": (1, 2, 3, 4)}
    ),
    "text": NamedSpace(
        model="text",
        space=_OF_TEXTS,
    ),
    "fused": NamedSpace(
        model="fused",
        space={
            **_OF_IDS,
            "graph.num_layers": (1, 2, 3, 4),
            "fusion.modality_dropout": (0.0, 0.5, "uniform"),
            "fusion.anchor": (1e-2, 1e1, "log"),
            "fusion.learning_rate_scale": (1e-2, 1.0, "log"),
        },
    ),
    "bpr_mf": NamedSpace(model="graph", space={**_BPR, "graph.num_layers": (0,)}),
    # He et al. 2020, https://arxiv.org/abs/2002.02126.
    "lightgcn": NamedSpace(
        model="graph", space={**_BPR, "graph.num_layers": (1, 2, 3, 4)}
    ),
    # Yi et al. 2019, https://doi.org/10.1145/3298689.3346996: a softmax over the other
    # rows' items, with logQ correction; here of frozen text vectors, a user's being
    # the mean of its history's.
    "two_tower": NamedSpace(
        model="text",
        space={
            **_OF_TEXTS,
            "train.batch_size": (512, 1_024, 2_048),
            "train.accumulate": (1,),
            "train.loss": ("sampled_softmax",),
            "train.negatives": ("in_batch",),
            "text.towers": ("two",),
            "text.mode": ("frozen",),
        },
    ),
}
