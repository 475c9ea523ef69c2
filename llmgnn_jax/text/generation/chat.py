"""Conversations as prompts.

A prompt of a conversation is made of marks, which are tokens of their own ("a turn
begins"), and of what people wrote, which is tokenised as plain text: whatever someone
writes, it can neither end a turn nor open one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

from llmgnn_jax.errors import UserError

Role: TypeAlias = Literal["system", "user", "assistant"]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What someone said.

    Attributes:
        role: Who.
        text: What; any characters.

    Raises:
        UserError: If there is no such role.
    """

    role: Role
    text: str

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise UserError.field(
                "role", expected=f"one of {', '.join(get_args(Role))}", got=self.role
            )


class Mark(NamedTuple):
    """A token that is no text."""

    token: str


Piece: TypeAlias = Mark | str


class ChatPrompt(str):
    """The prompt of a conversation; as a str it is how the model's authors write it.

    Only this object knows which parts of it are marks. A str that is made from it is
    one text like any other, and what looks like a mark in it is none.

    Attributes:
        pieces: Marks and texts, in turn.
    """

    pieces: tuple[Piece, ...]

    def __new__(cls, pieces: Sequence[Piece]) -> "ChatPrompt":
        words = (piece.token if isinstance(piece, Mark) else piece for piece in pieces)
        made = super().__new__(cls, "".join(words))
        made.pieces = tuple(pieces)
        return made


@dataclass(frozen=True, kw_only=True)
class ChatFormat:
    """How a family of models writes conversations.

    Attributes:
        name: Of the family.
        marks: Tokens that it needs; a vocabulary with all of them is of this family.
        opening: Role -> what begins its turn.
        closing: What ends a turn.
        system: Whether there are turns of the system; else its text begins that of the
            first user.
    """

    name: str
    marks: tuple[str, ...]
    opening: Callable[[Role], tuple[Piece, ...]]
    closing: tuple[Piece, ...]
    system: bool = True

    def prompt(self, turns: Sequence[Turn]) -> ChatPrompt:
        """The prompt after which the assistant speaks.

        Raises:
            UserError: If there are no turns, or one of the system is not the first.
        """
        if not turns:
            raise UserError.field("turns", expected="one at least", got="none")
        if any(turn.role == "system" for turn in turns[1:]):
            raise UserError.field(
                "turns", expected="system as the first role or none", got="a later one"
            )
        if not self.system and turns[0].role == "system":
            turns = _with_its_text(turns[0].text, turns[1:])
        pieces: list[Piece] = []
        for turn in turns:
            pieces += (*self.opening(turn.role), turn.text, *self.closing)
        return ChatPrompt(_joined([*pieces, *self.opening("assistant")]))


def _with_its_text(text: str, turns: Sequence[Turn]) -> list[Turn]:
    if not turns or turns[0].role != "user":
        return [Turn(role="user", text=text), *turns]
    return [Turn(role="user", text=f"{text}\n\n{turns[0].text}"), *turns[1:]]


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Texts that meet as one text: tokens may reach over where they met."""
    joined: list[Piece] = []
    for piece in pieces:
        if joined and isinstance(piece, str) and isinstance(joined[-1], str):
            joined[-1] += piece
        elif piece != "":
            joined.append(piece)
    return joined


def _chatml(role: Role) -> tuple[Piece, ...]:
    return (Mark("<|im_start|>"), f"{role}\n")


def _llama3(role: Role) -> tuple[Piece, ...]:
    return (Mark("<|start_header_id|>"), role, Mark("<|end_header_id|>"), "\n\n")


def _gemma(role: Role) -> tuple[Piece, ...]:
    return (Mark("<start_of_turn>"), "model\n" if role == "assistant" else "user\n")


FORMATS = (
    ChatFormat(
        name="chatml",
        marks=("<|im_start|>", "<|im_end|>"),
        opening=_chatml,
        closing=(Mark("<|im_end|>"), "\n"),
    ),
    ChatFormat(
        name="llama3",
        marks=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        opening=_llama3,
        closing=(Mark("<|eot_id|>"),),
    ),
    ChatFormat(
        name="gemma",
        marks=("<start_of_turn>", "<end_of_turn>"),
        opening=_gemma,
        closing=(Mark("<end_of_turn>"), "\n"),
        system=False,
    ),
)


def chat_format(knows: Callable[[str], bool]) -> ChatFormat:
    """How the model of a vocabulary writes conversations.

    Args:
        knows: Whether a str is one of its tokens.

    Raises:
        UserError: If it is none of the formats that are known.
    """
    for form in FORMATS:
        if all(map(knows, form.marks)):
            return form
    raise UserError.field(
        "chat",
        expected="a model of conversations: "
        + ", ".join(f"{form.name} with {form.marks[0]}" for form in FORMATS),
        got="a vocabulary without such tokens",
        fix="give the prompt as one text",
    )
