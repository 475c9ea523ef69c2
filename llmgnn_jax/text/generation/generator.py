"""`TextGenerator`: prompts to text.

    generator = TextGenerator.load("smollm2-135m")
    prompt = generator.chat([Turn(role="user", text="Name a heist film.")])
    print(generator.generate([prompt], max_new_tokens=32)[0].text)

Shapes: N prompts, B rows of a batch, L tokens, P soft tokens, D width of those.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoder_options import check_dtype
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.generation.batches import PromptBatch, prompt_batches
from llmgnn_jax.text.generation.by_and_by import one_by_one, until_texts
from llmgnn_jax.text.generation.chat import ChatPrompt, Turn, chat_format
from llmgnn_jax.text.generation.generated import Generated
from llmgnn_jax.text.generation.likelihood import (
    TokenLikelihood,
    continuation_log_probabilities,
)
from llmgnn_jax.text.generation.loop import decode
from llmgnn_jax.text.generation.model import GenerativeModel, PrefixModel
from llmgnn_jax.text.generation.prefixes import PrefixCache
from llmgnn_jax.text.generation.pretrained import Layout, load_decoder
from llmgnn_jax.text.generation.prompt_checks import (
    check_lengths,
    check_new_tokens,
    check_prompts,
    check_seed,
)
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

GREEDY = SamplingOptions()


class TextGenerator:
    """A decoder with its tokenizer.

    A prompt's text depends on the prompt, its number among the prompts (where tokens
    are drawn) and the seed; on which prompts are with it, or were asked for before,
    only by rounding. What many of them begin with is read once, see `prefixes`.

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
        self._prefixes = PrefixCache(model) if isinstance(model, PrefixModel) else None

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
            UserError: If one is no str, a prompt is too long, or a number is out of
                range.
        """
        stop = check_stops(stop)
        ids = self._encode(prompts, prefix_BPD, max_new_tokens)
        settings = self._settings(options, max_new_tokens, seed)
        found: dict[int, Generated] = {}
        for batch in self._batches(ids, prefix_BPD, max_new_tokens):
            run = {**settings, "rows_B": batch.rows.astype(np.int32)}
            numbers = batch.rows[batch.rows >= 0].tolist()
            last = [ids[number][-1] for number in numbers]
            if stop:
                decoded = until_texts(
                    self.model,
                    self.params,
                    batch.prompt,
                    after=last,
                    stop=stop,
                    tokenizer=self.tokenizer,
                    settings=run,
                )
            else:
                decoded = decode(self.model, self.params, batch.prompt, **run)
            decoded = jax.tree.map(np.asarray, decoded)
            for row, number in enumerate(numbers):
                found[number] = Generated.of(
                    decoded, row, tokenizer=self.tokenizer, after=last[row], stop=stop
                )
        return [found[number] for number in range(len(prompts))]

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
        settings = self._settings(options, max_new_tokens, seed)
        (batch,) = self._batches(ids, prefix_BPD, max_new_tokens)
        settings["rows_B"] = batch.rows.astype(np.int32)
        tokens = one_by_one(self.model, self.params, batch.prompt, settings)
        pieces = self.tokenizer.stream(tokens, after=ids[0][-1])
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
        check_prompts(prompts, prefix_BPD, dim=self.dim)
        before = self.tokenizer.encode(prompts)
        after = [self.tokenizer.ids(text) for text in continuations]
        ids = [[*one, *two] for one, two in zip(before, after, strict=True)]
        check_lengths(ids, prefix_BPD, new=0, max_tokens=self.model.max_tokens)
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
        self, prompts: Sequence[str], prefix_BPD: Any, new: int
    ) -> list[list[int]]:
        """Tokens of prompts that so many may follow."""
        check_prompts(prompts, prefix_BPD, dim=self.dim)
        check_new_tokens(new)
        ids = self.tokenizer.encode(prompts)
        check_lengths(ids, prefix_BPD, new=new, max_tokens=self.model.max_tokens)
        return ids

    def _batches(
        self, ids: Sequence[Sequence[int]], prefix_BPD: Any, new: int
    ) -> Iterator[PromptBatch]:
        reader = None
        if prefix_BPD is None and self._prefixes is not None:
            reader = self._prefixes.reader(self.params, ids)
        return prompt_batches(
            ids,
            new=new,
            prefix=prefix_BPD,
            pad_id=self.tokenizer.pad_id,
            reader=reader,
        )

    def _settings(
        self, options: SamplingOptions, max_new_tokens: int, seed: int
    ) -> dict[str, Any]:
        """What `decode` takes, but for the rows' numbers."""
        check_seed(seed)
        return {
            "options": options,
            "max_new_tokens": max_new_tokens,
            "stop_ids": self.stop_ids,
            "key": jax.random.key(seed),
        }
