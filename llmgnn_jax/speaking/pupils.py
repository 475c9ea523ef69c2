"""Pupils as they are before they are taught, and what they learn from.

    adapter       a language model, frozen, prompted with what is known in words and
                  told the vectors of user and item by soft tokens
    lstm, cnn,    small decoders, trained from nothing on the reviews of the train part,
    transformer   told the vectors alone

Shapes: N reviews, P soft tokens, D width of the language model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.speaking.adapter import Adapter
from llmgnn_jax.speaking.known import VECTOR_SOURCES, Known, ReviewPair, VectorSource
from llmgnn_jax.speaking.lessons import Lessons, shapes_of
from llmgnn_jax.speaking.pupil import ADAPTER, DECODER, Pupil
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.generation.generator import TextGenerator
from llmgnn_jax.text.generation.small.config import (
    LAYERS,
    SMALL_KINDS,
    SmallConfig,
    SmallKind,
)
from llmgnn_jax.text.generation.small.decoder import SmallDecoder
from llmgnn_jax.text.generation.small.pieces import PieceTokenizer, learn_pieces

DecoderName: TypeAlias = Literal["adapter"] | SmallKind

DECODERS: tuple[DecoderName, ...] = ("adapter", *SMALL_KINDS)

_START = " Here is what this customer wrote about the product in a short review:"
"""Where the soft tokens of a language model start: at the vectors of these words."""

_LONGEST = 1024
"""Tokens of a small decoder's text."""


@dataclass(frozen=True, kw_only=True)
class PupilOptions:
    """Which pupil.

    Attributes:
        decoder: A key of the list above.
        words: The language model of "adapter": an asset, a Hugging Face folder, a GGUF
            file or a name on the hub.
        told: Whose vectors it is told.
        soft_tokens: P of "adapter"; small decoders are told by one.
        hidden: Width in between of the adapter.
        dtype: Operands of the language model's products; "bfloat16" changes its
            perplexity on real reviews by less than a thousandth.
        seed: Of first values.

    Raises:
        UserError: If one is out of range.
    """

    decoder: DecoderName
    words: str = "smollm2-135m"
    told: VectorSource = "merged"
    soft_tokens: int = 8
    hidden: int = 256
    dtype: ComputeDtype = "bfloat16"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (
            ("decoder", DECODERS),
            ("told", VECTOR_SOURCES),
            ("dtype", get_args(ComputeDtype)),
        ):
            if (value := getattr(self, name)) not in choices:
                raise UserError.field(
                    name, expected=f"one of {', '.join(choices)}", got=repr(value)
                )
        for name in ("soft_tokens", "hidden"):
            if getattr(self, name) < 1:
                raise UserError.field(
                    name, expected="1 or more", got=getattr(self, name)
                )


def new_pupil(
    options: PupilOptions, known: Known, train: Sequence[ReviewPair]
) -> Pupil:
    """A pupil before the first step.

    Args:
        options: Which.
        known: What the run knows.
        train: Reviews that small decoders learn their pieces of words from.

    Raises:
        UserError: If the language model cannot be had, the run's model has no such
            vectors, or too few people wrote the same words.
    """
    inputs = known.width(options.told)
    if options.decoder == "adapter":
        return language_model(options, inputs=inputs)
    pieces = learn_pieces(
        [pair.review for pair in train], [pair.user for pair in train]
    )
    config = SmallConfig(
        kind=options.decoder,
        vocab_size=pieces.vocab_size,
        num_layers=LAYERS[options.decoder],
        max_tokens=_LONGEST,
    )
    return small_decoder(options, config=config, pieces=pieces, inputs=inputs)


def language_model(options: PupilOptions, *, inputs: int) -> Pupil:
    """A language model with an adapter at its first values.

    Args:
        options: Which.
        inputs: Width of what it is told.

    Raises:
        UserError: If it cannot be had.
    """
    generator = TextGenerator.load(options.words, dtype=options.dtype, layout="rows")
    words_VD = np.asarray(generator.params["words"], np.float32)
    adapter = Adapter(
        inputs=inputs,
        hidden=options.hidden,
        tokens=options.soft_tokens,
        dim=generator.dim,
        scale=float(words_VD.std()),
    )
    start = np.resize(generator.tokenizer.ids(_START), options.soft_tokens)
    first = adapter.initial(seed=options.seed, start_PD=words_VD[start])
    return Pupil(generator=generator, adapter=adapter, trained={ADAPTER: first})


def small_decoder(
    options: PupilOptions,
    *,
    config: SmallConfig,
    pieces: PieceTokenizer,
    inputs: int,
) -> Pupil:
    """A small decoder at its first values, with an adapter.

    Args:
        options: Which.
        config: Its shape.
        pieces: What it speaks in.
        inputs: Width of what it is told.
    """
    decoder = SmallDecoder(config=config)
    params = decoder.initial(seed=options.seed)
    adapter = Adapter(inputs=inputs, hidden=options.hidden, tokens=1, dim=config.dim)
    return Pupil(
        generator=TextGenerator(
            model=decoder,
            params=params,
            tokenizer=pieces,
            stop_ids=(pieces.end_id,),
            dim=config.dim,
        ),
        adapter=adapter,
        trained={ADAPTER: adapter.initial(seed=options.seed), DECODER: params},
        pieces=pieces,
    )


def lessons_of(
    pupil: Pupil,
    pairs: Sequence[ReviewPair],
    vectors_NC: np.ndarray,
    *,
    ends: bool,
    lengths: tuple[int, ...] | None = None,
) -> Lessons:
    """Reviews in the tokens of a pupil.

    Args:
        pupil: Who is to read them.
        pairs: N reviews.
        vectors_NC: What is told of each pair.
        ends: Whether the end of a text is part of it: to be learned, and not measured.
        lengths: Of rows, to compile nothing new; those that suit these if None.

    Raises:
        UserError: If there are none, or one is longer than the decoder takes.
    """
    if not pairs:
        raise UserError.field(
            "reviews", expected="at least one in each part", got="none in one of them"
        )
    generator = pupil.generator
    prompts = generator.tokenizer.encode(pupil.prompts([pair.prompt for pair in pairs]))
    # What follows the prompt is set off from it, as words are from words.
    space = " " if pupil.pieces is None else ""
    end = list(generator.stop_ids[:1]) if ends else []
    reviews = [[*generator.tokenizer.ids(space + pair.review), *end] for pair in pairs]
    needed = shapes_of(prompts, reviews)
    lengths = needed if lengths is None else tuple(sorted({*lengths, needed[-1]}))
    soft = 0 if pupil.adapter is None else pupil.adapter.tokens
    if lengths[-1] + soft > pupil.model.max_tokens:
        raise UserError.field(
            "reviews",
            expected=f"at most {pupil.model.max_tokens} tokens with their prompts",
            got=lengths[-1] + soft,
            fix="choose a decoder that takes longer texts",
        )
    return Lessons(
        prompts=prompts, reviews=reviews, vectors_NC=vectors_NC, lengths=lengths
    )
