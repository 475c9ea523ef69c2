"""`TextGenerator`: prompts to text.

    generator = TextGenerator.load("smollm2-135m")
    prompt = generator.chat([Turn(role="user", text="Name a heist film.")])
    print(generator.generate([prompt], max_new_tokens=32)[0].text)

Shapes: N prompts, B rows of a batch, L tokens, P soft tokens, D width of those.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoder_options import check_dtype
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.generation.batches import PromptBatch, prompt_batches
from llmgnn_jax.text.generation.chat import ChatPrompt, Turn, chat_format
from llmgnn_jax.text.generation.likelihood import (
    TokenLikelihood,
    continuation_log_probabilities,
)
from llmgnn_jax.text.generation.loop import Decoded, advance, begin, decode
from llmgnn_jax.text.generation.model import GenerativeModel
from llmgnn_jax.text.generation.pretrained import Layout, load_decoder
from llmgnn_jax.text.generation.prompt_tokens import PromptTokenizer
from llmgnn_jax.text.generation.sampling import SamplingOptions
from llmgnn_jax.text.generation.stops import (
    check_stops,
    cut_at,
    held_back,
    stop_ids_of,
)
from llmgnn_jax.text.pretrained.folder import folder_of
from llmgnn_jax.text.pretrained.gguf import gguf_of
from llmgnn_jax.text.tokens import FastTokenizer, load_tokenizer

logger = logging.getLogger(__name__)

# Tokens between two looks at the text, where some text is to end it.
_LOOK = 8

GREEDY = SamplingOptions()


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What was generated after a prompt.

    Attributes:
        text: Without the stop.
        ids: Its tokens; where a text ended it, those up to the one that completed that.
        finished: "stop", or "length" where it was cut.
        log_probability: The sum of its tokens', by the model itself.
    """

    text: str
    ids: tuple[int, ...]
    finished: Literal["stop", "length"]
    log_probability: float


