"""What an encoder is loaded with: checked once, and how large its batches are."""

import jax

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.layers import COMPUTE_DTYPES
from llmgnn_jax.text.encoders.model import EncoderConfig
from llmgnn_jax.text.tokens import Tokenizer

# Places of a batch, padding included. On a CPU more gains nothing (the products are at
# full speed and what stands between them is in cache); an accelerator wants far more.
_BATCH_TOKENS = {"cpu": 512}
_BATCH_TOKENS_ELSEWHERE = 16_384
_PACKED_TOKENS = 2048  # in packed rows, which cost no padding


def batch_tokens_or_default(given: int | None, *, packs: bool) -> int:
    """Places of a batch, padding included; by the device if None.

    Args:
        given: What the caller asks for.
        packs: Whether several texts lie in one row.

    Raises:
        UserError: If it is no whole number from 1.
    """
    if given is None:
        if packs:
            return _PACKED_TOKENS
        return _BATCH_TOKENS.get(jax.default_backend(), _BATCH_TOKENS_ELSEWHERE)
    if type(given) is not int or given < 1:
        raise UserError.field("batch_tokens", expected="1 or more", got=repr(given))
    return given


def check_fits(
    config: EncoderConfig, *, tokenizer: Tokenizer, max_length: object
) -> None:
    """Checks that an encoder can read what its tokenizer gives.

    Raises:
        UserError: If `max_length` is out of range, or there are ids that it lacks.
    """
    if type(max_length) is not int or not 3 <= max_length <= config.max_tokens:
        raise UserError.field(
            "max_length",
            expected=f"3 to {config.max_tokens}, the encoder's positions",
            got=repr(max_length),
        )
    if tokenizer.vocab_size > config.vocab_size:
        raise UserError.field(
            "tokenizer",
            expected=f"ids below the encoder's vocab_size {config.vocab_size}",
            got=f"ids up to {tokenizer.vocab_size - 1}",
            fix="take the tokenizer that the encoder was trained with",
        )


def check_dtype(dtype: object) -> None:
    """Checks the type of the operands.

    Raises:
        UserError: If it is none of `COMPUTE_DTYPES`.
    """
    if dtype not in COMPUTE_DTYPES:
        raise UserError.field(
            "dtype", expected=f"one of {', '.join(COMPUTE_DTYPES)}", got=repr(dtype)
        )
