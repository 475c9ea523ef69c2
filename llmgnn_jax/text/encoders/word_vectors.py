"""Word vectors: a table that is looked up, and what every encoder over one shares.

Shapes: B rows, L tokens, D width, V vocabulary.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.checks import check_sizes, known_fields
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.encoders.pieces import look_up
from llmgnn_jax.text.encoders.remat import Remat
from llmgnn_jax.text.encoders.rows import TokenRows


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordTableConfig:
    """What the shapes of all encoders over a table of words share.

    Attributes:
        vocab_size: V.
        dim: D, width of a word's vector.
        max_tokens: Longest row in tokens.
        family: Which encoder: the `model_type` of a config.json.

    Raises:
        UserError: If a size is no whole number from 1, or the family is another.
    """

    FAMILY: ClassVar[str]

    vocab_size: int
    dim: int
    max_tokens: int = 512
    family: str = ""

    def __post_init__(self) -> None:
        if self.family != self.FAMILY:
            raise UserError.field(
                "model_type", expected=repr(self.FAMILY), got=repr(self.family)
            )
        check_sizes(self)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Reads the values of a config.json; keys that it does not know are left.

        Raises:
            UserError: If a key is missing or a value out of range.
        """
        read = {"family": values.get("model_type", cls.FAMILY), **values}
        return cls(**known_fields(cls, read))

    def to_values(self) -> dict[str, Any]:
        """What `from_values` reads."""
        values = dataclasses.asdict(self)
        values["model_type"] = values.pop("family")
        return values


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordVectorsConfig(WordTableConfig):
    """The shape of `WordVectors`, see `WordTableConfig`."""

    FAMILY = "word-vectors"

    family: Literal["word-vectors"] = "word-vectors"

    @property
    def out_features(self) -> int:
        """Width of the token vectors, D."""
        return self.dim


class WordVectors(nnx.Module):
    """The vector of each word, whatever stands around it.

    Args:
        config: The shape.
        dtype: There is no product: without effect, as are the next two.
        scan: Likewise.
        remat: Likewise.
    """

    def __init__(
        self,
        config: WordVectorsConfig,
        *,
        dtype: ComputeDtype = "float32",
        scan: bool = False,
        remat: Remat = "none",
    ) -> None:
        self.words = nnx.Param(jnp.zeros((config.vocab_size, config.dim)))

    def __call__(self, rows: TokenRows) -> jax.Array:
        """(B, L, D) float32; what stands at padding means nothing."""
        return look_up(self.words[...], rows.ids_BL)


def initial_word_vectors(
    name: str, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    """Words of about unit length in random directions: D ** -0.5 times normal."""
    return rng.standard_normal(shape, np.float32) * np.float32(shape[-1] ** -0.5)
