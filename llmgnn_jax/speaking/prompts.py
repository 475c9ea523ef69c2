"""Prompts that ask a decoder to tell one reason in one sentence.

A prompt holds the item, the reason and nothing else: no other user, no text that a user
wrote, and of the catalogue the names alone, each as one line in quotes. Two worked
examples come before it as turns of the conversation; their names are of no catalogue,
so that what a decoder copies from them is refused. One example is not enough, with
years or without: SmolLM2-135M then copies its numbers into one of seven sentences.

A small decoder keeps two names and a number apart, and seldom three and two: so each
reason is asked for by itself. What comes first in the answer comes first in the facts.
"""

from dataclasses import dataclass

from llmgnn_jax.evidence.explanation import Entity
from llmgnn_jax.evidence.labels import Language
from llmgnn_jax.speaking.quoting import shown
from llmgnn_jax.speaking.reasons import Reason
from llmgnn_jax.text.generation.chat import Turn

_SYSTEM = {
    "en": "You say why something is recommended, in one plain sentence, with nothing "
    "but the facts.",
    "zh": "你用一句简短的中文说明为什么推荐，只说给出的事实。",
}


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """How a kind of reason is asked for, and how it may be told.

    Attributes:
        facts: The question.
        told: Answers to it; reasons of one explanation take turns.
    """

    facts: str
    told: tuple[str, ...]


# Two examples each: (item, what the user had, people).
_EXAMPLES = {
    "en": (
        ("Velmora, The (1996)", "Ostrava Kid (1990)", 112),
        ("Quillmere (1971)", "Dornwick, A (1983)", 38),
    ),
    "zh": (("维尔莫拉", "奥斯特拉", 112), ("奎尔米尔", "多恩维克", 38)),
}
_SHAPES: dict[Language, dict[str, _Shape]] = {
    "en": {
        "had": _Shape(
            facts='This user had "{name}".\nOthers with it and "{item}": {people}.\n'
            'Why "{item}"?',
            told=(
                'This user had "{name}", and {people} people who had it also had '
                '"{item}".',
                'This user also had "{name}", and {people} people who had it had '
                '"{item}" too.',
            ),
        ),
        "had alone": _Shape(
            facts='This user had "{name}".\nIt leads to "{item}".\nWhy "{item}"?',
            told=(
                'This user had "{name}", which leads to "{item}".',
                'From "{name}", which this user had, the way leads to "{item}".',
            ),
        ),
        "neighbour": _Shape(
            facts='{people} other people had "{item}", some with a history like that '
            'of this user.\nWhy "{item}"?',
            told=(
                '{people} other people had "{item}", some with a history like that of '
                "this user.",
                '"{item}" was had by {people} other people, some of them with a '
                "history like that of this user.",
            ),
        ),
        "attribute": _Shape(
            facts='"{name}" leads this user to "{item}".\nWhy "{item}"?',
            told=(
                'It is "{name}" that leads this user to "{item}".',
                'By "{name}" this user comes to "{item}".',
            ),
        ),
        "friend": _Shape(
            facts="Of those whom this user is linked with, {people} people had "
            '"{item}".\nWhy "{item}"?',
            told=(
                'Of those whom this user is linked with, {people} people had "{item}".',
                '"{item}" fits: {people} of those whom this user is linked with had '
                "it.",
            ),
        ),
        "link": _Shape(
            facts='This user had "{name}".\nIt is linked to "{item}".\nWhy "{item}"?',
            told=(
                'This user had "{name}", which is linked to "{item}".',
                'From "{name}", which this user had, a link leads to "{item}".',
            ),
        ),
        "link alone": _Shape(
            facts='"{name}" is linked to "{item}".\nWhy "{item}"?',
            told=(
                '"{name}" is linked to "{item}".',
                'A link leads from "{name}" to "{item}".',
            ),
        ),
    },
    "zh": {
        "had": _Shape(
            facts="这位用户有过《{name}》。\n{people}人既有过它，也有过《{item}》。\n"
            "为什么推荐《{item}》？",
            told=(
                "这位用户有过《{name}》，而有过它的人中{people}人也有过《{item}》。",
                "与这位用户一样有过《{name}》的人中，{people}人也有过《{item}》。",
            ),
        ),
        "had alone": _Shape(
            facts="这位用户有过《{name}》。\n它通向《{item}》。\n为什么推荐《{item}》？",
            told=("这位用户有过《{name}》，它通向《{item}》。",),
        ),
        "neighbour": _Shape(
            facts="另有{people}人有过《{item}》，其中一些人的历史与这位用户相似。\n"
            "为什么推荐《{item}》？",
            told=("另有{people}人有过《{item}》，其中一些人的历史与这位用户相似。",),
        ),
        "attribute": _Shape(
            facts="“{name}”把这位用户引向《{item}》。\n为什么推荐《{item}》？",
            told=("正是“{name}”把这位用户引向《{item}》。",),
        ),
        "friend": _Shape(
            facts="与这位用户相连的人中，{people}人有过《{item}》。\n"
            "为什么推荐《{item}》？",
            told=("与这位用户相连的人中，{people}人有过《{item}》。",),
        ),
        "link": _Shape(
            facts="这位用户有过《{name}》。\n它与《{item}》相连。\n为什么推荐《{item}》？",
            told=("这位用户有过《{name}》，它与《{item}》相连。",),
        ),
        "link alone": _Shape(
            facts="《{name}》与《{item}》相连。\n为什么推荐《{item}》？",
            told=("《{name}》与《{item}》相连。",),
        ),
    },
}


def turns(
    item: Entity, reason: Reason, *, place: int = 0, language: Language = "en"
) -> list[Turn]:
    """The conversation that asks for a reason.

    Args:
        item: What is recommended.
        reason: Why.
        place: Which of the reasons of an explanation it is, from 0: they are told in
            different words.
        language: Of the sentence.
    """
    shape = _SHAPES[language][_kind(reason)]
    told = shape.told[place % len(shape.told)]
    conversation = [Turn(role="system", text=_SYSTEM[language])]
    for other, name, people in _EXAMPLES[language]:
        known = {"item": other, "name": name, "people": people}
        conversation += [
            Turn(role="user", text=shape.facts.format(**known)),
            Turn(role="assistant", text=told.format(**known)),
        ]
    name = "" if reason.entity is None else shown(reason.entity)
    asked = shape.facts.format(item=shown(item), name=name, people=reason.people)
    return [*conversation, Turn(role="user", text=asked)]


def _kind(reason: Reason) -> str:
    if reason.kind == "liked item":
        return "had" if reason.people else "had alone"
    if reason.kind == "link":
        if not reason.joined:
            # The user is linked with what is named, in one way or another.
            return "attribute"
        return "link" if reason.had else "link alone"
    return reason.kind
