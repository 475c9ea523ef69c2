"""Who writes: a decoder by its name, or nobody."""

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.generation.chat import Turn
from llmgnn_jax.text.generation.generator import TextGenerator

NOBODY = "none"


def load_speaker(name: str) -> TextGenerator | None:
    """The decoder of a name, as of `TextGenerator.load`; None for "none".

    Raises:
        UserError: If there is none of that name, or it has no conversations.
    """
    if name == NOBODY:
        return None
    try:
        generator = TextGenerator.load(name)
    except UserError as error:
        raise UserError(f"{error}; or choose --words {NOBODY}") from error
    generator.chat([Turn(role="user", text="Why?")])  # Refused where there are none.
    return generator
