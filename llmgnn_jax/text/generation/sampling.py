"""How the next token is chosen from its logits.

Temperature, then the k likeliest, then the nucleus (Holtzman et al. 2020,
https://arxiv.org/abs/1904.09751), in the order of Hugging Face's `generate`.

Shapes: B rows, V vocabulary.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from llmgnn_jax.errors import UserError
from llmgnn_jax.native.calls import call_kernel
from llmgnn_jax.text import kernels
from llmgnn_jax.text.kernel_calls import float32
from llmgnn_jax.text.native import library

# Logits that are divided by less would be no numbers.
_COLDEST = 1e-6
# No logit: the token is out of the question.
_NEVER = -jnp.inf


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How tokens are drawn.

    Attributes:
        temperature: What logits are divided by; 0 takes the likeliest token always,
            and the other options change nothing.
        top_k: Draws among so many of the likeliest tokens; 0: among all.
        top_p: Draws among the likeliest tokens that together have this probability.

    Raises:
        UserError: If one is out of range.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        drawn = _COLDEST <= self.temperature < math.inf
        if not (self.temperature == 0 or drawn):
            raise UserError.field(
                "temperature",
                expected=f"0, or a number from {_COLDEST:g} on",
                got=self.temperature,
            )
        if type(self.top_k) is not int or self.top_k < 0:
            raise UserError.field(
                "top_k", expected="a number of tokens, or 0 for all", got=self.top_k
            )
        if not 0 < self.top_p <= 1:
            raise UserError.field(
                "top_p", expected="a probability above 0", got=self.top_p
            )


def choose(
    logits_BV: jax.Array, *, options: SamplingOptions, keys_B: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The next token of each row.

    Args:
        logits_BV: float32.
        options: How it is drawn.
        keys_B: Random keys, one a row; not read where the temperature is 0.

    Returns:
        (B,) int32 ids, and (B,) float32 log-probabilities of them by the model itself,
        whatever the options are.
    """
    if kernels.usable():
        likeliest_B, totals_B = _likeliest(logits_BV)
    else:
        likeliest_B = jnp.argmax(logits_BV, axis=-1).astype(jnp.int32)
        totals_B = jax.nn.logsumexp(logits_BV, axis=-1)
    ids_B = likeliest_B
    if options.temperature > 0:
        drawn_B = jax.vmap(jax.random.categorical)(keys_B, narrowed(logits_BV, options))
        ids_B = drawn_B.astype(jnp.int32)
    chosen_B = jnp.take_along_axis(logits_BV, ids_B[:, None], axis=-1)[:, 0]
    return ids_B, chosen_B - totals_B


def _likeliest(logits_BV: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The first of the likeliest tokens, and log sum exp: XLA takes longer on a CPU."""
    library.require()
    rows = logits_BV.shape[:1]
    ids_B, totals_B = call_kernel(
        "llmgnn_likeliest",
        (jax.ShapeDtypeStruct(rows, jnp.int32), float32(rows)),
        logits_BV.astype(jnp.float32),
    )
    return ids_B, totals_B


def narrowed(logits_BV: jax.Array, options: SamplingOptions) -> jax.Array:
    """Logits of the distribution that is drawn from; -inf for what is left out.

    Tokens that are as likely as the last one that is kept are kept too.

    Args:
        logits_BV: float32.
        options: With a temperature above 0.
    """
    logits_BV = logits_BV / options.temperature
    if 0 < options.top_k < logits_BV.shape[-1]:
        least_B1 = jax.lax.top_k(logits_BV, options.top_k)[0][:, -1:]
        logits_BV = jnp.where(logits_BV >= least_B1, logits_BV, _NEVER)
    if options.top_p < 1:
        probabilities_BV = jax.nn.softmax(logits_BV, axis=-1)
        least_B1 = _nucleus(probabilities_BV, options.top_p)[:, None]
        logits_BV = jnp.where(probabilities_BV >= least_B1, logits_BV, _NEVER)
    return logits_BV


def _nucleus(probabilities_BV: jax.Array, top_p: float) -> jax.Array:
    """The largest p for which tokens of probability p or more have `top_p` together.

    By bisection over the bits of p, which are in the order of the numbers: it is exact
    as a sort is, and on every device some tens of times as fast for a vocabulary.
    """
    bits_BV = jax.lax.bitcast_convert_type(probabilities_BV, jnp.int32)

    def halve(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
        enough_B, too_high_B = bounds
        middle_B = enough_B + (too_high_B - enough_B) // 2
        kept_BV = jnp.where(bits_BV >= middle_B[:, None], probabilities_BV, 0.0)
        reaches_B = kept_BV.sum(axis=-1) >= top_p
        return (
            jnp.where(reaches_B, middle_B, enough_B),
            jnp.where(reaches_B, too_high_B, middle_B),
        )

    # Of probabilities above 1 there are none.
    one = jnp.float32(1.0).view(jnp.int32) + 1
    rows = probabilities_BV.shape[:1]
    bounds = (jnp.zeros(rows, jnp.int32), jnp.full(rows, one, jnp.int32))
    enough_B, _ = jax.lax.fori_loop(0, 31, halve, bounds)
    return jax.lax.bitcast_convert_type(enough_B, jnp.float32)
