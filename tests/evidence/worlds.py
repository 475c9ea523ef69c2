"""A small world with every kind of link in it, and models of it with random weights."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.relations import Relation
from llmgnn_jax.data.splits import TrainSplit, split_by_rule
from llmgnn_jax.evidence.attribute import Explainer
from llmgnn_jax.graph.item_item import item_item_filter
from llmgnn_jax.graph.spectral import ideal_low_pass
from llmgnn_jax.graph.structure import build
from llmgnn_jax.models.features import (
    Features,
    build_filter_features,
    build_text_features,
)
from llmgnn_jax.models.rating import create_rating
from llmgnn_jax.models.recommender import ModelSpec, create
from llmgnn_jax.models.scoring import Scorer

USERS, ITEMS, TEXT_DIM = 14, 17, 6
RATING_POWER = 0.5
PROFILE_OF = 3
"""The one user with a profile text."""


@dataclass(frozen=True, kw_only=True)
class World:
    """A model, and all that it was made from."""

    dataset: Dataset
    train: TrainSplit
    features: Features
    spec: ModelSpec
    scorer: Scorer
    params: Any
    explainer: Explainer
    spectral: bool


def _links(
    rng: np.random.Generator, kinds: tuple[str, str], sizes: tuple[int, int], count: int
) -> Relation:
    codes = rng.choice(sizes[0] * sizes[1], count, replace=False)
    heads, tails = codes // sizes[1], codes % sizes[1]
    if kinds[0] == kinds[1]:
        heads, tails = heads[heads < tails], tails[heads < tails]
    return Relation(
        heads_of=kinds[0],
        tails_of=kinds[1],
        heads=heads,
        tails=tails,
        weights=rng.uniform(0.5, 2.0, len(heads)).astype(np.float32),
    )


def small_dataset() -> Dataset:
    """Users rate items; there are genres, friends, households, wishes, bundles."""
    rng = np.random.default_rng(3)
    codes = rng.choice(USERS * ITEMS, 80, replace=False)
    users, items = codes // ITEMS, codes % ITEMS
    themes = ("space war", "quiet love", "robots heist")
    texts = tuple(f"film of {themes[item % 3]} {item}" for item in range(ITEMS - 1))
    return Dataset(
        name="world",
        user_ids=tuple(f"user-{number}" for number in range(USERS)),
        item_ids=tuple(f"item-{number}" for number in range(ITEMS)),
        users=users,
        items=items,
        values=rng.integers(1, 6, len(codes)).astype(np.float32),
        timestamps=np.arange(len(codes)),
        item_titles=tuple(f"Title {number}" for number in range(ITEMS)),
        item_texts=(*texts, ""),
        user_texts=tuple(
            "wants space and robots" if user == PROFILE_OF else ""
            for user in range(USERS)
        ),
        entities={
            "genre": ("g-0", "g-1", "g-2"),
            "household": ("h-0", "h-1", "h-2", "h-3"),
        },
        relations={
            "genre": _links(rng, ("item", "genre"), (ITEMS, 3), 20),
            "friends": _links(rng, ("user", "user"), (USERS, USERS), 40),
            "household": _links(rng, ("user", "household"), (USERS, 4), 12),
            "wishes": _links(rng, ("user", "item"), (USERS, ITEMS), 12),
            "bundle": _links(rng, ("item", "item"), (ITEMS, ITEMS), 30),
        },
    )


ALL_RELATIONS = dict.fromkeys(
    ("genre", "friends", "household", "wishes", "bundle"), 0.7
)


def made_world(
    *,
    dataset: Dataset | None = None,
    filter: str = "none",
    relations: dict[str, float] | None = None,
    rating: bool = False,
    **changes: Any,
) -> World:
    dataset = small_dataset() if dataset is None else dataset
    train = split_by_rule(dataset, rule="random", seed=0).training()
    relations = {} if relations is None else relations
    graph = build(
        train,
        self_loops=changes.get("layer") == "gcn",
        spare_users=2,
        spare_items=3,
        spare_edges=40,
        groups=changes.get("groups", 1),
        relations=relations,
    )
    rng = np.random.default_rng(8)
    capacities = {
        "user_capacity": graph.user_capacity,
        "item_capacity": graph.item_capacity,
    }

    def units(count: int) -> np.ndarray:
        vectors = rng.normal(size=(count, TEXT_DIM)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    text = build_text_features(
        item_vectors=units(dataset.num_items),
        item_texts=train.item_texts,
        history=train.csr(),
        user_vectors=units(dataset.num_users),
        user_texts=train.user_texts,
        **capacities,
    )
    of_filter = None
    if filter != "none":
        vectors = (
            item_item_filter(train, l2=3.0, rating_power=RATING_POWER, rank=6)
            if filter == "item_item"
            else ideal_low_pass(train.csr(), train.num_items, rank=6)
        )
        of_filter = build_filter_features(vectors, **capacities)
    features = Features(graph=graph, text=text, filter=of_filter)
    sides = changes.pop("sides", "graph")
    fields: dict[str, Any] = {
        **capacities,
        "num_users": dataset.num_users,
        "num_items": dataset.num_items,
        "text_dim": 0 if sides == "graph" else TEXT_DIM,
        "layer": "lightgcn",
        "num_layers": 3,
        "embedding_dim": 5,
        "init": "normal",
        "init_scale": 0.7,
        "backend": "csr",
        "activation": "leaky_relu",
        "filter_rank": 0 if of_filter is None else 6,
        "filter_weight": 2.0,
        "other_capacity": graph.layout.other_capacity,
        "people": graph.layout.people,
    }
    spec = ModelSpec(sides=sides, **(fields | changes))
    if rating:
        definition, params = create_rating(spec, mean=3.5, seed=1)
    else:
        definition, params = create(spec, seed=1)
    params = jax.tree.map(
        lambda one: one + jnp.asarray(0.2 * rng.normal(size=one.shape), jnp.float32),
        params,
    )
    scorer = Scorer(definition, spec)
    return World(
        dataset=dataset,
        train=train,
        features=features,
        spec=spec,
        scorer=scorer,
        params=params,
        explainer=Explainer(
            dataset=dataset,
            train=train,
            scorer=scorer,
            params=params,
            features=features,
            relations=relations,
            rating_power=RATING_POWER if filter == "item_item" else 0.0,
        ),
        spectral=filter == "spectral",
    )


def people_dataset() -> Dataset:
    """Friends of one another, and a club of theirs."""
    rng = np.random.default_rng(1)
    codes = rng.choice(12 * 12, 60, replace=False)
    one, other = codes // 12, codes % 12
    keep = one < other
    one, other = one[keep], other[keep]
    ids = tuple(f"person-{number}" for number in range(12))
    return Dataset(
        name="people",
        user_ids=ids,
        item_ids=ids,
        users=np.concatenate([one, other]),
        items=np.concatenate([other, one]),
        values=np.ones(2 * len(one), np.float32),
        timestamps=np.tile(np.arange(len(one)), 2),
        item_titles=("",) * 12,
        item_texts=("",) * 12,
        entities={"club": ("c-0", "c-1")},
        relations={"club": _links(rng, ("user", "club"), (12, 2), 9)},
        people="friends",
    )
