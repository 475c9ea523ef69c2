"""Prompts to token ids, and token ids to text.

Shapes: none; ids are lists.
"""

from collections.abc import Iterator, Sequence

import tokenizers

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.generation.chat import ChatPrompt, Mark
from llmgnn_jax.text.interface import whole_characters
from llmgnn_jax.text.tokens import FastTokenizer

# Where a character's bytes are not all there.
_PART = "\ufffd"


class PromptTokenizer:
    """A tokenizer for prompts: what they hold is text, whatever it looks like.

    Args:
        tokenizer: That of the model.
    """

    def __init__(self, tokenizer: FastTokenizer) -> None:
        self.pad_id = tokenizer.pad_id
        self._backend = tokenizer.copy_of_backend()
        # Tokens with a meaning of their own are cut up like any other text.
        self._backend.encode_special_tokens = True
        self._before, self._special = _before(self._backend)

    def knows(self, token: str) -> bool:
        """Whether a str is a token."""
        return self._backend.token_to_id(token) is not None

    def ids_of(self, tokens: Sequence[str]) -> list[int]:
        """Ids of those that are tokens."""
        ids = map(self._backend.token_to_id, tokens)
        return [number for number in ids if number is not None]

    def encode(self, prompts: Sequence[str]) -> list[list[int]]:
        """Ids of each prompt, after what the model has before every text.

        A prompt without any gets the padding token, since there must be one to go on
        from.

        Raises:
            UserError: If one is no str.
        """
        encoded = []
        for row, prompt in enumerate(prompts):
            if not isinstance(prompt, ChatPrompt):
                prompt = ChatPrompt([whole_characters(prompt, row)])
            ids = list(self._before)
            for piece in prompt.pieces:
                ids += self._mark(piece) if isinstance(piece, Mark) else self.ids(piece)
            encoded.append(ids or [self.pad_id])
        return encoded

    def ids(self, text: str) -> list[int]:
        """Ids of a text alone."""
        return self._backend.encode(
            whole_characters(text, 0), add_special_tokens=False
        ).ids

    def decode(self, ids: Sequence[int], *, after: int | None = None) -> str:
        """The text of tokens, without those that are none.

        Args:
            ids: Of the tokens.
            after: The token before them: whether a space begins the text may depend on
                it.
        """
        if after is None or after in self._special:
            return self._backend.decode(list(ids))
        before = self._backend.decode([after])
        whole = self._backend.decode([after, *ids])
        return whole.removeprefix(before) if before else whole

    def stream(self, ids: Iterator[int], *, after: int | None = None) -> Iterator[str]:
        """The text of tokens as they come, in pieces of whole characters."""
        found: list[int] = []
        text = given = ""
        for number in ids:
            found.append(number)
            text = self.decode(found, after=after)
            if not text.endswith(_PART) and text != given:
                yield text[len(given) :]
                given = text
        if text != given:
            yield text[len(given) :]

    def _mark(self, mark: Mark) -> list[int]:
        number = self._backend.token_to_id(mark.token)
        if number is None:
            raise UserError.field(
                "prompt",
                expected="a prompt of this model",
                got=f"one with {mark.token}",
            )
        return [number]


def _before(backend: tokenizers.Tokenizer) -> tuple[list[int], frozenset[int]]:
    """What stands before each text, and all tokens that are no text."""
    plain = backend.encode("a", add_special_tokens=False).ids
    whole = backend.encode("a", add_special_tokens=True).ids
    start = next(
        place
        for place in range(len(whole))
        if whole[place : place + len(plain)] == plain
    )
    added = backend.get_added_tokens_decoder()
    return whole[:start], frozenset(
        number for number, token in added.items() if token.special
    )
