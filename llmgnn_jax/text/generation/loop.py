"""The compiled loop that generates: prompts to tokens.

    decoded = decode(model, params, prompt, options=SamplingOptions(),
                     max_new_tokens=64, stop_ids=(2,), key=jax.random.key(0))

It serves every `GenerativeModel`. Each draw is keyed by (key, number of the row, number
of the token), so it does not depend on which rows are together, nor on whether tokens
are asked for at once or a few at a time.

Shapes: B rows, N new tokens at most, V vocabulary.
"""

import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.text.generation.model import GenerativeModel, Prompt, State
from llmgnn_jax.text.generation.sampling import SamplingOptions, choose


class Decoded(NamedTuple):
    """What was generated.

    Attributes:
        ids_BN: int32 token ids; 0 where a row has ended.
        lengths_B: int32 tokens before the stop; N where there was none.
        log_probabilities_BN: float32, of each token by the model itself; 0 where a row
            has ended.
    """

    ids_BN: jax.Array
    lengths_B: jax.Array
    log_probabilities_BN: jax.Array


class Progress(NamedTuple):
    """How far it has come.

    Attributes:
        state: The model's, before the last token of `ids_BN`.
        last_B: int32, the token of each row that it is to read next.
        decoded: So far.
        done_B: bool, whether a row has come to a stop.
        num_tokens: int32, tokens so far, the stop among them.
    """

    state: State
    last_B: jax.Array
    decoded: Decoded
    done_B: jax.Array
    num_tokens: jax.Array


_FIRST_PART = 16
"""Tokens before the loop is left for the first time."""

_PART_S = 1.0
"""What a part should take. Each costs a copy of what is kept of the tokens."""

_MOST_CHANGE = 4
"""A part has so many times the tokens of the one before at most, or so few."""

_STATIC = ("model", "options", "max_new_tokens", "stop_ids")


def decode(
    model: GenerativeModel,
    params: Any,
    prompt: Prompt,
    *,
    options: SamplingOptions,
    max_new_tokens: int,
    stop_ids: tuple[int, ...],
    key: jax.Array,
    rows_B: jax.Array | None = None,
) -> Decoded:
    """Generates until all rows have come to a stop, or to their full length.

    The loop is left about every second: whoever waits for a compiled program hears no
    Ctrl-C. The tokens are the same, wherever it is left.

    Args:
        model: The decoder.
        params: Its parameters.
        prompt: What it goes on from.
        options: How tokens are drawn.
        max_new_tokens: N, at least 1.
        stop_ids: Tokens that end a row; they are no part of it.
        key: Of the draws.
        rows_B: int32 numbers of the rows, for the draws; a negative one is a row of
            padding, which nobody waits for. None: from 0.
    """
    settings: dict[str, Any] = {
        "options": options,
        "max_new_tokens": max_new_tokens,
        "stop_ids": stop_ids,
        "key": key,
        "rows_B": rows_B,
    }
    progress = begin(model, params, prompt, **settings)
    count, part = 1, _FIRST_PART
    while count < max_new_tokens and not np.asarray(progress.done_B).all():
        started = time.perf_counter()
        count += part
        progress = advance(model, params, progress, until=count, **settings)
        progress.done_B.block_until_ready()
        took = time.perf_counter() - started
        change = min(max(_PART_S / took, 1 / _MOST_CHANGE), _MOST_CHANGE)
        part = max(int(part * change), 1)
    return progress.decoded


@functools.partial(jax.jit, static_argnames=_STATIC)
def begin(
    model: GenerativeModel,
    params: Any,
    prompt: Prompt,
    *,
    options: SamplingOptions,
    max_new_tokens: int,
    stop_ids: tuple[int, ...],
    key: jax.Array,
    rows_B: jax.Array | None = None,
) -> Progress:
    """The first token of each row; arguments as those of `decode`."""
    batch = prompt.ids_BL.shape[0]
    logits_BV, state = model.prefill(params, prompt, capacity=max_new_tokens)
    shape = (batch, max_new_tokens)
    start = Progress(
        state=state,
        last_B=jnp.zeros(batch, jnp.int32),
        decoded=Decoded(
            ids_BN=jnp.zeros(shape, jnp.int32),
            lengths_B=jnp.zeros(batch, jnp.int32),
            log_probabilities_BN=jnp.zeros(shape, jnp.float32),
        ),
        done_B=jnp.zeros(batch, bool) if rows_B is None else rows_B < 0,
        num_tokens=jnp.int32(0),
    )
    return _with_next(
        start, logits_BV, options=options, stop_ids=stop_ids, key=key, rows_B=rows_B
    )


@functools.partial(jax.jit, static_argnames=_STATIC, donate_argnames="progress")
def advance(
    model: GenerativeModel,
    params: Any,
    progress: Progress,
    *,
    until: jax.Array | int,
    options: SamplingOptions,
    max_new_tokens: int,
    stop_ids: tuple[int, ...],
    key: jax.Array,
    rows_B: jax.Array | None = None,
) -> Progress:
    """Further tokens, until there are so many or all rows have come to a stop.

    Args:
        model: As it was begun with, as are all that are not named here.
        params: Likewise.
        progress: So far; its arrays are used up.
        until: Tokens that each row shall have, at most `max_new_tokens`.
        options: As those of `decode`, as are the rest.
        max_new_tokens: Likewise.
        stop_ids: Likewise.
        key: Likewise.
        rows_B: Likewise.
    """
    end = jnp.minimum(jnp.int32(until), max_new_tokens)

    def goes_on(progress: Progress) -> jax.Array:
        return (progress.num_tokens < end) & ~progress.done_B.all()

    def one_more(progress: Progress) -> Progress:
        logits_BV, state = model.step(params, progress.state, progress.last_B)
        return _with_next(
            progress._replace(state=state),
            logits_BV,
            options=options,
            stop_ids=stop_ids,
            key=key,
            rows_B=rows_B,
        )

    return jax.lax.while_loop(goes_on, one_more, progress)


def _with_next(
    progress: Progress,
    logits_BV: jax.Array,
    *,
    options: SamplingOptions,
    stop_ids: tuple[int, ...],
    key: jax.Array,
    rows_B: jax.Array | None,
) -> Progress:
    """Draws the next token of each row and writes it down."""
    batch, decoded, count = logits_BV.shape[0], progress.decoded, progress.num_tokens
    numbers_B = jnp.arange(batch) if rows_B is None else rows_B
    keys_B = jax.vmap(
        lambda row: jax.random.fold_in(jax.random.fold_in(key, row), count)
    )(numbers_B)
    ids_B, log_probabilities_B = choose(logits_BV, options=options, keys_B=keys_B)
    stops_B = jnp.isin(ids_B, jnp.array(stop_ids, jnp.int32)) if stop_ids else False
    done_B = progress.done_B | stops_B
    kept_B = jnp.where(done_B, 0, ids_B)[:, None]
    gained_B = jnp.where(done_B, 0.0, log_probabilities_B)[:, None]
    place = (jnp.int32(0), count)
    return Progress(
        state=progress.state,
        last_B=ids_B,
        decoded=Decoded(
            ids_BN=jax.lax.dynamic_update_slice(decoded.ids_BN, kept_B, place),
            lengths_B=decoded.lengths_B + ~done_B,
            log_probabilities_BN=jax.lax.dynamic_update_slice(
                decoded.log_probabilities_BN, gained_B, place
            ),
        ),
        done_B=done_B,
        num_tokens=count + 1,
    )
