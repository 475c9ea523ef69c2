"""Rotary position embeddings, with the two scalings that change nothing else.

Shapes: B rows, L tokens, H heads, K width of a head.

RoPE: Su et al. 2021, https://arxiv.org/abs/2104.09864; "linear": Chen et al. 2023,
https://arxiv.org/abs/2306.15595; "llama3": Grattafiori et al. 2024,
https://arxiv.org/abs/2407.21783, as Hugging Face computes it.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.errors import UserError

RopeType: TypeAlias = Literal["default", "linear", "llama3"]

_FACTORS = ("factor", "low_freq_factor", "high_freq_factor")
_PARTIAL = "partial_rotary_factor"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rope:
    """Which angle a pair of components is turned by at each place.

    Attributes:
        rope_theta: Base of the geometric series of wavelengths.
        rope_type: "default", "linear" (all wavelengths `factor` times as long), or
            "llama3" (the long ones alone, and those in between in part).
        factor: Of both scalings.
        low_freq_factor: "llama3": wavelengths above original / this are long.
        high_freq_factor: "llama3": wavelengths below original / this are short.
        original_max_position_embeddings: "llama3": positions before it was stretched.

    Raises:
        UserError: If the type is unknown or a number is out of range.
    """

    rope_theta: float = 10_000.0
    rope_type: RopeType = "default"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: int = 8192

    def __post_init__(self) -> None:
        if self.rope_type not in get_args(RopeType):
            raise UserError.field(
                "rope_type",
                expected=f"one of {', '.join(get_args(RopeType))}",
                got=repr(self.rope_type),
            )
        names = ("rope_theta", *_FACTORS, "original_max_position_embeddings")
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < math.inf:
                raise UserError.field(
                    name, expected="a number above 0", got=repr(value)
                )
        if self.low_freq_factor >= self.high_freq_factor:
            raise UserError.field(
                "low_freq_factor",
                expected=f"a number below high_freq_factor {self.high_freq_factor:g}",
                got=self.low_freq_factor,
            )

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "Rope":
        """Reads what a config.json says about positions.

        Args:
            values: With `rope_parameters` as transformers 5 writes it, or with
                `rope_theta` and `rope_scaling` as those before it did.

        Raises:
            UserError: If it is of another kind, or a key is missing.
        """
        name = "rope_parameters" if values.get("rope_parameters") else "rope_scaling"
        given = values.get(name) or {}
        if not isinstance(given, Mapping) or any(
            isinstance(value, Mapping) for value in given.values()
        ):
            raise UserError.field(
                name, expected="one set of numbers for all layers", got=repr(given)
            )
        partial = given.get("partial_rotary_factor", values.get(_PARTIAL, 1.0))
        if partial not in (1, None):
            raise UserError.field(
                _PARTIAL, expected="1 (the one supported)", got=repr(partial)
            )
        kind = given.get("rope_type", given.get("type", "default"))
        read: dict[str, Any] = {
            "rope_type": kind,
            "rope_theta": given.get("rope_theta", values.get("rope_theta", 10_000.0)),
        }
        needed = {"linear": _FACTORS[:1], "llama3": _FACTORS}.get(str(kind), ())
        if missing := [key for key in needed if key not in given]:
            raise UserError.field(
                name, expected=f"the keys {', '.join(missing)}", got="none of them"
            )
        read |= {key: given[key] for key in needed}
        if kind == "llama3":
            key = "original_max_position_embeddings"
            read[key] = given.get(key, values.get("max_position_embeddings"))
        return cls(**read)

    def to_values(self) -> dict[str, Any]:
        """What `from_values` reads, in the old form: every transformers reads that."""
        scaling: dict[str, Any] | None = None
        if self.rope_type == "linear":
            scaling = {"rope_type": "linear", "factor": self.factor}
        elif self.rope_type == "llama3":
            scaling = dataclasses.asdict(self)
            del scaling["rope_theta"]
        return {"rope_theta": self.rope_theta, "rope_scaling": scaling}

    def frequencies(self, head_dim: int) -> np.ndarray:
        """(K / 2,) float32, radians a place."""
        # float32 throughout, as in PyTorch: at place 8,000 its rounding is seen.
        exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
        plain = 1 / np.float32(self.rope_theta) ** exponents
        if self.rope_type == "default":
            return plain
        stretched = plain / np.float32(self.factor)
        if self.rope_type == "linear":
            return stretched
        # The share of the plain frequency: 0 for long waves, 1 for short ones.
        waves = self.original_max_position_embeddings * plain / np.float32(2 * np.pi)
        share = (waves - self.low_freq_factor) / (
            self.high_freq_factor - self.low_freq_factor
        )
        share = np.clip(share, 0, 1)
        return ((1 - share) * stretched + share * plain).astype(np.float32)


def rotation(
    places_BL: jax.Array, rope: Rope, *, head_dim: int
) -> tuple[jax.Array, jax.Array]:
    """Cosine and sine of each place's angles: (B or 1, L, 1, K / 2) float32 each."""
    frequencies = jnp.asarray(rope.frequencies(head_dim))[None, None, None, :]
    angles = places_BL[:, :, None, None].astype(jnp.float32) * frequencies
    return jnp.cos(angles), jnp.sin(angles)


def rotate(x_BLHK: jax.Array, turn: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Turns the pairs (k, k + K / 2) of each head by what `rotation` gave."""
    cosine, sine = turn
    first, second = jnp.split(x_BLHK, 2, axis=-1)
    return jnp.concatenate(
        [first * cosine - second * sine, second * cosine + first * sine], axis=-1
    )
