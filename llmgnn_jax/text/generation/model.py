"""What generates text: the interface that all decoders have.

Shapes: B rows, L tokens of a prompt, P soft tokens before them, D width of those, S
tokens of a prefix that was read before, n layers, G heads of keys and values, K width
of a head, V vocabulary.
"""

from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp

State: TypeAlias = Any
"""A pytree of fixed shapes: what a decoder keeps of the tokens that it was given."""


class PrefixState(NamedTuple):
    """What attention needs of the S tokens that stand before a row's own.

    Attributes:
        keys_nBSGK: Of each layer, turned by the places 0 to S - 1.
        values_nBSGK: Likewise, as they are.
    """

    keys_nBSGK: jax.Array
    values_nBSGK: jax.Array

    @property
    def num_tokens(self) -> int:
        """S."""
        return self.keys_nBSGK.shape[2]


class Prompt(NamedTuple):
    """Rows of tokens to go on from.

    Attributes:
        ids_BL: int32 token ids; what stands after a row's length is padding.
        lengths_B: int32 tokens of each row, at least 1.
        prefix_BPD: float32 soft tokens before those of all rows: vectors in the place
            of words'. None: there are none.
        after: The beginning of each row, where it was read before; `ids_BL` are what
            follows it. For a `PrefixModel` alone, and not beside soft tokens, which
            would stand before it and change all of it. None: rows are whole.
    """

    ids_BL: jax.Array
    lengths_B: jax.Array
    prefix_BPD: jax.Array | None = None
    after: PrefixState | None = None

    @classmethod
    def whole(cls, ids_BL: jax.Array) -> "Prompt":
        """Rows without padding."""
        return cls(ids_BL, jnp.full(ids_BL.shape[:1], ids_BL.shape[1], jnp.int32))

    @property
    def num_before(self) -> int:
        """Places before those of `ids_BL`: P, or S."""
        if self.after is not None:
            return self.after.num_tokens
        return 0 if self.prefix_BPD is None else self.prefix_BPD.shape[1]


class GenerativeModel(Protocol):
    """A decoder as functions of its parameters.

    Objects are hashable and equal where they compute the same, so that they can be
    static arguments of `jax.jit`; parameters come apart.
    """

    @property
    def vocab_size(self) -> int:
        """V."""
        ...

    @property
    def max_tokens(self) -> int:
        """Most tokens of a row: soft ones, the prompt's and new ones."""
        ...

    def prefill(
        self, params: Any, prompt: Prompt, *, capacity: int
    ) -> tuple[jax.Array, State]:
        """Reads prompts.

        Args:
            params: Of this decoder.
            prompt: What to read.
            capacity: How many tokens may follow, static.

        Returns:
            (B, V) float32 logits of the token after each row's last, and the state
            before it.
        """
        ...

    def step(
        self, params: Any, state: State, ids_B: jax.Array
    ) -> tuple[jax.Array, State]:
        """Reads one token more of each row: logits of the next one, and the state."""
        ...

    def all_logits(self, params: Any, prompt: Prompt) -> jax.Array:
        """(B, L, V) float32 logits of the token after each of the prompt's.

        What stands at padding means nothing. It has gradients with respect to the
        parameters and `prefix_BPD`.
        """
        ...


@runtime_checkable
class PrefixModel(GenerativeModel, Protocol):
    """A decoder that reads what many prompts begin with once.

    Its functions take a `Prompt.after`, and give what they give of the whole rows, up
    to rounding.
    """

    def read_prefix(self, params: Any, ids_BS: jax.Array) -> PrefixState:
        """What stands before prompts: `Prompt.after` of as many rows.

        Args:
            params: Of this decoder.
            ids_BS: int32 tokens, without padding.
        """
        ...
