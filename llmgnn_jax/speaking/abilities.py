"""Whether a decoder can speak a language: measured, since files do not say.

A decoder that knows Chinese finds everyday sentences likely, and one that met hardly
any does not: it has to guess each character's bytes.
"""

import math
from collections.abc import Sequence
from typing import Protocol

from llmgnn_jax.text.generation.likelihood import TokenLikelihood

_SENTENCES = (
    ("今天天气", "很好，我们一起去公园散步吧。"),
    ("他是一名", "医生，在一家医院工作了很多年。"),
    ("这部电影", "非常好看，我推荐你去看一看。"),
    ("中国的首都", "是北京，这是一座历史悠久的城市。"),
)
"""How each begins, and how it goes on."""

MOST_BITS = 6.0
"""A character may cost so many bits; without any knowledge, one of the 3,000 usual
ones costs 11.6."""


class Judge(Protocol):
    """What a `TextGenerator` is to those who measure it."""

    def log_likelihoods(
        self, prompts: Sequence[str], continuations: Sequence[str]
    ) -> list[TokenLikelihood]:
        """How likely each continuation is after its prompt."""
        ...


def bits_a_character(generator: Judge) -> float:
    """What a Chinese character costs a decoder, in everyday sentences."""
    beginnings, ends = zip(*_SENTENCES, strict=True)
    found = generator.log_likelihoods(beginnings, ends)
    return -sum(one.total for one in found) / math.log(2) / sum(map(len, ends))


def speaks_chinese(generator: Judge) -> bool:
    """Whether a decoder can be asked for Chinese sentences."""
    return bits_a_character(generator) <= MOST_BITS
