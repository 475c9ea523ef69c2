"""What the clauses of a text claim, and which reasons of an account back it up."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from llmgnn_jax.speaking.account import Account
from llmgnn_jax.speaking.names import ItemName, Named
from llmgnn_jax.speaking.parsing import Found
from llmgnn_jax.speaking.phrasing import ClaimKind
from llmgnn_jax.speaking.reading import NAME, Reading, Refused
from llmgnn_jax.speaking.reasons import Reason

_ROUNDED = 0.0051
"""Amounts are told with two decimals."""

_AMBIGUOUS = "is unclear in what is meant: {words!r}"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One thing that a text says.

    Attributes:
        kind: Of the claim.
        of: What leads to the item; empty where the claim has none.
        to: The item.
        number: How many people, or which rating.
        highest: Of how many stars, None where that is not said.
        amount: What it says to add to the score.
    """

    kind: ClaimKind
    of: frozenset[Named]
    to: frozenset[Named]
    number: float | None = None
    highest: float | None = None
    amount: float | None = None


@dataclass(frozen=True, kw_only=True)
class Backed:
    """A reason that backs a claim up.

    Attributes:
        number: Of the reason in the account.
        people_stop: Where the claim's count of people ends in the skeleton, or 0.
    """

    number: int
    people_stop: int


def backed(
    clauses: Sequence[Found], reading: Reading, account: Account
) -> list[Backed]:
    """The reasons that back up all that the clauses claim.

    Raises:
        Refused: If a claim is false, or leaves open what it is about.
    """
    found = []
    for place, clause in enumerate(clauses):
        for claim in _claims(clause, clauses[:place], reading, account):
            if claim.kind in ("fits", "asked"):
                holds = _holds_without_reason(claim, account)
            else:
                reasons = [
                    number
                    for number, reason in enumerate(account.reasons)
                    if _backs(reason, claim, account)
                ]
                holds = bool(reasons)
                found += [
                    Backed(number=number, people_stop=clause.people_stop)
                    for number in reasons
                ]
            if not holds:
                raise Refused(f"says what is not so: {_words(clause, reading)!r}")
    return found


def _holds_without_reason(claim: Claim, account: Account) -> bool:
    if claim.amount is not None:
        return False
    if claim.kind == "asked":
        return account.was_asked(claim.of)
    return account.is_target(claim.to)


def _backs(reason: Reason, claim: Claim, account: Account) -> bool:
    """Whether a reason makes a claim true."""
    if claim.amount is not None and abs(claim.amount - reason.amount) > _ROUNDED:
        return False
    tells, target = account.tells(reason, claim.of), account.is_target(claim.to)
    counted = bool(reason.people) and claim.number == reason.people
    if claim.kind == "had":
        return tells and reason.had
    if claim.kind == "liked":
        return tells and reason.had and account.was_liked(reason)
    if claim.kind == "rated":
        return (
            tells
            and account.has_ratings
            and claim.number == reason.rating
            and claim.highest in (None, account.highest_rating)
        )
    if claim.kind == "both":
        either = (tells and target) or _is_turned(reason, claim, account)
        return reason.kind == "liked item" and counted and either
    if claim.kind == "leads":
        return tells and target
    if claim.kind == "linked":
        either = (tells and target) or _is_turned(reason, claim, account)
        return reason.kind == "link" and reason.joined and either
    if claim.kind == "belongs":
        return reason.kind == "attribute" and reason.joined and tells and target
    kind = "neighbour" if claim.kind == "had by" else "friend"
    return reason.kind == kind and counted and target


def _is_turned(reason: Reason, claim: Claim, account: Account) -> bool:
    """Whether it names the item first, and then what leads to it."""
    return account.tells(reason, claim.to) and account.is_target(claim.of)


def _claims(
    clause: Found, before: Sequence[Found], reading: Reading, account: Account
) -> Iterator[Claim]:
    """A claim for each kind of a clause, and for each of the names in a list."""
    target: frozenset[Named] = frozenset({ItemName(account.evidence.item.slot)})
    numbers = {
        name: reading.value(reading.skeleton[clause.groups[name][0]])
        for name in ("n", "of")
        if name in clause.groups
    }
    for kind in clause.kinds:
        to = target
        if "b" in clause.groups:
            to = _meant("b", clause, before, reading, target)[0]
        for of in _meant("a", clause, before, reading, target):
            yield Claim(
                kind=kind,
                of=of,
                to=to,
                number=numbers.get("n"),
                highest=numbers.get("of"),
                amount=clause.amount,
            )


def _meant(
    group: str,
    clause: Found,
    before: Sequence[Found],
    reading: Reading,
    target: frozenset[Named],
) -> list[frozenset[Named]]:
    """What stands in a group; what was named before, where there is no such group.

    "It" is the item that was named last, and the one that is explained where no item
    was.
    """
    start, stop = clause.groups.get(group, (clause.start, clause.start))
    if names := re.findall(NAME, reading.skeleton[start:stop]):
        return [reading.name(mark).of for mark in names]
    if start == stop and "both" in clause.kinds:
        _refuse_several(clause, reading, target)
    named = [
        (match.start(), reading.name(match[0]).of)
        for match in re.finditer(NAME, reading.skeleton[:start])
    ]
    items = [
        (place, of)
        for place, of in named
        if any(isinstance(one, ItemName) for one in of)
    ]
    if not items:
        return [target]
    place, of = items[-1]
    if start < stop and any(_lists(one, place, reading) for one in before):
        raise Refused(_AMBIGUOUS.format(words=_words(clause, reading)))
    return [of]


def _lists(clause: Found, place: int, reading: Reading) -> bool:
    """Whether one of several names in a list stands there: "it" is any of these."""
    start, stop = clause.groups.get("a", (0, 0))
    names = re.findall(NAME, reading.skeleton[start:stop])
    return start <= place < stop and len(names) > 1


def _refuse_several(clause: Found, reading: Reading, target: Collection[Named]) -> None:
    """ "This user had N and N, and 12 people had both": both of which?"""
    before = reading.skeleton[clause.sentence : clause.start]
    named = {reading.name(mark).of for mark in re.findall(NAME, before)}
    if sum(1 for one in named if not one & set(target)) != 1:
        raise Refused(_AMBIGUOUS.format(words=_words(clause, reading)))


def _words(clause: Found, reading: Reading) -> str:
    return reading.text[reading.places[clause.start] : reading.stop(clause.stop)]
