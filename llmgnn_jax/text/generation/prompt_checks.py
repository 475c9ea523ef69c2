"""What is refused before anything is computed.

Shapes: N prompts, P soft tokens, D width of those.
"""

from collections.abc import Sequence
from typing import Any

from llmgnn_jax.errors import UserError


def check_prompts(prompts: Sequence[str], prefix: Any, *, dim: int) -> None:
    """Raises a UserError unless there is a list, and soft tokens for each or none.

    Args:
        prompts: N texts.
        prefix: (N, P, D) soft tokens, or None.
        dim: D.
    """
    if isinstance(prompts, str):
        raise UserError.field("prompts", expected="a list of texts", got="one str")
    if prefix is not None and (
        prefix.ndim != 3 or len(prefix) != len(prompts) or prefix.shape[2] != dim
    ):
        raise UserError.field(
            "prefix_BPD",
            expected=f"({len(prompts)}, P, {dim})",
            got=tuple(prefix.shape),
        )


def check_lengths(
    ids: Sequence[Sequence[int]], prefix: Any, *, new: int, max_tokens: int
) -> None:
    """Raises a UserError if a prompt is too long.

    Args:
        ids: Tokens of each prompt.
        prefix: (N, P, D) soft tokens, or None.
        new: How many are to follow.
        max_tokens: Of the decoder.
    """
    most = max_tokens - new - (0 if prefix is None else prefix.shape[1])
    for row, one in enumerate(ids):
        if len(one) > most:
            raise UserError.field(
                f"prompt {row}",
                expected=f"at most {max(most, 0)} tokens beside what is to follow",
                got=len(one),
                fix="shorten it, or ask for fewer new tokens",
            )


def check_new_tokens(number: int) -> None:
    """Raises a UserError unless so many tokens can be asked for."""
    if type(number) is not int or number < 1:
        raise UserError.field("max_new_tokens", expected="1 or more", got=number)


def check_seed(seed: int) -> None:
    """Raises a UserError unless it is a seed of draws."""
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise UserError.field(
            "seed", expected="a whole number of up to 63 bits", got=seed
        )