class TextGenerator:
    """A decoder with its tokenizer.

    A prompt's text depends on the prompt, its number among the prompts (where tokens
    are drawn) and the seed; on which prompts are with it only by rounding.

    Args:
        model: The decoder.
        params: Its parameters.
        tokenizer: Its tokenizer.
        stop_ids: Tokens that end a text.
        dim: D, the width of soft tokens.

    Raises:
        UserError: If the tokenizer has ids that the decoder lacks.
    """

    def __init__(
        self,
        *,
        model: GenerativeModel,
        params: Any,
        tokenizer: FastTokenizer,
        stop_ids: tuple[int, ...],
        dim: int,
    ) -> None:
        if tokenizer.vocab_size > model.vocab_size:
            raise UserError.field(
                "tokenizer",
                expected=f"at most {model.vocab_size} tokens, as the decoder has",
                got=tokenizer.vocab_size,
            )
        self.model = model
        self.params = params
        self.tokenizer = PromptTokenizer(tokenizer)
        self.stop_ids = stop_ids
        self.dim = dim

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        dtype: ComputeDtype = "float32",
        layout: Layout = "auto",
    ) -> "TextGenerator":
        """Loads a pretrained decoder.

        Args:
            source: As of `TextEncoder.load`: the name of an asset ("smollm2-135m"), a
                folder in Hugging Face's layout, a GGUF file, or a name on the hub.
            dtype: What matrices are kept in: "bfloat16" takes half the memory, and half
                the time where reading it is what takes time.
            layout: How matrices lie in memory, see `pretrained`.

        Raises:
            UserError: If it is unknown, cannot be fetched or read, or is no decoder
                that is supported.
        """
        check_dtype(dtype)
        folder = folder_of(source)
        started = time.perf_counter()
        with gguf_of(folder) as opened:
            model, params = load_decoder(
                folder, dtype=dtype, layout=layout, opened=opened
            )
            tokenizer = load_tokenizer(folder, opened=opened)
        config = model.config
        prompts = PromptTokenizer(tokenizer)
        generator = cls(
            model=model,
            params=params,
            tokenizer=tokenizer,
            stop_ids=stop_ids_of(config, folder, ids_of=prompts.ids_of),
            dim=config.hidden_size,
        )
        seconds = time.perf_counter() - started
        logger.info("loaded the decoder %s in %.1f s", source, seconds)
        return generator

    def chat(self, turns: Sequence[Turn]) -> ChatPrompt:
        """The prompt of a conversation, after which the assistant speaks.

        Raises:
            UserError: If there are no turns, or the model is none of conversations.
        """
        return chat_format(self.tokenizer.knows).prompt(turns)

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt, without soft ones."""
        return [len(ids) for ids in self.tokenizer.encode(prompts)]

    def generate(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int = 64,
        options: SamplingOptions = GREEDY,
        stop: Sequence[str] = (),
        seed: int = 0,
        prefix_BPD: np.ndarray | jax.Array | None = None,
    ) -> list[Generated]:
        """Goes on from each prompt.

        Args:
            prompts: N texts, or what `chat` gives. What looks like a special token in a
                text is text.
            max_new_tokens: Most tokens of each.
            options: How they are drawn.
            stop: Texts that end one, beside the model's own stops.
            seed: Of the draws.
            prefix_BPD: (N, P, D) soft tokens before each prompt.

        Returns:
            As many, in their order.

        Raises:
            UserError: If one is no str, or a prompt is too long.
        """
        stop = check_stops(stop)
        ids = self._encode(prompts, prefix_BPD, max_new_tokens)
        found: dict[int, Generated] = {}
        for batch in prompt_batches(
            ids, new=max_new_tokens, prefix=prefix_BPD, pad_id=self.tokenizer.pad_id
        ):
            settings = self._settings(
                batch, options=options, max_new_tokens=max_new_tokens, seed=seed
            )
            if stop:
                decoded = self._until_texts(batch, ids, stop, settings)
            else:
                decoded = decode(self.model, self.params, batch.prompt, **settings)
            decoded = jax.tree.map(np.asarray, decoded)
            for place, row in enumerate(batch.rows):
                if row >= 0:
                    found[int(row)] = self._generated(
                        decoded, place, after=ids[row][-1], stop=stop
                    )
        return [found[row] for row in range(len(prompts))]

    def stream(
        self,
        prompt: str,
        *,
        max_new_tokens: int = 64,
        options: SamplingOptions = GREEDY,
        stop: Sequence[str] = (),
        seed: int = 0,
        prefix_PD: np.ndarray | jax.Array | None = None,
    ) -> Iterator[str]:
        """The text after a prompt as it comes, in pieces of whole characters.

        Together they are the text that `generate` gives; arguments as there.
        """
        prefix_BPD = None if prefix_PD is None else np.asarray(prefix_PD)[None]
        stop = check_stops(stop)
        ids = self._encode([prompt], prefix_BPD, max_new_tokens)
        (batch,) = prompt_batches(
            ids, new=max_new_tokens, prefix=prefix_BPD, pad_id=self.tokenizer.pad_id
        )
        settings = self._settings(
            batch, options=options, max_new_tokens=max_new_tokens, seed=seed
        )
        pieces = self.tokenizer.stream(
            self._one_by_one(batch, settings), after=ids[0][-1]
        )
        text, given = "", 0
        for piece in pieces:
            text += piece
            if (whole := cut_at(text, stop)) is not None:
                yield from filter(None, [whole[given:]])
                return
            until = len(text) - held_back(text, stop)
            if until > given:
                yield text[given:until]
                given = until
        yield from filter(None, [text[given:]])

    def log_likelihoods(
        self,
        prompts: Sequence[str],
        continuations: Sequence[str],
        *,
        prefix_BPD: np.ndarray | jax.Array | None = None,
    ) -> list[TokenLikelihood]:
        """How likely each continuation is after its prompt, by the model itself.

        Args:
            prompts: N texts, or what `chat` gives.
            continuations: N texts; each is cut into tokens by itself.
            prefix_BPD: (N, P, D) soft tokens before each prompt.

        Raises:
            UserError: If there are not as many of both, one is no str, or both together
                are too long.
        """
        if isinstance(continuations, str) or len(continuations) != len(prompts):
            raise UserError.field(
                "continuations", expected="one for each prompt", got=len(continuations)
            )
        before = self._encode(prompts, prefix_BPD, 0)
        after = [self.tokenizer.ids(text) for text in continuations]
        ids = [[*one, *two] for one, two in zip(before, after, strict=True)]
        self._check_lengths(ids, prefix_BPD, 0)
        totals: dict[int, float] = {}
        for batch in prompt_batches(
            ids, new=0, prefix=prefix_BPD, pad_id=self.tokenizer.pad_id
        ):
            starts = np.array(
                [len(before[row]) if row >= 0 else 0 for row in batch.rows]
            )
            sums = np.asarray(
                continuation_log_probabilities(
                    self.model, self.params, batch.prompt, starts.astype(np.int32)
                )
            )
            kept = batch.rows >= 0
            totals |= dict(
                zip(batch.rows[kept].tolist(), sums[kept].tolist(), strict=True)
            )
        return [
            TokenLikelihood(total=totals[row], tokens=len(after[row]))
            for row in range(len(ids))
        ]

    def _encode(
        self, prompts: Sequence[str], prefix: Any, max_new_tokens: int
    ) -> list[list[int]]:
        if isinstance(prompts, str):
            raise UserError.field("prompts", expected="a list of texts", got="one str")
        if prefix is not None and (
            prefix.ndim != 3
            or len(prefix) != len(prompts)
            or prefix.shape[2] != self.dim
        ):
            raise UserError.field(
                "prefix_BPD",
                expected=f"({len(prompts)}, P, {self.dim})",
                got=tuple(prefix.shape),
            )
        if type(max_new_tokens) is not int or max_new_tokens < 0:
            raise UserError.field(
                "max_new_tokens", expected="a number of tokens", got=max_new_tokens
            )
        ids = self.tokenizer.encode(prompts)
        self._check_lengths(ids, prefix, max_new_tokens)
        return ids

    def _check_lengths(
        self, ids: Sequence[Sequence[int]], prefix: Any, max_new_tokens: int
    ) -> None:
        most = self.model.max_tokens - max_new_tokens
        most -= 0 if prefix is None else prefix.shape[1]
        for row, one in enumerate(ids):
            if len(one) > most:
                raise UserError.field(
                    f"prompt {row}",
                    expected=f"at most {max(most, 0)} tokens beside what is to follow",
                    got=len(one),
                    fix="shorten it, or ask for fewer new tokens",
                )

    def _settings(
        self,
        batch: PromptBatch,
        *,
        options: SamplingOptions,
        max_new_tokens: int,
        seed: int,
    ) -> dict[str, Any]:
        if max_new_tokens < 1:
            raise UserError.field(
                "max_new_tokens", expected="1 or more", got=max_new_tokens
            )
        if type(seed) is not int or not 0 <= seed < 2**63:
            raise UserError.field(
                "seed", expected="a whole number of up to 63 bits", got=seed
            )
        return {
            "options": options,
            "max_new_tokens": max_new_tokens,
            "stop_ids": self.stop_ids,
            "key": jax.random.key(seed),
            "rows_B": batch.rows.astype(np.int32),
        }

    def _until_texts(
        self,
        batch: PromptBatch,
        ids: Sequence[Sequence[int]],
        stop: tuple[str, ...],
        settings: dict[str, Any],
    ) -> Decoded:
        """Generates until each row has a stop of the model's or one of the texts."""
        progress = begin(self.model, self.params, batch.prompt, **settings)
        until = 1
        while True:
            decoded = jax.tree.map(np.asarray, progress.decoded)
            done = np.array(progress.done_B)
            for place, row in enumerate(batch.rows):
                if not done[place]:
                    found = decoded.ids_BN[place, : decoded.lengths_B[place]].tolist()
                    text = self.tokenizer.decode(found, after=ids[row][-1])
                    done[place] = cut_at(text, stop) is not None
            if done.all() or int(progress.num_tokens) >= settings["max_new_tokens"]:
                return decoded
            until += _LOOK
            progress = progress._replace(done_B=done)
            progress = advance(
                self.model, self.params, progress, until=until, **settings
            )

    def _one_by_one(
        self, batch: PromptBatch, settings: dict[str, Any]
    ) -> Iterator[int]:
        progress = begin(self.model, self.params, batch.prompt, **settings)
        for count in range(1, settings["max_new_tokens"] + 1):
            if bool(progress.done_B[0]):
                return
            number = int(progress.last_B[0])
            if count < settings["max_new_tokens"]:
                # It computes the next one while this one is written.
                progress = advance(
                    self.model, self.params, progress, until=count + 1, **settings
                )
            yield number

    def _generated(
        self, decoded: Decoded, place: int, *, after: int, stop: tuple[str, ...]
    ) -> Generated:
        count = int(decoded.lengths_B[place])
        ids = decoded.ids_BN[place, :count].tolist()
        text = self.tokenizer.decode(ids, after=after)
        finished: Literal["stop", "length"] = "length"
        if count < decoded.ids_BN.shape[1]:
            finished = "stop"
        if (cut := cut_at(text, stop)) is not None:
            # As many tokens as it takes to say the stop; there are few to try.
            count = next(
                n
                for n in range(1, count + 1)
                if cut_at(self.tokenizer.decode(ids[:n], after=after), stop) is not None
            )
            ids, text, finished = ids[:count], cut, "stop"
        gained = decoded.log_probabilities_BN[place, :count]
        return Generated(
            text=text,
            ids=tuple(ids),
            finished=finished,
            log_probability=float(gained.sum(dtype=np.float64)),
        )
