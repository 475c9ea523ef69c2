"""`SmallDecoder`: a language model of our own size, told what to speak of.

    x_t      = sqrt(D) W[token_t] + h_encode
    h_decode = norm(f(x_1, ..., x_t))
    y        = W h_decode + b                       scores of the next token

f is an LSTM, convolutions or a Transformer; W is the table of words, which reads and
says (Press and Wolf 2017, "Using the output embedding to improve language models").
h_encode, what an encoder or the fused model knows, comes as soft tokens of the prompt:
their mean is added at every place, so that it is not forgotten however long the text
is. Without soft tokens it is 0.

Every text begins with the token that ends it.

Shapes: B rows, L tokens, P soft tokens, D width, V vocabulary.
"""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from llmgnn_jax.text.encoders.layers import LayerNorm, product
from llmgnn_jax.text.generation.model import Prompt
from llmgnn_jax.text.generation.small.cnn import CNNCore
from llmgnn_jax.text.generation.small.config import SmallConfig
from llmgnn_jax.text.generation.small.lstm import LSTMCore
from llmgnn_jax.text.generation.small.transformer import TransformerCore

Params: TypeAlias = dict[str, Any]
"""Nested dict with names as keys and arrays as leaves."""


class Core(Protocol):
    """f: from the inputs at all places to a vector of each."""

    def __call__(self, x_BLD: jax.Array, mask_BL: jax.Array) -> jax.Array:
        """(B, L, D) vectors; that of a place knows the places up to it alone."""
        ...

    def carry(
        self, x_BLD: jax.Array, lengths_B: jax.Array, *, capacity: int
    ) -> tuple[jax.Array, Any]:
        """(B, D) at each row's last token, and what `step` goes on from."""
        ...

    def step(self, carry: Any, x_BD: jax.Array) -> tuple[jax.Array, Any]:
        """(B, D) at one more token, and what the next step goes on from."""
        ...


_CORES: dict[str, type[LSTMCore] | type[CNNCore] | type[TransformerCore]] = {
    "lstm": LSTMCore,
    "cnn": CNNCore,
    "transformer": TransformerCore,
}


class SmallState(NamedTuple):
    """What a step goes on from.

    Attributes:
        carry: Of f: an LSTM's state, the last inputs of filters, or keys and values.
        told_BD: h_encode.
    """

    carry: Any
    told_BD: jax.Array


class _Module(nnx.Module):
    """The parameters, and what they make of tokens."""

    def __init__(self, config: SmallConfig) -> None:
        self.dim = config.dim
        self.words = nnx.Param(jnp.zeros((config.vocab_size, config.dim)))
        self.bias = nnx.Param(jnp.zeros(config.vocab_size))
        self.core: Core = _CORES[config.kind](config)
        self.norm = LayerNorm(config.dim, epsilon=1e-5)

    def told(self, prompt: Prompt) -> jax.Array:
        """(B, D) h_encode."""
        assert prompt.after is None, "small decoders read rows whole"
        if prompt.prefix_BPD is None:
            return jnp.zeros((len(prompt.ids_BL), self.dim))
        return prompt.prefix_BPD.mean(axis=1)

    def inputs(self, ids_BL: jax.Array, told_BD: jax.Array) -> jax.Array:
        """(B, L, D) what f reads."""
        return self.dim**0.5 * self.words[...][ids_BL] + told_BD[:, None]

    def scores(self, hidden_BLD: jax.Array) -> jax.Array:
        """(B, L, V) of the next token."""
        scores_BLV = product(
            "bld,vd->blv", self.norm(hidden_BLD), self.words[...], dtype="float32"
        )
        return scores_BLV + self.bias[...][None, None, :]


@dataclass(frozen=True, kw_only=True)
class SmallDecoder:
    """A `GenerativeModel`; its parameters come apart.

    Attributes:
        config: The shape.
    """

    config: SmallConfig

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.config.vocab_size

    @property
    def max_tokens(self) -> int:
        """Longest text, what is given and what is said together."""
        return self.config.max_tokens

    def initial(self, *, seed: int) -> Params:
        """Parameters to train from, drawn on the host."""
        rng = np.random.default_rng(seed)
        core = _CORES[self.config.kind]
        dim = self.config.dim

        def value(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
            names = tuple(one.key for one in path)
            if names == ("words",):
                # Inputs of variance 1, scores of variance 1.
                drawn = rng.standard_normal(leaf.shape, np.float32) * dim**-0.5
            elif names == ("bias",):
                drawn = np.zeros(leaf.shape, np.float32)
            elif names[0] == "norm":
                drawn = np.full(leaf.shape, float(names[1] == "scale"), np.float32)
            else:
                drawn = core.initial(names, leaf.shape, rng)
            return jnp.asarray(drawn)

        return jax.tree_util.tree_map_with_path(value, self.declared())

    def declared(self) -> Params:
        """The parameters' shapes, as `jax.ShapeDtypeStruct`s."""
        return _declared(self.config)[1]

    def prefill(
        self, params: Params, prompt: Prompt, *, capacity: int
    ) -> tuple[jax.Array, SmallState]:
        """Reads what is given.

        Returns:
            (B, V) scores of the token after each row's last, and the state.
        """
        module = self._module(params)
        told_BD = module.told(prompt)
        hidden_BD, carry = module.core.carry(
            module.inputs(prompt.ids_BL, told_BD), prompt.lengths_B, capacity=capacity
        )
        return module.scores(hidden_BD[:, None])[:, 0], SmallState(carry, told_BD)

    def step(
        self, params: Params, state: SmallState, ids_B: jax.Array
    ) -> tuple[jax.Array, SmallState]:
        """Reads one more token of each row.

        Returns:
            (B, V) scores of the next, and the state.
        """
        module = self._module(params)
        x_B1D = module.inputs(ids_B[:, None], state.told_BD)
        hidden_BD, carry = module.core.step(state.carry, x_B1D[:, 0])
        scores_BV = module.scores(hidden_BD[:, None])[:, 0]
        return scores_BV, SmallState(carry, state.told_BD)

    def all_logits(self, params: Params, prompt: Prompt) -> jax.Array:
        """(B, L, V) scores of the token after each."""
        module = self._module(params)
        places = jnp.arange(prompt.ids_BL.shape[1])
        mask_BL = places[None, :] < prompt.lengths_B[:, None]
        x_BLD = module.inputs(prompt.ids_BL, module.told(prompt))
        return module.scores(module.core(x_BLD, mask_BL))

    def _module(self, params: Params) -> _Module:
        return nnx.merge(_declared(self.config)[0], params)


@functools.cache
def _declared(config: SmallConfig) -> tuple[nnx.GraphDef[_Module], Params]:
    module = nnx.eval_shape(lambda: _Module(config))
    graphdef, params, *rest = nnx.split(module, nnx.Param, ...)
    assert not jax.tree.leaves(rest), "modules hold parameters alone"
    return graphdef, nnx.to_pure_dict(params)
