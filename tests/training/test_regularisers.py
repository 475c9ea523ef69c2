"""Terms beside the ranking: what each adds to a step's loss, by loops in NumPy."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from llmgnn_jax.training import batch as streams
from llmgnn_jax.training.batch import Batch, draw_batch
from llmgnn_jax.training.step import batch_loss
from llmgnn_jax.training.vector_losses import perturbed

STEP = 1


def loss(made: Any, **options: Any) -> float:
    value, missed = jax.jit(
        lambda params: batch_loss(
            params,
            made.definition,
            made.data,
            key=jax.random.key(0),
            step=jnp.int32(STEP),
            config=made.config,
            **options,
        )
    )(made.params)
    assert not missed
    return float(value)


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


@pytest.mark.parametrize("sides", ["graph", "fused"])
@pytest.mark.parametrize("negatives", ["all", "in_batch", "uniform"])
def test_contrast_of_two_views(
    small: Callable[..., Any], sides: str, negatives: str
) -> None:
    changes = {"train.negatives": negatives, "train.batch_size": 16}
    contrasted = {
        "graph.contrast": 0.7,
        "graph.contrast_noise": 0.05,
        "graph.contrast_temperature": 0.3,
    }
    made = small(sides, **changes, **contrasted)
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
    added = loss(made) - loss(small(sides, **changes))
    assert added == pytest.approx(0.7 * expected, rel=1e-3)


def test_text_alone_has_nothing_to_contrast(small: Callable[..., Any]) -> None:
    assert loss(small("text", **{"graph.contrast": 1.0})) == loss(small("text"))


@pytest.mark.parametrize("negatives", ["all", "in_batch", "uniform"])
def test_alignment_of_graph_and_text(
    small: Callable[..., Any], negatives: str
) -> None:
    changes = {"train.negatives": negatives, "train.batch_size": 16}
    aligned = {"fusion.alignment": 0.7, "fusion.alignment_temperature": 0.3}
    made = small("fused", **changes, **aligned)
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
    off = without_text(small("fused", **changes), silent)
    added = loss(forgotten) - loss(off)
    assert added == pytest.approx(0.7 * expected, rel=1e-3)


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


@pytest.mark.parametrize("negatives", ["all", "in_batch", "uniform"])
def test_pull_to_the_image_of_a_text(
    small: Callable[..., Any], negatives: str
) -> None:
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
    off = without_text(small("fused", **changes), silent)
    assert loss(made) - loss(off) == pytest.approx(0.7 * total, rel=1e-3)


def test_the_image_is_learned(small: Callable[..., Any]) -> None:
    made = small("fused", **{"graph.text_pull": 0.5})
    state, _ = made.program()(made.state(), made.data, jnp.int32(4))
    assert np.asarray(state.params["text_image"]).all()
    assert "text_image" not in small("graph", **{"graph.text_pull": 0.5}).params
    assert "text_image" not in small("fused").params
