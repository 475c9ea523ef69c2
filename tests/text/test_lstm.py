"""The LSTM: parity with PyTorch and with a slow loop, padding, packing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.text.encoders.lstm import LSTMConfig
from llmgnn_jax.text.encoders.model import apply, declare, initialise, with_adapters
from llmgnn_jax.text.encoders.recurrence import recur
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.lora import Adapters, merge_adapters

CONFIG = LSTMConfig(vocab_size=30, dim=6, hidden_size=5, num_layers=2, directions=2)
SHAPES = [(1, 1), (2, 1), (1, 2), (2, 2)]
run = jax.jit(apply, static_argnums=0)


def random_model(layers, directions, **changes):
    """Weights far from where biases do nothing."""
    config = dataclasses.replace(
        CONFIG, num_layers=layers, directions=directions, **changes
    )
    model = initialise(config, seed=layers)
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
    ids = np.where(mask, rng.integers(1, vocab, mask.shape), 0).astype(np.int32)
    return ids, mask, lengths


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def slow_direction(direction, x_LD):
    """One text, one step at a time, in float64."""
    kernel, bias = direction["input"]["kernel"], direction["input"]["bias"]
    recurrent = np.asarray(direction["recurrent"]["kernel"], np.float64)
    width = len(recurrent)
    h, c, states = np.zeros(width), np.zeros(width), []
    for x in x_LD:
        gates = x @ np.asarray(kernel, np.float64) + np.asarray(bias) + h @ recurrent
        i, f, g, o = gates.reshape(4, width)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states)


def slow(params, ids, *, layers, directions):
    x = np.asarray(params["words"], np.float64)[ids]
    for number in range(layers):
        layer = params[f"layer_{number}"]
        outputs = [slow_direction(layer["from_left"], x)]
        if directions == 2:
            outputs.append(slow_direction(layer["from_right"], x[::-1])[::-1])
        x = np.concatenate(outputs, axis=1)
    return x


@pytest.mark.parametrize(("layers", "directions"), SHAPES)
def test_states_are_those_of_a_slow_loop(layers, directions):
    model = random_model(layers, directions)
    ids, mask, lengths = ragged(2)
    got = np.asarray(
        run(model.graphdef, model.params, TokenRows(ids_BL=ids, mask_BL=mask))
    )
    for row, length in enumerate(lengths):
        expected = slow(
            model.params, ids[row, :length], layers=layers, directions=directions
        )
        np.testing.assert_allclose(got[row, :length], expected, atol=1e-5)


@pytest.mark.parametrize(("layers", "directions"), SHAPES)
def test_states_and_gradients_are_pytorchs(layers, directions):
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    model = random_model(layers, directions)
    words = torch.nn.Embedding(30, 6)
    peer = torch.nn.LSTM(
        6, 5, num_layers=layers, bidirectional=directions == 2, batch_first=True
    )
    sides = {"from_left": "", "from_right": "_reverse"}
    with torch.no_grad():
        words.weight.copy_(torch.tensor(np.asarray(model.params["words"])))
        for number in range(layers):
            for side, weights in model.params[f"layer_{number}"].items():
                at = f"l{number}{sides[side]}"
                for name, value in (
                    (f"weight_ih_{at}", weights["input"]["kernel"].T),
                    (f"weight_hh_{at}", weights["recurrent"]["kernel"].T),
                    (f"bias_ih_{at}", 0.25 * weights["input"]["bias"]),
                    (f"bias_hh_{at}", 0.75 * weights["input"]["bias"]),
                ):
                    getattr(peer, name).copy_(torch.tensor(np.array(value)))
    ids, mask, lengths = ragged(3)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        words(torch.tensor(ids).long()),
        torch.tensor(lengths),
        batch_first=True,
        enforce_sorted=False,
    )
    hidden, _ = torch.nn.utils.rnn.pad_packed_sequence(
        peer(packed)[0], batch_first=True
    )
    rows = TokenRows(ids_BL=ids, mask_BL=mask)
    got = np.asarray(run(model.graphdef, model.params, rows))
    assert np.abs(got - hidden.detach().numpy())[mask].max() <= 1e-5

    weights = np.random.default_rng(4).normal(size=hidden.shape) * mask[..., None]

    @jax.jit
    def loss(params):
        return (apply(model.graphdef, params, rows) * weights).sum()

    gradient = jax.grad(loss)(model.params)
    (hidden * torch.tensor(weights)).sum().backward()
    pairs = [(gradient["words"], words.weight.grad)]
    for number in range(layers):
        for side, ours in gradient[f"layer_{number}"].items():
            at = f"l{number}{sides[side]}"
            pairs += [
                (ours["input"]["kernel"].T, getattr(peer, f"weight_ih_{at}").grad),
                (ours["recurrent"]["kernel"].T, getattr(peer, f"weight_hh_{at}").grad),
                (ours["input"]["bias"], getattr(peer, f"bias_ih_{at}").grad),
            ]
    for ours, theirs in pairs:
        theirs = theirs.numpy()
        assert np.abs(theirs).max() > 1e-3
        assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max() + 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [False, True])
def test_the_gradient_of_the_loop_is_that_of_autodiff(reverse):
    rng = np.random.default_rng(5)
    length, batch, width = 7, 4, 3
    gates = jnp.asarray(rng.normal(size=(length, batch, 4 * width)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(width, 4 * width)), jnp.float32)
    mask, starts = rng.random((2, length, batch)) < np.array([0.7, 0.3])[:, None, None]
    weights = rng.normal(size=(length, batch, width))

    def plain(gates, kernel):
        h = c = jnp.zeros((batch, width))
        states = [h] * length
        for place in range(length)[:: -1 if reverse else 1]:
            begin = starts[place][:, None]
            h, c = jnp.where(begin, 0.0, h), jnp.where(begin, 0.0, c)
            at = gates[place] + jnp.dot(h, kernel, precision="highest")
            i, f, g, o = jnp.split(at, 4, axis=1)
            new_c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            new_h = jax.nn.sigmoid(o) * jnp.tanh(new_c)
            read = mask[place][:, None]
            h, c = jnp.where(read, new_h, h), jnp.where(read, new_c, c)
            states[place] = h
        return jnp.stack(states)

    def ours(gates, kernel):
        return recur(gates, kernel, mask, starts, reverse=reverse, dtype="float32")

    np.testing.assert_allclose(ours(gates, kernel), plain(gates, kernel), atol=1e-6)
    expected, got = (
        jax.grad(lambda g, k, states=states: (states(g, k) * weights).sum(), (0, 1))(
            gates, kernel
        )
        for states in (plain, ours)
    )
    for one, two in zip(got, expected, strict=True):
        assert np.abs(two).max() > 0.1
        np.testing.assert_allclose(one, two, atol=2e-5)


def test_texts_packed_into_a_row_give_what_they_give_alone():
    model = random_model(2, 2)
    rng = np.random.default_rng(0)
    counts = (7, 1, 5)
    texts = [rng.integers(1, 30, count).astype(np.int32) for count in counts]
    # Padding between texts too, once as part of the text before it.
    mask = np.array([1] * 7 + [0] + [1] * 6 + [0] * 2, bool)
    segments = np.array([4] * 8 + [2] + [3] * 5 + [0] * 2, np.int32)
    ids = np.full(16, 29, np.int32)
    ids[mask] = np.concatenate(texts)
    rows = TokenRows(ids_BL=ids[None], mask_BL=mask[None], segments_BL=segments[None])
    got = np.asarray(run(model.graphdef, model.params, rows))[0][mask]
    start = 0
    for text in texts:
        alone = TokenRows(ids_BL=text[None], mask_BL=np.ones((1, len(text)), bool))
        expected = np.asarray(run(model.graphdef, model.params, alone))[0]
        np.testing.assert_allclose(got[start : start + len(text)], expected, atol=1e-6)
        start += len(text)


def test_more_padding_changes_nothing():
    model = random_model(2, 2)
    ids, mask, _ = ragged(6)
    expected = np.asarray(
        run(model.graphdef, model.params, TokenRows(ids_BL=ids, mask_BL=mask))
    )
    rows = TokenRows(
        ids_BL=np.pad(ids, ((0, 2), (0, 6)), constant_values=9),
        mask_BL=np.pad(mask, ((0, 2), (0, 6))),
    )
    got = np.asarray(run(model.graphdef, model.params, rows))
    np.testing.assert_allclose(got[:5, :9][mask], expected[mask], atol=1e-6)
    assert np.isfinite(got).all()


@pytest.mark.slow
def test_rematerialised_layers_give_the_same_and_bfloat16_nearly():
    model = random_model(2, 2)
    ids, mask, _ = ragged(7)
    rows = TokenRows(ids_BL=ids, mask_BL=mask)

    def value_and_gradient(graphdef):
        def loss(params):
            return (apply(graphdef, params, rows) ** 3 * mask[:, :, None]).sum()

        return jax.jit(jax.value_and_grad(loss))(model.params)

    config = model.config
    expected = value_and_gradient(model.graphdef)
    got = value_and_gradient(declare(config, remat="layers").graphdef)
    rough = value_and_gradient(declare(config, dtype="bfloat16").graphdef)
    for one, two, near in zip(
        *map(jax.tree.leaves, (got, expected, rough)), strict=True
    ):
        np.testing.assert_allclose(one, two, atol=1e-5)
        assert near.dtype == np.float32
        assert 0 < np.abs(near - two).max() <= 0.1 * np.abs(two).max()


def test_adapters_work_on_the_recurrent_kernel_too():
    model = random_model(1, 2)
    adapters = Adapters(rank=2, targets=("input", "recurrent"))
    adapted = with_adapters(model, adapters, seed=0)
    rng = np.random.default_rng(8)
    adapted = adapted._replace(
        params=jax.tree.map(
            lambda leaf: leaf + jnp.asarray(rng.normal(size=leaf.shape), jnp.float32),
            adapted.params,
        )
    )
    ids, mask, _ = ragged(9)
    rows = TokenRows(ids_BL=ids, mask_BL=mask)
    got = run(adapted.graphdef, adapted.params, rows)
    merged = merge_adapters(adapted.params, scale=adapters.scale)
    expected = run(model.graphdef, merged, rows)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    plain = run(model.graphdef, model.params, rows)
    assert np.abs(got - plain).max() > 0.1


def test_first_weights_let_gradients_through_forty_tokens():
    """The forget gate starts open: at half, nothing of the first word would be left."""
    config = dataclasses.replace(
        CONFIG, dim=32, hidden_size=32, num_layers=1, directions=1
    )
    model = initialise(config, seed=0)
    direction = model.params["layer_0"]["from_left"]
    bias = np.asarray(direction["input"]["bias"]).reshape(4, 32)
    np.testing.assert_array_equal(bias, np.repeat([[0], [1], [0], [0]], 32, axis=1))
    assert np.abs(direction["recurrent"]["kernel"]).max() <= 32**-0.5
    length = 40
    ids = np.arange(length, dtype=np.int32)[None] % 30
    ids[0, 1:] = np.maximum(ids[0, 1:], 1)  # Word 0 stands first and nowhere else.
    rows = TokenRows(ids_BL=ids, mask_BL=np.ones((1, length), bool))

    def of_first(params):
        loss = lambda p: apply(model.graphdef, p, rows)[0, -1].sum()  # noqa: E731
        return np.abs(jax.grad(loss)(params)["words"][0]).max()

    closed = jax.tree.map(lambda leaf: leaf, model.params)
    closed["layer_0"]["from_left"]["input"]["bias"] = jnp.zeros(4 * 32)
    assert of_first(model.params) > 30 * of_first(closed)
