"""Prompts that ask a decoder to say what an account holds.

A prompt holds the item, the reasons and nothing else: no other user, no text that a
user wrote, and of the catalogue the names alone, each as one line in quotes. Two worked
examples come before it as turns of the conversation; their names are of no catalogue,
so that what a decoder copies from them is refused.
"""

from collections.abc import Sequence

from llmgnn_jax.speaking.account import Account
from llmgnn_jax.speaking.quoting import quoted
from llmgnn_jax.speaking.reasons import Reason
from llmgnn_jax.speaking.wording import Language
from llmgnn_jax.text.generation.chat import Turn

_SYSTEM = {
    "en": "You explain recommendations. You say each fact once, in one plain sentence.",
    "zh": "你用一句简短的中文解释推荐。每个事实只说一次，只说给出的事实。",
}
_ASKED = {"en": "Why?", "zh": "为什么？"}


def turns(account: Account, *, language: Language = "en") -> list[Turn]:
    """The conversation that asks for an explanation."""
    shapes = [_shape(reason) for reason in account.reasons]
    examples = _EXAMPLES[language]
    chosen = [one for one in examples if one[0] == shapes]
    # Those of the same reasons last: they are copied most.
    others = [one for one in examples if one not in chosen]
    conversation = [Turn(role="system", text=_SYSTEM[language])]
    for _, asked, answer in [*others, *chosen][-2:]:
        conversation += [
            Turn(role="user", text=f"{asked}\n{_ASKED[language]}"),
            Turn(role="assistant", text=answer),
        ]
    said = "\n".join(facts(account, language=language))
    conversation.append(Turn(role="user", text=f"{said}\n{_ASKED[language]}"))
    return conversation


def facts(account: Account, *, language: Language = "en") -> list[str]:
    """What an account holds, a line each."""
    item = quoted(account.evidence.item.label)
    lines = [_ITEM[language].format(item=item)]
    for number, reason in enumerate(account.reasons, start=1):
        lines.append(f"{number}. {fact(reason, language=language)}")
    return lines


def fact(reason: Reason, *, language: Language = "en") -> str:
    """A reason as one plain line."""
    name = "" if reason.entity is None else quoted(reason.entity.label)
    known = {"name": name, "people": reason.people}
    return _FACTS[language][_shape(reason)].format(**known)


def _shape(reason: Reason) -> str:
    """Which of the kinds of facts it is."""
    if reason.kind == "liked item":
        return "had" if reason.people else "had alone"
    return reason.kind


_ITEM = {"en": 'Recommended: "{item}"', "zh": "推荐：《{item}》"}
_FACTS = {
    "en": {
        "had": 'This user had "{name}". {people} people had both.',
        "had alone": 'This user had "{name}".',
        "neighbour": "{people} people had it.",
        "attribute": 'It goes with "{name}", as other choices of this user do.',
        "friend": "{people} friends of this user had it.",
        "link": 'It is linked to "{name}", which this user had.',
    },
    "zh": {
        "had": "这位用户有过《{name}》。{people}人两者都有过。",
        "had alone": "这位用户有过《{name}》。",
        "neighbour": "{people}人有过它。",
        "attribute": "它属于“{name}”，这位用户的其他选择也是。",
        "friend": "这位用户的{people}位朋友有过它。",
        "link": "它与这位用户有过的《{name}》相连。",
    },
}
_EXAMPLES: dict[Language, list[tuple[list[str], str, str]]] = {
    "en": [
        (
            ["had"],
            'Recommended: "Quillmere (1971)"\n'
            '1. This user had "Dornwick (1983)". 38 people had both.',
            'This user had "Dornwick (1983)", and 38 people had both that and '
            '"Quillmere (1971)".',
        ),
        (
            ["neighbour"],
            'Recommended: "Quillmere (1971)"\n1. 54 people had it.',
            '"Quillmere (1971)" was chosen by 54 people whose taste is close to that '
            "of this user.",
        ),
        (
            ["attribute"],
            'Recommended: "Quillmere (1971)"\n'
            '1. It goes with "Zelbeat", as other choices of this user do.',
            '"Quillmere (1971)" goes with "Zelbeat", which this user often chooses.',
        ),
        (
            ["friend"],
            'Recommended: "Quillmere (1971)"\n1. 4 friends of this user had it.',
            '4 friends of this user had "Quillmere (1971)", so it may well please them '
            "too.",
        ),
        (
            ["had", "neighbour"],
            'Recommended: "Quillmere (1971)"\n'
            '1. This user had "Dornwick (1983)". 38 people had both.\n'
            "2. 54 people had it.",
            'This user had "Dornwick (1983)", which 38 people had together with '
            '"Quillmere (1971)", and 54 people with a similar taste chose it.',
        ),
        (
            ["had", "had"],
            'Recommended: "Velmora, The (1996)"\n'
            '1. This user had "Ostrava Kid (1990)". 112 people had both.\n'
            '2. This user had "Brine, The (1988)". 67 people had both.',
            'This user had "Ostrava Kid (1990)", as did 112 people who had "Velmora, '
            'The (1996)", and "Brine, The (1988)", which 67 people had as well.',
        ),
    ],
    "zh": [
        (
            ["had"],
            "推荐：《奎尔》\n1. 这位用户有过《多恩》。38人两者都有过。",
            "这位用户有过《多恩》，有38人也同时有过《奎尔》。",
        ),
        (
            ["had", "had"],
            "推荐：《维尔》\n1. 这位用户有过《奥斯》。112人两者都有过。\n"
            "2. 这位用户有过《布林》。67人两者都有过。",
            "这位用户有过《奥斯》，112人两者都有过；还有过《布林》，67人两者都有过。",
        ),
    ],
}


def shapes(reasons: Sequence[Reason]) -> tuple[str, ...]:
    """The kinds of facts of some reasons."""
    return tuple(map(_shape, reasons))
