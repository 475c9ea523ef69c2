"""Users' text vectors: means over the history, with the target left out."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.models.features import Features, TextFeatures, unit_length

MakeFeatures = Callable[..., Features]


def text_of(features: Features) -> TextFeatures:
    assert features.text is not None
    return features.text


def mean_of(vectors: np.ndarray, items: list[int]) -> np.ndarray:
    """The mean in float64, scaled to unit length; 0 of none."""
    if not items:
        return np.zeros(vectors.shape[1])
    mean = np.mean([vectors[item].astype(np.float64) for item in items], axis=0)
    return mean / np.linalg.norm(mean)


def test_items_without_text_are_unknown(
    features: MakeFeatures, item_vectors: np.ndarray
) -> None:
    text = text_of(features())
    known = [True, True, False, True, True, True, True, False]
    assert text.item_known_I.tolist() == known
    expected = np.where(np.asarray(known)[:7, None], item_vectors, 0.0)
    np.testing.assert_array_equal(text.item_IT[:7], expected)
    assert not text.item_IT[7:].any()


def test_a_user_is_the_mean_of_its_history(
    features: MakeFeatures, train: TrainSplit, item_vectors: np.ndarray
) -> None:
    text = text_of(features(profiles=False))
    vectors, known = text.of_users(jnp.arange(8))
    history = train.csr()
    for user in range(6):
        items = [i for i in history.row(user).tolist() if i != 2]
        assert bool(known[user]) == bool(items)
        np.testing.assert_allclose(
            vectors[user], mean_of(item_vectors, items), atol=1e-6
        )
    # Spare slots: nobody is there yet.
    assert not known[6:].any()
    assert not vectors[6:].any()


def test_the_target_is_left_out(
    features: MakeFeatures, train: TrainSplit, item_vectors: np.ndarray
) -> None:
    text = text_of(features(profiles=False))
    history = train.csr()
    users = np.repeat(np.arange(6), history.counts())
    targets = history.indices
    vectors, known = text.of_users(jnp.asarray(users), left_out_B=jnp.asarray(targets))
    for row, (user, target) in enumerate(zip(users, targets, strict=True)):
        others = [i for i in history.row(user).tolist() if i not in (2, target)]
        assert bool(known[row]) == bool(others)
        np.testing.assert_allclose(
            vectors[row], mean_of(item_vectors, others), atol=1e-6
        )
        if others:
            assert float(jnp.linalg.norm(vectors[row])) == pytest.approx(1, rel=1e-6)
    # User 1 has one item: with the target left out, nothing is known of it.
    alone = users.tolist().index(1)
    assert not bool(known[alone])
    assert not vectors[alone].any()
    # User 2 has item 2, without a text, and item 4: left out, 2 takes nothing away.
    row = list(zip(users.tolist(), targets.tolist(), strict=True)).index((2, 2))
    assert bool(known[row])
    np.testing.assert_allclose(vectors[row], item_vectors[4], atol=1e-6)


def test_a_profile_is_not_left_out(
    features: MakeFeatures, user_vectors: np.ndarray
) -> None:
    text = text_of(features())
    # A blank profile is none: user 5 goes by its history.
    assert text.from_history_U.tolist() == [True] * 4 + [False] + [True] * 3
    both, known = text.of_users(jnp.asarray([4, 4]), left_out_B=jnp.asarray([0, 3]))
    assert known.all()
    np.testing.assert_allclose(both, user_vectors[[4, 4]], atol=1e-6)


def test_each_change_of_the_target_text_is_unseen(
    features: MakeFeatures, item_vectors: np.ndarray
) -> None:
    user, target = jnp.asarray([5]), jnp.asarray([3])
    text = text_of(features(profiles=False))
    before, _ = text.of_users(user, left_out_B=target)
    before_whole, _ = text.of_users(user)
    item_vectors[3] = -item_vectors[3][::-1]  # the fixture's own array
    text = text_of(features(profiles=False))
    after, _ = text.of_users(user, left_out_B=target)
    after_whole, _ = text.of_users(user)
    np.testing.assert_allclose(before, after, atol=1e-6)
    assert float(jnp.abs(before_whole - after_whole).max()) > 0.1


def test_unit_length_and_its_gradient() -> None:
    vectors = jnp.asarray([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(unit_length(vectors), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    gradient = jax.grad(lambda v: unit_length(v)[:, 0].sum())(vectors)
    # d (x / |v|) / d v at (3, 4) is (1 - 9 / 25, -12 / 25) / 5; at 0 it is 0.
    np.testing.assert_allclose(
        gradient, [[16 / 125, -12 / 125], [0, 0]], rtol=1e-5, atol=0
    )
