"""Tokens a few at a time: for texts that end one, and for streams.

Shapes: B rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from llmgnn_jax.text.generation.loop import Decoded, advance, begin
from llmgnn_jax.text.generation.model import GenerativeModel, Prompt
from llmgnn_jax.text.generation.prompt_tokens import PromptTokenizer
from llmgnn_jax.text.generation.stops import cut_at

# Tokens between two looks at the text, where some text is to end it.
_LOOK = 8


def until_texts(
    model: GenerativeModel,
    params: Any,
    prompt: Prompt,
    *,
    after: Sequence[int],
    stop: tuple[str, ...],
    tokenizer: PromptTokenizer,
    settings: dict[str, Any],
) -> Decoded:
    """Generates until each row has a stop of the model's or one of the texts.

    Args:
        model: The decoder.
        params: Its parameters.
        prompt: What is gone on from.
        after: The last token of each row's prompt, without rows of padding.
        stop: The texts.
        tokenizer: Of the model.
        settings: What `loop.decode` takes.
    """
    progress = begin(model, params, prompt, **settings)
    until = 1
    while True:
        decoded = jax.tree.map(np.asarray, progress.decoded)
        done = np.array(progress.done_B)
        for row, last in enumerate(after):
            if not done[row]:
                found = decoded.ids_BN[row, : decoded.lengths_B[row]].tolist()
                text = tokenizer.decode(found, after=last)
                done[row] = cut_at(text, stop) is not None
        if done.all() or int(progress.num_tokens) >= settings["max_new_tokens"]:
            return decoded
        until += _LOOK
        progress = progress._replace(done_B=done)
        progress = advance(model, params, progress, until=until, **settings)


def one_by_one(
    model: GenerativeModel, params: Any, prompt: Prompt, settings: dict[str, Any]
) -> Iterator[int]:
    """The tokens of a prompt of one row; arguments as those of `until_texts`."""
    progress = begin(model, params, prompt, **settings)
    for count in range(1, settings["max_new_tokens"] + 1):
        if bool(progress.done_B[0]):
            return
        number = int(progress.last_B[0])
        if count < settings["max_new_tokens"]:
            # It computes the next one while this one is written.
            progress = advance(model, params, progress, until=count + 1, **settings)
        yield number
