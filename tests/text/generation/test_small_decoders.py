"""The small decoders: what they keep while they generate is what they would read."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.generation.loop import decode
from llmgnn_jax.text.generation.model import Prompt
from llmgnn_jax.text.generation.sampling import SamplingOptions
from llmgnn_jax.text.generation.small.config import SMALL_KINDS, SmallConfig
from llmgnn_jax.text.generation.small.decoder import Params, SmallDecoder

VOCABULARY, DIM, LENGTH = 23, 12, 9


def made(kind: str) -> tuple[SmallDecoder, Params]:
    config = SmallConfig(
        kind=kind,  # type: ignore[arg-type]
        vocab_size=VOCABULARY,
        dim=DIM,
        num_layers=2,
        filter_width=3,
        num_heads=3,
        max_tokens=32,
    )
    decoder = SmallDecoder(config=config)
    # Biases and scales too are at values that would be missed.
    params = decoder.initial(seed=3)
    rng = np.random.default_rng(4)
    return decoder, jax.tree.map(
        lambda leaf: leaf + 0.1 * rng.standard_normal(leaf.shape).astype(np.float32),
        params,
    )


def prompts(*, prefix: bool) -> Prompt:
    rng = np.random.default_rng(1)
    soft = rng.standard_normal((3, 2, DIM)).astype(np.float32)
    return Prompt(
        ids_BL=jnp.asarray(rng.integers(0, VOCABULARY, (3, LENGTH)), jnp.int32),
        lengths_B=jnp.asarray([1, 5, LENGTH], jnp.int32),
        prefix_BPD=jnp.asarray(soft) if prefix else None,
    )


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("kind", SMALL_KINDS)
def test_cached_is_uncached(kind: str, prefix: bool) -> None:
    decoder, params = made(kind)
    prompt = prompts(prefix=prefix)
    new_BN = jnp.asarray(
        np.random.default_rng(2).integers(0, VOCABULARY, (3, 6)), jnp.int32
    )
    logits_BV, state = jax.jit(decoder.prefill, static_argnames="capacity")(
        params, prompt, capacity=6
    )
    step = jax.jit(decoder.step)
    found = [logits_BV]
    shapes = jax.tree.map(jnp.shape, state)
    for place in range(6):
        logits_BV, state = step(params, state, new_BN[:, place])
        assert jax.tree.map(jnp.shape, state) == shapes
        found.append(logits_BV)
    for row, length in enumerate(prompt.lengths_B.tolist()):
        whole = jnp.concatenate([prompt.ids_BL[row, :length], new_BN[row]])[None]
        soft = prompt.prefix_BPD
        alone = Prompt(
            whole,
            jnp.asarray([length + 6], jnp.int32),
            None if soft is None else soft[row : row + 1],
        )
        wanted = decoder.all_logits(params, alone)[0, length - 1 :]
        got = jnp.stack([logits_BV[row] for logits_BV in found])
        np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-5)
    assert step._cache_size() == 1


@pytest.mark.parametrize("kind", SMALL_KINDS)
def test_later_tokens_and_padding_change_nothing(kind: str) -> None:
    decoder, params = made(kind)
    prompt = prompts(prefix=True)
    before = decoder.all_logits(params, prompt)
    other = prompt.ids_BL.at[1, 5:].set(7)
    after = decoder.all_logits(params, prompt._replace(ids_BL=other))
    np.testing.assert_allclose(after[1, :5], before[1, :5], rtol=0, atol=1e-6)
    changed = decoder.all_logits(
        params, prompt._replace(ids_BL=prompt.ids_BL.at[2, 4].add(1) % VOCABULARY)
    )
    np.testing.assert_allclose(changed[2, :4], before[2, :4], rtol=0, atol=1e-6)
    assert np.abs(changed[2, 4:] - before[2, 4:]).max(axis=-1).min() > 1e-3


@pytest.mark.parametrize("kind", SMALL_KINDS)
def test_what_it_is_told_reaches_every_token(kind: str) -> None:
    decoder, params = made(kind)
    prompt = prompts(prefix=True)

    def last(soft_BPD: jax.Array) -> jax.Array:
        logits_BLV = decoder.all_logits(params, prompt._replace(prefix_BPD=soft_BPD))
        return logits_BLV[2, -1, 0]

    assert prompt.prefix_BPD is not None
    gradient = jax.grad(last)(prompt.prefix_BPD)
    assert np.abs(gradient[2]).min() > 0
    assert np.abs(gradient[:2]).max() == 0


@pytest.mark.parametrize("kind", SMALL_KINDS)
def test_greedy_takes_the_likeliest(kind: str) -> None:
    decoder, params = made(kind)
    prompt = prompts(prefix=True)
    decoded = decode(
        decoder,
        params,
        prompt,
        options=SamplingOptions(),
        max_new_tokens=5,
        stop_ids=(),
        key=jax.random.key(0),
    )
    assert prompt.prefix_BPD is not None
    for row, length in enumerate(prompt.lengths_B.tolist()):
        ids = prompt.ids_BL[row, :length].tolist()
        for place in range(5):
            alone = Prompt(
                jnp.asarray([ids], jnp.int32),
                jnp.asarray([len(ids)], jnp.int32),
                prompt.prefix_BPD[row : row + 1],
            )
            likeliest = int(decoder.all_logits(params, alone)[0, -1].argmax())
            assert int(decoded.ids_BN[row, place]) == likeliest
            ids.append(likeliest)


def test_decoders_are_static_arguments() -> None:
    one, _ = made("cnn")
    other, _ = made("cnn")
    assert one == other
    assert hash(one) == hash(other)
    assert one != SmallDecoder(config=dataclasses.replace(one.config, dim=24))


@pytest.mark.parametrize(
    ("field", "value"), [("kind", "rnn"), ("dim", 0), ("num_heads", 5), ("dim", 2.0)]
)
def test_bad_shapes(field: str, value: object) -> None:
    shape = {"kind": "lstm", "vocab_size": 5, field: value}
    with pytest.raises(UserError, match=field):
        SmallConfig(**shape)  # type: ignore[arg-type]
