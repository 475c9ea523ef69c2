"""From what a run knows of a user and an item to soft tokens of a language model.

    soft = scale * (gelu(v A + a) C + c)        v the vectors of user and item

In the manner of XRec (Ma, Ren and Huang 2024, "XRec: Large language models for
explainable recommendation"), where an adapter between a graph's vectors and a frozen
language model is all that is trained. c starts at vectors of words, which is where soft
tokens learn best (Lester et al. 2021, "The power of scale for parameter-efficient
prompt tuning"); C starts small, so that at first all pairs are told nearly the same.

A small decoder, which is trained too, is told by one soft token: its h_encode.

Shapes: B pairs, C width of what is told of a pair, H hidden width, P soft tokens, D
width of the language model.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.text.encoders.layers import product

Params: TypeAlias = dict[str, Any]
"""Nested dict with names as keys and arrays as leaves."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A perceptron; its parameters come apart.

    Attributes:
        inputs: C.
        hidden: H.
        tokens: P.
        dim: D.
        scale: Of soft tokens; of like size as the vectors of words.
    """

    inputs: int
    hidden: int
    tokens: int
    dim: int
    scale: float = 1.0

    def initial(self, *, seed: int, start_PD: np.ndarray | None = None) -> Params:
        """Parameters to train from, drawn on the host.

        Args:
            seed: Of the draws.
            start_PD: Where soft tokens start; 0 if None.
        """
        rng = np.random.default_rng(seed)
        outputs = self.tokens * self.dim
        start = np.zeros(outputs) if start_PD is None else start_PD.reshape(-1)
        inner = rng.standard_normal((self.inputs, self.hidden)) * self.inputs**-0.5
        outer = rng.standard_normal((self.hidden, outputs)) * self.hidden**-0.5
        return {
            "inner": {
                "kernel": jnp.asarray(inner, jnp.float32),
                "bias": jnp.zeros(self.hidden),
            },
            "outer": {
                "kernel": jnp.asarray(0.1 * outer, jnp.float32),
                "bias": jnp.asarray(start / self.scale, jnp.float32),
            },
        }

    def __call__(self, params: Params, vectors_BC: jax.Array) -> jax.Array:
        """(B, P, D) soft tokens."""
        inner, outer = params["inner"], params["outer"]
        hidden_BH = product("bc,ch->bh", vectors_BC, inner["kernel"], dtype="float32")
        hidden_BH = jax.nn.gelu(hidden_BH + inner["bias"][None])
        soft_BO = product("bh,ho->bo", hidden_BH, outer["kernel"], dtype="float32")
        soft_BO = self.scale * (soft_BO + outer["bias"][None])
        return soft_BO.reshape(-1, self.tokens, self.dim)
