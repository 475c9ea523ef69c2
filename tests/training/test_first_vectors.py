"""Node vectors that start from the train part: against dense linear algebra."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.training.first_vectors import first_vectors
from llmgnn_jax.training.trained import set_up


def sides(made: Any, table: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Users' and items' first vectors, or the two sides of a table."""
    if table is None:
        drawn = made.params["node_embedding"]
        table = first_vectors(made.spec, made.prepared, drawn)
    users, items = made.spec.layout.split(np.asarray(table))
    return users, items


def without_pairs_of(made: Any, user: int, item: int) -> Any:
    """The same where a user and an item have no pairs."""
    rows, cols = made.prepared.history.pairs()
    kept = (rows != user) & (cols != item)
    history = Csr.from_pairs(rows[kept], cols[kept], made.prepared.history.num_rows)
    return dataclasses.replace(
        made, prepared=dataclasses.replace(made.prepared, history=history)
    )


@pytest.mark.parametrize("width", [4, 20])
def test_spectral_ones_are_singular_vectors(
    small: Callable[..., Any], width: int
) -> None:
    changes = {"graph.init": "spectral", "graph.embedding_dim": width}
    made = without_pairs_of(small("graph", **changes), 5, 7)
    history = made.prepared.history
    pairs = np.zeros((18, 15))
    pairs[history.pairs()] = 1
    degrees = [np.maximum(pairs.sum(axis=axis), 1) for axis in (1, 0)]
    normalised = pairs / np.sqrt(degrees[0][:, None] * degrees[1][None, :])
    left, values, right = np.linalg.svd(normalised)
    rank = min(width, 4)
    # A user and an item without pairs leave one singular value less.
    there = min(width, int((values > 1e-4).sum()))
    assert there == min(width, 14)
    drawn = sides(made, made.params["node_embedding"])
    for found, random, vectors, silent in zip(
        sides(made), drawn, (left, right.T), (5, 7), strict=True
    ):
        count = len(vectors)
        known = np.flatnonzero(np.arange(count) != silent)
        filled = found[known][:, :there]
        assert np.sqrt((filled**2).mean()) == pytest.approx(0.1, rel=1e-5)
        for column in range(rank):
            one, other = found[known, column], vectors[known, column]
            cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
            assert abs(cosine) == pytest.approx(1.0, abs=1e-4)
        # All of one length, and at right angles to one another.
        gram = found[known][:, :rank].T @ found[known][:, :rank]
        np.testing.assert_allclose(gram / gram[0, 0], np.eye(rank), atol=1e-4)
        # What the pairs say nothing of is as it was drawn: spare slots are 0.
        np.testing.assert_array_equal(found[silent], random[silent])
        np.testing.assert_array_equal(found[:, there:], random[:, there:])
        assert not found[count:].any()


@pytest.mark.parametrize("width", [3, 8])
def test_text_ones_are_principal_components(
    small: Callable[..., Any], width: int
) -> None:
    changes = {"graph.init": "text", "graph.embedding_dim": width}
    made = small("graph", **changes)
    text = made.prepared.features.text
    # Item 4 has no text, and user 2 none but of it.
    text = dataclasses.replace(
        text,
        item_known_I=text.item_known_I.at[4].set(False),
        item_IT=text.item_IT.at[4].set(0.0),
        user_parts_U=text.user_parts_U.at[2].set(0),
        user_UT=text.user_UT.at[2].set(0.0),
    )
    features = dataclasses.replace(made.prepared.features, text=text)
    prepared = dataclasses.replace(made.prepared, features=features)
    made = dataclasses.replace(made, prepared=prepared)
    known_items = np.flatnonzero(np.arange(15) != 4)
    known_users = np.flatnonzero(np.arange(18) != 2)
    read = np.asarray(text.item_IT, np.float64)[known_items]
    center = read.mean(axis=0)
    _, _, axes = np.linalg.svd(read - center)
    kept = axes[: min(width, 6)]
    users = np.asarray(text.user_UT, np.float64)[known_users]
    users = users / np.asarray(text.user_parts_U)[known_users, None] - center
    drawn = sides(made, made.params["node_embedding"])
    for found, random, known, vectors, silent in zip(
        sides(made),
        drawn,
        (known_users, known_items),
        (users, read - center),
        (2, 4),
        strict=True,
    ):
        expected = vectors @ kept.T
        filled = found[known][:, : len(kept)]
        assert np.sqrt((filled**2).mean()) == pytest.approx(0.1, rel=1e-5)
        # Up to the sign of an axis: products of any two are those of the texts.
        scale = np.sqrt((expected**2).mean()) / 0.1
        np.testing.assert_allclose(
            filled @ filled.T * scale**2, expected @ expected.T, atol=1e-4
        )
        np.testing.assert_array_equal(found[silent], random[silent])
        np.testing.assert_array_equal(found[:, 6:], random[:, 6:])
        assert not found[len(known) + 1 :].any()


def test_a_run_starts_from_them(small: Callable[..., Any]) -> None:
    for init in ("normal", "spectral"):
        made = small("graph", **{"graph.init": init, "train.batch_size": 8})
        table = set_up("graph", made.prepared).snapshot.state.params["node_embedding"]
        drawn = made.params["node_embedding"]
        expected = first_vectors(made.spec, made.prepared, drawn)
        np.testing.assert_array_equal(table, expected)
        assert bool(jnp.array_equal(table, drawn)) == (init == "normal")
        # A template is not worth the work.
        template = set_up("graph", made.prepared, trains=False).snapshot
        np.testing.assert_array_equal(template.state.params["node_embedding"], drawn)
