"""From the skeleton of a text to the clauses that it is made of, all of it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llmgnn_jax.speaking.phrasing import ClaimKind, Clause, Grammar
from llmgnn_jax.speaking.reading import Reading, Refused


@dataclass(frozen=True, kw_only=True)
class Found:
    """A clause of a text.

    Attributes:
        kinds: What it claims.
        groups: Where those of its pattern that are there stand in the skeleton.
        start: Where it begins in the skeleton.
        stop: Where it ends.
        sentence: Where its sentence begins.
        people_stop: Where a count of people ends, 0 without one.
        amount: What it says to add to the score, with its sign.
    """

    kinds: tuple[ClaimKind, ...]
    groups: dict[str, tuple[int, int]]
    start: int
    stop: int
    sentence: int
    people_stop: int = 0
    amount: float | None = None


def parsed(reading: Reading, grammar: Grammar) -> list[Found]:
    """The clauses of a text.

    Args:
        reading: The text.
        grammar: Of its language.

    Raises:
        Refused: If a part of the text is none; it says which.
    """
    found: list[Found] = []
    at = 0
    while at < len(reading.skeleton):
        sentence = _Sentence(reading, grammar, at)
        clauses = sentence.parsed()
        if clauses is None:
            raise Refused(_not_understood(reading, grammar, at, sentence.reached))
        found += clauses
        at = sentence.end
    return found


def _not_understood(reading: Reading, grammar: Grammar, start: int, place: int) -> str:
    """Names the first unknown word, else the words where a sentence went astray."""
    skeleton = reading.skeleton
    for word in re.finditer(r"[a-z]+(?:['-][a-z]+)*", skeleton[start:]):
        if grammar.words and word[0] not in grammar.words:
            return f"is not understood: {word[0]!r}"
    while skeleton.startswith(" ", place):
        place += 1
    if place >= len(skeleton):
        return "is unfinished"
    shown = " ".join(reading.text[reading.places[place] :].split()[:3])
    return f"is not understood: {shown[:40]!r}"


class _Sentence:
    """A sentence, from one place on, in all ways that a grammar can take it."""

    def __init__(self, reading: Reading, grammar: Grammar, start: int) -> None:
        self._reading, self._grammar, self._start = reading, grammar, start
        self._text = reading.skeleton
        self.reached, self.end = start, start

    def parsed(self) -> list[Found] | None:
        """The first way that takes all of it."""
        for clauses, at in self._ways():
            if stop := self._grammar.end.match(self._text, at):
                self.end = stop.end()
                return clauses
        return None

    def _ways(self) -> Iterator[tuple[list[Found], int]]:
        grammar, start = self._grammar, self._start
        # Facts; facts, so it fits.
        for facts, at in self._facts(start):
            yield facts, at
            if so := grammar.so.match(self._text, at):
                for fits, end in self._one_of(grammar.fits, so.end()):
                    yield [*facts, fits], end
        # Because of facts, it fits.
        for facts, at in self._because(start):
            if then := grammar.then.match(self._text, at):
                for fits, end in self._one_of(grammar.fits, then.end()):
                    yield [*facts, fits], end
        # It fits; it fits, since facts.
        for fits, at in self._one_of(grammar.fits, start):
            yield [fits], at
            if since := grammar.since.match(self._text, at):
                for facts, end in self._facts(since.end()):
                    yield [fits, *facts], end
            space = 1 if self._text.startswith(" ", at) else 0
            for cause, end in self._one_of(grammar.causes, at + space):
                yield [fits, cause], end

    def _because(self, at: int) -> Iterator[tuple[list[Found], int]]:
        for cause, end in self._one_of(self._grammar.causes, at):
            yield [cause], end
        if because := self._grammar.because.match(self._text, at):
            yield from self._facts(because.end())

    def _facts(self, at: int) -> Iterator[tuple[list[Found], int]]:
        for fact, end in self._one_of(self._grammar.facts, at):
            yield [fact], end
            if join := self._grammar.joins.match(self._text, end):
                for others, stop in self._facts(join.end()):
                    yield [fact, *others], stop

    def _one_of(
        self, clauses: Sequence[Clause], at: int
    ) -> Iterator[tuple[Found, int]]:
        self.reached = max(self.reached, at)
        for clause in clauses:
            if not (match := clause.pattern.match(self._text, at)):
                continue
            groups = {
                name: match.span(name) for name, one in match.groupdict().items() if one
            }
            end, amount = match.end(), None
            if adds := self._grammar.amount.match(self._text, end):
                value = self._reading.value(adds["amount"])
                amount, end = (value if adds["sign"] == "+" else -value), adds.end()
            self.reached = max(self.reached, end)
            yield (
                Found(
                    kinds=clause.kinds,
                    groups=groups,
                    start=at,
                    stop=match.end(),
                    sentence=self._start,
                    people_stop=groups["people"][1] if "people" in groups else 0,
                    amount=amount,
                ),
                end,
            )
