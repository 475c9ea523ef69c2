"""Where generated text ends.

Shapes: none; ids are lists.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig

# Ends of a turn or of a text, where a vocabulary has them.
STOP_TOKENS = (
    *("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>"),
    *("<end_of_turn>", "<eos>", "</s>"),
)
_GENERATION = "generation_config.json"


def stop_ids_of(
    config: DecoderConfig, folder: Path, *, ids_of: Callable[[Sequence[str]], list[int]]
) -> tuple[int, ...]:
    """The tokens that end a text, in the order of their ids.

    They are those that the model's files name, and those whose names say so.

    Args:
        config: The model's.
        folder: Where it is; `generation_config.json` is read where there is one.
        ids_of: Ids of those of some strs that are tokens.

    Raises:
        UserError: If that file cannot be read.
    """
    found = set(ids_of(STOP_TOKENS))
    named = [dict(config.special_tokens).get("eos_token_id")]
    path = folder / _GENERATION
    if path.is_file():
        try:
            named.append(json.loads(path.read_bytes()).get("eos_token_id"))
        except (OSError, ValueError, AttributeError) as error:
            raise UserError.field(
                str(path), expected="settings of generation", got=str(error)
            ) from error
    for value in named:
        values = value if isinstance(value, list | tuple) else [value]
        found |= {one for one in values if type(one) is int}
    return tuple(sorted(number for number in found if number < config.vocab_size))


def check_stops(stop: Sequence[str]) -> tuple[str, ...]:
    """Texts that end what is generated.

    Raises:
        UserError: If they are one str, or one of them is empty.
    """
    if isinstance(stop, str):
        raise UserError.field("stop", expected="a list of texts", got="one str")
    if not all(isinstance(text, str) and text for text in stop):
        raise UserError.field("stop", expected="texts that are not empty", got=stop)
    return tuple(stop)


def cut_at(text: str, stop: Sequence[str]) -> str | None:
    """What stands before the first of the stops; None where there is none of them."""
    places = [place for one in stop if (place := text.find(one)) >= 0]
    return text[: min(places)] if places else None


def held_back(text: str, stop: Sequence[str]) -> int:
    """How many of the last characters may be the beginning of a stop."""
    longest = max(map(len, stop), default=0)
    for count in range(min(longest - 1, len(text)), 0, -1):
        end = text[-count:]
        if any(one.startswith(end) for one in stop):
            return count
    return 0
