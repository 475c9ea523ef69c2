"""What generates text: the interface that all decoders have.

Shapes: B rows, L tokens of a prompt, P soft tokens before them, D width of those, V
vocabulary.
"""

from typing import Any, NamedTuple, Protocol, TypeAlias

import jax

State: TypeAlias = Any
"""A pytree of fixed shapes: what a decoder keeps of the tokens that it was given."""


class Prompt(NamedTuple):
    """Rows of tokens to go on from.

    Attributes:
        ids_BL: int32 token ids; what stands after a row's length is padding.
        lengths_B: int32 tokens of each row, at least 1.
        prefix_BPD: float32 soft tokens before those of all rows: vectors in the place
            of words'. None: there are none.
    """

    ids_BL: jax.Array
    lengths_B: jax.Array
    prefix_BPD: jax.Array | None = None


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
