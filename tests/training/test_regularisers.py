"""Terms beside the ranking: what each adds to a step's loss, by loops in NumPy."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.graph.placement import OneDevice
from llmgnn_jax.training import batch as streams
from llmgnn_jax.training import regularisers
from llmgnn_jax.training.batch import Batch, draw_batch
from llmgnn_jax.training.sides import Sides
from llmgnn_jax.training.step import batch_loss
from llmgnn_jax.training.vector_losses import perturbed

STEP = 0
ONE = OneDevice(backend="csr")
NEGATIVES = ["all", "in_batch", "uniform"]


def term(made: Any, function: Callable[..., jax.Array]) -> float:
    """function(model, sides, batch) of a step."""

    def compute(params: Any) -> jax.Array:
        model = nnx.merge(made.definition, params)
        batch = batch_of(made)
        sides = Sides(
            model,
            made.data,
            batch,
            dropout=made.config.fusion.modality_dropout,
            whole=made.config.train.negatives == "all",
        )
        return function(model, sides, batch)

    return float(jax.jit(compute)(made.params))


def contrast_of(made: Any) -> float:
    return term(
        made,
        lambda model, sides, batch: regularisers.contrast(
            sides, batch, graph=made.config.graph, placement=ONE
        ),
    )


def alignment_of(made: Any) -> float:
    return term(
        made,
        lambda model, sides, batch: regularisers.text_alignment(
            model, sides, batch, fusion=made.config.fusion, placement=ONE
        ),
    )


def pull_of(made: Any) -> float:
    return term(made, lambda model, sides, batch: regularisers.text_pull(model, sides))


def batch_of(made: Any) -> Batch:
    return draw_batch(
        made.data,
        key=jax.random.key(0),
        step=jnp.int32(STEP),
        train=made.config.train,
    )


def propagated(made: Any) -> tuple[np.ndarray, np.ndarray]:
    model = nnx.merge(made.definition, made.params)
    return tuple(map(np.asarray, model.propagate(made.prepared.graph)))


def info_nce(pairs: Iterable[tuple[Any, Any]], temperature: float) -> float:
    """The mean over pairs of vectors, each told from the second ones of the others."""
    both = [
        tuple(np.asarray(one, np.float64) / np.linalg.norm(one) for one in pair)
        for pair in pairs
    ]
    losses = []
    for first, own in both:
        scores = [first @ other / temperature for _, other in both]
        losses.append(math.log(sum(map(math.exp, scores))) - first @ own / temperature)
    return sum(losses) / len(losses)


@pytest.mark.slow
@pytest.mark.parametrize("negatives", NEGATIVES)
def test_contrast_of_two_views(small: Callable[..., Any], negatives: str) -> None:
    changes = {
        "train.negatives": negatives,
        "train.batch_size": 16,
        "graph.contrast_noise": 0.05,
        "graph.contrast_temperature": 0.3,
    }
    made = small("graph", **changes)
    batch = batch_of(made)
    numbers = np.asarray(batch.users_B), np.asarray(batch.positives_B)
    assert any(len(set(side.tolist())) < len(side) for side in numbers)
    expected = 0.0
    for vectors, named, stream in zip(
        propagated(made),
        numbers,
        (streams.USER_VIEWS, streams.ITEM_VIEWS),
        strict=True,
    ):
        distinct = np.unique(named)
        views = [
            perturbed(
                jnp.asarray(vectors[distinct]),
                jnp.asarray(distinct),
                key=key,
                length=0.05,
            )
            for key in jax.random.split(jax.random.fold_in(batch.key, stream))
        ]
        expected += info_nce(zip(*views, strict=True), 0.3)
    assert contrast_of(made) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_alignment_of_graph_and_text(small: Callable[..., Any], negatives: str) -> None:
    changes = {"train.negatives": negatives, "train.batch_size": 16}
    made = small("fused", **changes, **{"fusion.alignment_temperature": 0.3})
    text, history = made.data.features.text, made.prepared.history
    # One item without a text, which is a positive of the batch.
    batch = batch_of(made)
    users, positives = np.asarray(batch.users_B), np.asarray(batch.positives_B)
    silent = int(positives[0])
    assert len(set(users.tolist())) < len(users)
    forgotten = without_text(made, silent)
    stored = np.asarray(text.item_IT, np.float64)
    projection = np.asarray(made.params["text_projection"], np.float64)
    of_users, of_items = propagated(made)
    pairs: dict[str, dict[int, Any]] = {"users": {}, "items": {}}
    for user, target in zip(users.tolist(), positives.tolist(), strict=True):
        others = set(history.row(user).tolist()) - {target, silent}
        if others and user not in pairs["users"]:
            read = stored[sorted(others)].sum(axis=0) @ projection
            pairs["users"][user] = (of_users[user], read)
        if target != silent:
            pairs["items"][target] = (of_items[target], stored[target] @ projection)
    expected = sum(info_nce(side.values(), 0.3) for side in pairs.values())
    assert alignment_of(forgotten) == pytest.approx(expected, rel=1e-4)


def without_text(made: Any, item: int) -> Any:
    """The same where an item has no text."""
    text = made.data.features.text
    holders = [
        user
        for user in range(made.prepared.history.num_rows)
        if item in made.prepared.history.row(user)
    ]
    rows = jnp.asarray(holders)
    text = dataclasses.replace(
        text,
        item_known_I=text.item_known_I.at[item].set(False),
        user_UT=text.user_UT.at[rows].add(-text.item_IT[item]),
        user_parts_U=text.user_parts_U.at[rows].add(-1),
        item_IT=text.item_IT.at[item].set(0.0),
    )
    features = dataclasses.replace(made.data.features, text=text)
    data = dataclasses.replace(made.data, features=features)
    return dataclasses.replace(made, data=data)


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_pull_to_the_image_of_a_text(small: Callable[..., Any], negatives: str) -> None:
    changes = {"train.negatives": negatives, "train.batch_size": 16}
    made = small("fused", **changes, **{"graph.text_pull": 0.7})
    assert not made.params["text_image"].any()
    image = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    params = made.params | {"text_image": jnp.asarray(image)}
    made = dataclasses.replace(made, params=params)
    positives = np.asarray(batch_of(made).positives_B)
    silent = int(positives[0])
    made = without_text(made, silent)
    ids = made.spec.layout.split(np.asarray(made.params["node_embedding"]))[1]
    stored, total = np.asarray(made.data.features.text.item_IT), 0.0
    for item in positives.tolist():
        if item != silent:
            total += 0.5 * ((ids[item] - stored[item] @ image) ** 2).sum() / 16
    assert pull_of(made) == pytest.approx(total, rel=1e-5)


def test_a_step_adds_them_by_their_weights(small: Callable[..., Any]) -> None:
    weights = {"graph.contrast": 0.5, "fusion.alignment": 0.7, "graph.text_pull": 30.0}
    losses = []
    for changes in ({}, weights):
        made = small("fused", **changes)
        loss, _ = jax.jit(functools.partial(loss_of, made))(made.params)
        losses.append(float(loss))
    terms = contrast_of(made), alignment_of(made), pull_of(made)
    parts = [weight * one for weight, one in zip(weights.values(), terms, strict=True)]
    assert min(parts) > 0.1
    assert losses[1] - losses[0] == pytest.approx(sum(parts), rel=1e-4)


def loss_of(made: Any, params: Any) -> tuple[jax.Array, jax.Array]:
    return batch_loss(
        params,
        made.definition,
        made.data,
        key=jax.random.key(0),
        step=jnp.int32(STEP),
        config=made.config,
    )


def test_the_fused_model_alone_has_an_image_of_texts(small: Callable[..., Any]) -> None:
    pulled = {"graph.text_pull": 0.5}
    assert small("fused", **pulled).params["text_image"].shape == (6, 4)
    assert "text_image" not in small("graph", **pulled).params
    assert "text_image" not in small("fused").params
