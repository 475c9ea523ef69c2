"""The identity of an encoder: equal ones give equal vectors."""

import dataclasses
import hashlib
import json

import jax

from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.encoders.model import EncoderConfig, Params
from llmgnn_jax.text.fingerprint import params_hash
from llmgnn_jax.text.readout import Readout

# Raised when the same inputs give other vectors: stored ones are then encoded again.
_FORMAT = 2


def identity_of(
    config: EncoderConfig,
    *,
    weights: str,
    tokenizer: str,
    readout: Readout,
    learned: Params,
    max_length: int,
    dtype: ComputeDtype,
) -> str:
    """Hex hash of all that decides a text's vector.

    The kind of device and whether our kernels run belong to it.

    Args:
        config: The encoder's shape.
        weights: Hash of its parameters.
        tokenizer: Hash of how texts are cut.
        readout: How a text's vector is read off its tokens'.
        learned: What that has learned; {} where it learns nothing.
        max_length: Longest text in tokens.
        dtype: Operands of the matrix products.
    """
    shape = dataclasses.asdict(config)
    shape.pop("special_tokens", None)  # They stand in no text but by the tokenizer.
    parts = {
        "format": _FORMAT,
        "weights": weights,
        "config": shape,
        "tokenizer": tokenizer,
        "pooling": readout.pooling,
        "max_length": max_length,
        "dtype": dtype,
        "device": jax.default_backend(),
        "kernels": kernels.usable(),
    }
    if readout.learned:
        parts["head"] = readout.head
        parts["learned"] = params_hash(learned)
    canonical = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
