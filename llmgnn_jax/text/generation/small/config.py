"""The shape of a small decoder."""

import dataclasses
from typing import Literal, TypeAlias, get_args

from llmgnn_jax.errors import UserError

SmallKind: TypeAlias = Literal["lstm", "cnn", "transformer"]

SMALL_KINDS: tuple[SmallKind, ...] = get_args(SmallKind)

# One layer of an LSTM sees all that was said; five filters of five places see 21.
LAYERS: dict[SmallKind, int] = {"lstm": 1, "cnn": 5, "transformer": 2}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallConfig:
    """The shape of a `SmallDecoder`.

    Attributes:
        kind: What it is made of.
        vocab_size: V, tokens that it knows.
        dim: D, width of words, of states and of what it is told.
        num_layers: Layers one above the other.
        filter_width: K, places that a filter of the CNN reads, its own the last.
        num_heads: H of the Transformer, a divisor of D.
        max_tokens: Longest text in tokens, what is given and what is said together.

    Raises:
        UserError: If a size is no whole number from 1, H does not divide D, or there is
            no such kind.
    """

    kind: SmallKind
    vocab_size: int
    dim: int = 128
    num_layers: int = 1
    filter_width: int = 5
    num_heads: int = 4
    max_tokens: int = 256

    def __post_init__(self) -> None:
        if self.kind not in SMALL_KINDS:
            raise UserError.field(
                "kind",
                expected=f"one of {', '.join(SMALL_KINDS)}",
                got=repr(self.kind),
            )
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name != "kind" and (type(value) is not int or value < 1):
                raise UserError.field(
                    field.name, expected="a whole number from 1", got=repr(value)
                )
        if self.dim % self.num_heads:
            raise UserError.field(
                "num_heads", expected=f"a divisor of {self.dim}", got=self.num_heads
            )
