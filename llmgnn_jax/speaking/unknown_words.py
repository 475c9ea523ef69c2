"""Words of a question that are neither the language's nor a name of the data."""

import re

from llmgnn_jax.speaking import grammar, grammar_zh
from llmgnn_jax.speaking.mentioned import NAMED

_CHINESE = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[^\W\d_\u3400-\u9fff][\w'’-]*|\d[\w.,-]*|[\u3400-\u9fff]+")
_QUOTED = re.compile(r"[\"“”]([^\"“”]+)[\"“”]|《([^》]+)》|「([^」]+)」")
_WORDS_ZH = sorted(grammar_zh.WORDS, key=len, reverse=True)


def unknown_words(left: str, line: str) -> tuple[str, ...]:
    """What is neither a name nor a word of a grammar, in its order.

    Words with capitals beside it belong to it, whatever they are a name of: who asks
    for "Stra Wars" does not ask for wars.

    Args:
        left: The question, with `NAMED` where something is named.
        line: All of it.
    """
    found = [next(filter(None, match.groups())) for match in _QUOTED.finditer(left)]
    found = list(filter(None, (one.strip(f" {NAMED}") for one in found)))
    left = _QUOTED.sub(lambda match: " " * len(match[0]), left)
    phrases: list[tuple[int, int]] = []
    for match in _WORD.finditer(left):
        word = match[0]
        if _CHINESE.match(word):
            known = _is_known_chinese(word)
        else:
            plain = re.sub(r"['’]s?$|\.+$", "", word.lower()).replace("’", "'")
            known = plain in grammar.WORDS
        if known and not (
            word[0].isupper() and phrases and _goes_on(left, phrases, match)
        ):
            continue
        if phrases and _goes_on(left, phrases, match):
            phrases[-1] = (phrases[-1][0], match.end())
        else:
            phrases.append(match.span())
    widened = dict.fromkeys(_widened(line, start, stop) for start, stop in phrases)
    return (*found, *widened)


def _widened(line: str, start: int, stop: int) -> str:
    if line[start].isupper():
        before = re.search(r"(?:(?<![.!?] )(?<!^)\b[A-Z][\w'’]* )+$", line[:start])
        after = re.match(r"(?:[ -][A-Z0-9][\w'’]*)+", line[stop:])
        start -= len(before[0]) if before else 0
        stop += after.end() if after else 0
    return line[start:stop].strip(" .,?!")


def _goes_on(left: str, phrases: list[tuple[int, int]], match: re.Match[str]) -> bool:
    """Whether a word belongs to the phrase before it: "Lord of the Rings"."""
    between = left[phrases[-1][1] : match.start()]
    small = re.fullmatch(r"[\s:,-]*(?:(?:of|the|and|a|an|in|to)\s+)*", between, re.I)
    first = left[phrases[-1][0]]
    both = first.isupper() and match[0][0].isupper()
    return small is not None and (both or not between.strip())


def _is_known_chinese(words: str) -> bool:
    for known in _WORDS_ZH:
        words = words.replace(known, "")
    return not words
