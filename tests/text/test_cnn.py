"""The CNN: parity with PyTorch and with a slow loop, padding, packing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.text.encoders.cnn import CNNConfig
from llmgnn_jax.text.encoders.model import apply, declare, initialise
from llmgnn_jax.text.encoders.rows import TokenRows

CONFIG = CNNConfig(vocab_size=30, dim=6, filters=4, widths=(1, 2, 3, 4, 5))
run = jax.jit(apply, static_argnums=0)


def random_model(config=CONFIG):
    model = initialise(config, seed=0)
    rng = np.random.default_rng(1)
    return model._replace(
        params=jax.tree.map(
            lambda leaf: leaf + jnp.asarray(rng.normal(size=leaf.shape), jnp.float32),
            model.params,
        )
    )


def ragged(seed, *, rows=5, length=9, vocab=30):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, length + 1, rows)
    lengths[0] = length
    mask = np.arange(length)[None, :] < lengths[:, None]
    # Padding of any word: it must count as 0, whatever its vector is.
    return rng.integers(0, vocab, mask.shape).astype(np.int32), mask


def slow(params, ids, mask, segments):
    """One place at a time, in float64."""
    x = np.asarray(params["words"], np.float64)[ids]
    rows, length = ids.shape
    outputs = []
    for name in sorted(params["convolutions"]):
        part = params["convolutions"][name]
        kernel, bias = np.asarray(part["kernel"], np.float64), np.asarray(part["bias"])
        width, _, filters = kernel.shape
        y = np.zeros((rows, length, filters)) + bias
        for row in range(rows):
            for place in range(length):
                for step in range(width):
                    at = place + step - (width - 1) // 2
                    if (
                        0 <= at < length
                        and mask[row, at]
                        and segments[row, at] == segments[row, place]
                    ):
                        y[row, place] += x[row, at] @ kernel[step]
        outputs.append(np.maximum(y, 0))
    return np.concatenate(outputs, axis=-1)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("length", [9, 2])
def test_vectors_are_those_of_a_slow_loop(packed, length):
    model = random_model()
    ids, mask = ragged(2, length=length)
    segments = np.zeros(ids.shape, np.int32)
    if packed:
        draws = np.random.default_rng(3).random(ids.shape) < 0.3
        segments = np.cumsum(draws, axis=1).astype(np.int32)
    rows = TokenRows(ids_BL=ids, mask_BL=mask, segments_BL=segments if packed else None)
    got = np.asarray(run(model.graphdef, model.params, rows))
    expected = slow(model.params, ids, mask, segments)
    assert (expected > 0).mean() > 0.3
    np.testing.assert_allclose(got[mask], expected[mask], atol=1e-5)


def test_vectors_and_gradients_are_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    model = random_model()
    words = torch.nn.Embedding(30, 6)
    peers = [torch.nn.Conv1d(6, 4, width) for width in CONFIG.widths]
    parts = [model.params["convolutions"][f"convolution_{n}"] for n in range(5)]
    with torch.no_grad():
        words.weight.copy_(torch.tensor(np.asarray(model.params["words"])))
        for peer, part in zip(peers, parts, strict=True):
            peer.weight.copy_(torch.tensor(np.array(part["kernel"].T)))
            peer.bias.copy_(torch.tensor(np.asarray(part["bias"])))
    ids, mask = ragged(4)
    x = words(torch.tensor(ids).long()) * torch.tensor(mask)[..., None]
    hidden = torch.cat(
        [
            torch.relu(
                peer(
                    torch.nn.functional.pad(
                        x.transpose(1, 2), ((width - 1) // 2, width // 2)
                    )
                )
            ).transpose(1, 2)
            for width, peer in zip(CONFIG.widths, peers, strict=True)
        ],
        dim=-1,
    )
    rows = TokenRows(ids_BL=ids, mask_BL=mask)
    got = np.asarray(run(model.graphdef, model.params, rows))
    assert np.abs(got - hidden.detach().numpy())[mask].max() <= 1e-5

    weights = np.random.default_rng(5).normal(size=hidden.shape) * mask[..., None]

    @jax.jit
    def loss(params):
        return (apply(model.graphdef, params, rows) * weights).sum()

    gradient = jax.grad(loss)(model.params)
    (hidden * torch.tensor(weights)).sum().backward()
    pairs = [(gradient["words"], words.weight.grad)]
    for number, peer in enumerate(peers):
        ours = gradient["convolutions"][f"convolution_{number}"]
        pairs += [(ours["kernel"].T, peer.weight.grad), (ours["bias"], peer.bias.grad)]
    for ours, theirs in pairs:
        theirs = theirs.numpy()
        assert np.abs(theirs).max() > 1e-2
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max() + 1e-5


def test_texts_packed_into_a_row_give_what_they_give_alone():
    model = random_model()
    rng = np.random.default_rng(0)
    counts = (7, 1, 5)
    texts = [rng.integers(1, 30, count).astype(np.int32) for count in counts]
    rows = TokenRows(
        ids_BL=np.pad(np.concatenate(texts), (0, 3), constant_values=8)[None],
        mask_BL=(np.arange(16) < 13)[None],
        segments_BL=np.repeat([0, 1, 2, 2], [*counts, 3]).astype(np.int32)[None],
    )
    got = np.asarray(run(model.graphdef, model.params, rows))[0]
    start = 0
    for text in texts:
        alone = TokenRows(ids_BL=text[None], mask_BL=np.ones((1, len(text)), bool))
        expected = np.asarray(run(model.graphdef, model.params, alone))[0]
        np.testing.assert_allclose(got[start : start + len(text)], expected, atol=1e-5)
        start += len(text)


def test_more_padding_changes_nothing_and_bfloat16_is_near():
    model = random_model()
    ids, mask = ragged(6)
    expected = np.asarray(
        run(model.graphdef, model.params, TokenRows(ids_BL=ids, mask_BL=mask))
    )
    rows = TokenRows(
        ids_BL=np.pad(ids, ((0, 2), (0, 6)), constant_values=9),
        mask_BL=np.pad(mask, ((0, 2), (0, 6))),
    )
    got = np.asarray(run(model.graphdef, model.params, rows))
    np.testing.assert_allclose(got[:5, :9][mask], expected[mask], atol=1e-5)
    assert np.isfinite(got).all()
    rough = declare(CONFIG, dtype="bfloat16").graphdef
    near = np.asarray(run(rough, model.params, rows))[:5, :9][mask]
    assert near.dtype == np.float32
    assert 0 < np.abs(near - expected[mask]).max() < 0.02 * expected.max()


def test_the_order_of_words_matters_within_reach_alone():
    model = random_model()
    ids, mask = ragged(7, rows=1, length=12)
    base = np.asarray(
        run(model.graphdef, model.params, TokenRows(ids_BL=ids, mask_BL=mask))
    )
    ids[0, 5] = (ids[0, 5] + 1) % 30
    changed = np.asarray(
        run(model.graphdef, model.params, TokenRows(ids_BL=ids, mask_BL=mask))
    )
    moved = np.abs(changed - base).max(axis=-1)[0] > 1e-6
    # The widest filters see two tokens to each side.
    assert np.flatnonzero(moved).tolist() == [3, 4, 5, 6, 7]
