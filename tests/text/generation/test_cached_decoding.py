"""Decoding with a cache is decoding without one, in both layouts of the weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.text.encoders.decoder import logits
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.generation.model import Prompt
from llmgnn_jax.text.generation.panel_layout import laid_out
from llmgnn_jax.text.native import library
from tests.text.generation.decoders import SHAPES, TINY, greedy, noisy

LENGTHS = (9, 1, 5)
NEW = 12


def prompt_of(seed: int, *, soft: int = 0, lengths=LENGTHS, width: int = 12) -> Prompt:
    random = np.random.default_rng(seed)
    prefix = random.normal(size=(len(lengths), soft, TINY.hidden_size))
    return Prompt(
        ids_BL=random.integers(1, 70, (len(lengths), width)).astype(np.int32),
        lengths_B=np.array(lengths, np.int32),
        prefix_BPD=prefix.astype(np.float32) if soft else None,
    )


@pytest.mark.parametrize("soft", [0, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_tokens_are_those_without_a_cache(lay_out, shape: str, soft: int) -> None:
    model, params = lay_out(noisy(dataclasses.replace(TINY, **SHAPES[shape])))
    prompt = prompt_of(1, soft=soft)
    found = greedy(model, params, prompt, NEW)
    every = jax.jit(model.all_logits)
    ids = np.pad(prompt.ids_BL, ((0, 0), (0, NEW)))
    lengths = np.array(prompt.lengths_B)
    for step in range(NEW):
        scores = np.asarray(every(params, Prompt(ids, lengths, prompt.prefix_BPD)))
        last = scores[np.arange(len(ids)), lengths - 1]
        chosen = last.argmax(axis=-1)
        assert found.ids_BN[:, step].tolist() == chosen.tolist(), step
        shifted = last - last.max(axis=-1, keepdims=True)
        likely = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        np.testing.assert_allclose(
            found.log_probabilities_BN[:, step],
            likely[np.arange(len(ids)), chosen],
            atol=2e-4,
        )
        ids[np.arange(len(ids)), lengths] = chosen
        lengths = lengths + 1
    assert found.lengths_B.tolist() == [NEW] * len(ids)


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_are_those_of_the_encoder(lay_out, shape: str) -> None:
    encoder = noisy(dataclasses.replace(TINY, **SHAPES[shape]))
    model, params = lay_out(encoder)
    prompt = prompt_of(2)
    mask = np.arange(12)[None] < np.array(LENGTHS)[:, None]
    rows = TokenRows(ids_BL=prompt.ids_BL, mask_BL=mask)
    wanted = np.asarray(
        jax.jit(logits, static_argnums=0)(encoder.graphdef, encoder.params, rows)
    )
    got = np.asarray(jax.jit(model.all_logits)(params, prompt))
    assert np.abs(got - wanted)[mask].max() <= 2e-5 * np.abs(wanted[mask]).max()
    first, state = jax.jit(model.prefill, static_argnames="capacity")(
        params, prompt, capacity=4
    )
    last = wanted[np.arange(3), np.array(LENGTHS) - 1]
    np.testing.assert_allclose(first, last, atol=2e-5 * np.abs(wanted).max())
    assert jax.tree.structure(state) == jax.tree.structure(
        jax.eval_shape(model.step, params, state, jnp.zeros(3, jnp.int32))[1]
    )


def test_rows_beside_it_and_more_padding_change_no_row(lay_out) -> None:
    model, params = lay_out(noisy(TINY))
    prompt = prompt_of(3)
    together = greedy(model, params, prompt, NEW).ids_BN
    for row, length in enumerate(LENGTHS):
        alone = Prompt(
            np.pad(prompt.ids_BL[row : row + 1, :length], ((0, 0), (0, 7))),
            prompt.lengths_B[row : row + 1],
        )
        assert (
            greedy(model, params, alone, NEW).ids_BN[0].tolist()
            == together[row].tolist()
        )


def test_many_rows_are_decoded_as_each(lay_out) -> None:
    # More than the registers take at once, and a number that is no multiple of theirs.
    model, params = lay_out(noisy(TINY))
    random = np.random.default_rng(0)
    lengths = tuple(random.integers(1, 12, 31).tolist())
    prompt = prompt_of(4, lengths=lengths)
    together = greedy(model, params, prompt, 6).ids_BN
    for row in (0, 13, 14, 30):
        alone = Prompt(
            prompt.ids_BL[row : row + 1], prompt.lengths_B[row : row + 1], None
        )
        found = greedy(model, params, alone, 6).ids_BN[0]
        assert found.tolist() == together[row].tolist()


def test_gradients_of_soft_tokens(lay_out) -> None:
    encoder = noisy(TINY)
    model, params = lay_out(encoder)
    prompt = prompt_of(5, soft=2)
    weights = np.random.default_rng(6).normal(size=(3, 12, 70)).astype(np.float32)
    weights *= (np.arange(12)[None] < np.array(LENGTHS)[:, None])[..., None]

    def loss(prefix):
        scores = model.all_logits(params, prompt._replace(prefix_BPD=prefix))
        return (jax.nn.log_softmax(scores) * weights).sum()

    gradient = np.asarray(jax.jit(jax.grad(loss))(prompt.prefix_BPD))
    assert np.isfinite(gradient).all()
    run = jax.jit(loss)
    for place in ((0, 0, 3), (1, 1, 17), (2, 0, 39)):
        step = np.zeros_like(prompt.prefix_BPD)
        step[place] = 1e-2
        change = run(prompt.prefix_BPD + step) - run(prompt.prefix_BPD - step)
        size = np.abs(gradient).max()
        assert abs(change / 2e-2 - gradient[place]) <= 2e-2 * size, place


def test_gradients_of_weights_in_panels(lay_out) -> None:
    encoder = noisy(TINY)
    model, params = lay_out(encoder)
    prompt = prompt_of(7)

    def loss(params):
        scores = jax.nn.log_softmax(model.all_logits(params, prompt))
        return (scores[0, :9, :] ** 2).sum()

    value, gradient = jax.jit(jax.value_and_grad(loss))(params)
    step = jax.tree.map(
        lambda leaf: 1e-4 * leaf / jnp.abs(leaf).max(initial=1e-9), gradient
    )
    ahead = jax.jit(loss)(jax.tree.map(jnp.add, params, step))
    behind = jax.jit(loss)(jax.tree.map(jnp.subtract, params, step))
    wanted = sum(
        jnp.vdot(one, two)
        for one, two in zip(
            jax.tree.leaves(gradient), jax.tree.leaves(step), strict=True
        )
    )
    assert np.isfinite(value)
    np.testing.assert_allclose((ahead - behind) / 2, wanted, rtol=0.05)


def test_bfloat16_rounds_matrices_alone() -> None:
    if reason := library.unavailable_because():
        pytest.skip(f"native kernels: {reason}")
    encoder = noisy(TINY)
    model, params = laid_out(encoder, dtype="bfloat16")

    def rounded(path, leaf):
        name = path[-1].key
        if name in ("kernel", "words"):
            return leaf.astype(jnp.bfloat16).astype(jnp.float32)
        return leaf

    coarse = jax.tree_util.tree_map_with_path(rounded, encoder.params)
    plain, plain_params = laid_out(encoder._replace(params=coarse), dtype="float32")
    prompt = prompt_of(8)
    wanted = np.asarray(
        jax.jit(plain.prefill, static_argnames="capacity")(
            plain_params, prompt, capacity=1
        )[0]
    )
    got, state = jax.jit(model.prefill, static_argnames="capacity")(
        params, prompt, capacity=1
    )
    np.testing.assert_allclose(got, wanted, atol=0.01 * np.abs(wanted).max())
    after = jax.jit(model.step)(params, state, np.array([1, 2, 3], np.int32))[0]
    longer = np.pad(prompt.ids_BL, ((0, 0), (0, 1)))
    longer[np.arange(3), prompt.lengths_B] = [1, 2, 3]
    again = jax.jit(plain.prefill, static_argnames="capacity")(
        plain_params, Prompt(longer, prompt.lengths_B + 1), capacity=1
    )[0]
    np.testing.assert_allclose(after, again, atol=0.01 * np.abs(again).max())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            lambda state: state._replace(keys_nBGKM=state.keys_nBGKM[0]),
            "keys: expected",
        ),
        (
            lambda state: state._replace(values_nBGMK=state.keys_nBGKM),
            "cache: expected",
        ),
        (lambda state: state._replace(lengths_B=state.lengths_B[:2]), "rows: expected"),
        (
            lambda state: state._replace(lengths_B=state.lengths_B + 99),
            "cache: expected",
        ),
        (lambda state: jax.tree.map(lambda x: x[:1], state), "layers: expected"),
    ],
    ids=["rank", "axes", "rows", "places", "layers"],
)
def test_a_cache_that_does_not_fit_is_an_error_of_the_call(changed, message) -> None:
    if reason := library.unavailable_because():
        pytest.skip(f"native kernels: {reason}")
    model, params = laid_out(noisy(TINY), dtype="float32")
    _, state = model.prefill(params, prompt_of(9), capacity=4)
    with pytest.raises(jax.errors.JaxRuntimeError, match=message):
        jax.block_until_ready(
            model.step(params, changed(state), np.array([1, 2, 3], np.int32))
        )
