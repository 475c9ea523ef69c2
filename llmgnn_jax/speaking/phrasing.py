"""The sentences that are understood: what they claim, as patterns of a skeleton.

In the patterns N is a name, IT a name or "it", LIST some names, PEOPLE a count of
people, and USER the user who is asked about. Their groups: `a` what leads to the item,
`b` the item, `n` a number, `people` where a count is cited. Without an `a` it is the
item that was named last, without a `b` the one that is explained.

There is no word here for what an account cannot hold: who directed a film, who is whose
friend, what came first. A word that is added here has to be true of every account that
`claims` backs it up by.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from llmgnn_jax.evidence.labels import Language
from llmgnn_jax.speaking.reading import NAME, NUMBER

ClaimKind: TypeAlias = Literal[
    "had",  # The user had a.
    "liked",  # The user gave a much.
    "rated",  # The user gave a so much.
    "both",  # n other users had a and b.
    "leads",  # a leads to b, in whatever way.
    "linked",  # a and b are linked.
    "belongs",  # b belongs to a, a genre say.
    "had by",  # n other users had b.
    "linked people",  # n of those whom the user is linked with had b.
    "asked",  # a was asked for.
    "fits",  # b is recommended.
]


@dataclass(frozen=True, kw_only=True)
class Clause:
    """A way to say something.

    Attributes:
        kinds: What it claims, of the same names.
        pattern: Of the skeleton.
    """

    kinds: tuple[ClaimKind, ...]
    pattern: re.Pattern[str]


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """Of a language: facts, what follows from them, and how they are put together.

    Attributes:
        facts: What evidence backs up.
        causes: Facts as what they are a cause of goes on: "because of N".
        fits: That the item is recommended, and nothing else: a cause of anything else
            is told by no evidence.
        joins: Between facts.
        amount: What a fact adds to the score, behind it.
        so: Between facts and what fits.
        because: Before facts from which something follows.
        then: Behind them.
        since: Between what fits and facts.
        end: Of a sentence.
        words: Those of the facts and of what fits, for who wants to know which word is
            not understood.
    """

    facts: tuple[Clause, ...]
    causes: tuple[Clause, ...]
    fits: tuple[Clause, ...]
    joins: re.Pattern[str]
    amount: re.Pattern[str]
    so: re.Pattern[str]
    because: re.Pattern[str]
    then: re.Pattern[str]
    since: re.Pattern[str]
    end: re.Pattern[str]
    words: frozenset[str]


_Table: TypeAlias = tuple[tuple[str, str], ...]

_ENGLISH = {
    "SOME": "(?:, some(?: of them)? with a history like (?:this one|that of USER))?",
    "PEOPLE": "(?P<people>#(?: other)? (?:people|persons?|users?|others))",
    "THOSE": "(?:of|among) (?:those|(?:the |all )?(?:other )?(?:people|users))",
    "LISTED": "N(?:, N)*,? and N|N",
    "USER": "(?:(?:this|the) )?user",
    "HAD": "(?:also |already )?(?:had|has|has had)",
    "LIKED": "(?:also )?(?:liked|likes|enjoyed|enjoys)",
    "TOO": "(?:,? too|,? as well)?",
    "MAY": "(?:may|might|could|would)(?: also| well| probably)?",
    "IT": "(?:N|it)",
}
_ENGLISH_FACTS: _Table = (
    ("had", "USER HAD (?P<a>LISTED)TOO"),
    ("had", "(?:the )?history of USER (?:has|holds|includes) (?P<a>LISTED)"),
    ("liked", "USER LIKED (?P<a>LISTED)TOO"),
    (
        "rated",
        "USER (?:gave|rated) (?P<a>IT)(?: with)?(?: a rating of)? #(?: stars?)?"
        "(?:(?: out)? of (?P<of>_))?",
    ),
    ("both", "PEOPLE who HAD (?P<a>IT) HAD (?P<b>IT)TOO"),
    ("both", "PEOPLE with (?P<a>IT) HAD (?P<b>IT)TOO"),
    ("both", "PEOPLE HAD (?:both )?(?P<a>IT) and (?P<b>IT)TOO"),
    ("both", "PEOPLE HAD both(?: of them)?"),
    (
        "both",
        "THOSE (?:who HAD|with) (?P<a>IT)[,:]? PEOPLE HAD (?P<b>IT)TOO",
    ),
    (
        "had, both",
        "THOSE (?:who HAD|with) (?P<a>IT) like USER[,:]? PEOPLE HAD (?P<b>IT)TOO",
    ),
    (
        "both",
        "(?P<people>#) of (?:those|the (?:people|users|others)) (?:who HAD|with) "
        "(?P<a>IT) HAD (?P<b>IT)TOO",
    ),
    ("both", "both (?P<a>IT) and (?P<b>IT) were had by PEOPLE"),
    ("both", "(?P<a>IT) and (?P<b>IT) were both had by PEOPLE"),
    ("both", "(?P<a>IT) and (?P<b>IT) have PEOPLE in common"),
    ("both", "(?P<b>IT) was (?:also )?had by PEOPLE (?:who HAD|with) (?P<a>IT)TOO"),
    ("both", "which PEOPLE HAD (?:together|along) with (?P<b>IT)"),
    (
        "had, both",
        "USER HAD (?P<a>N),? (?:as|and so) did PEOPLE (?:who HAD|with) (?P<b>IT)",
    ),
    ("leads", "(?:(?P<a>LISTED|it)|which) leads?(?: USER)? to (?P<b>IT)"),
    ("leads", "it is (?P<a>N) that leads USER to (?P<b>IT)"),
    ("leads", "by (?P<a>LISTED),? USER comes to (?P<b>IT)"),
    ("leads", "(?P<b>IT) goes (?:well )?with (?P<a>LISTED)"),
    ("had, leads", "from (?P<a>N), which USER HAD, the way leads to (?P<b>IT)"),
    ("linked", "(?:(?P<a>IT)|which) is linked (?:to|with) (?P<b>IT)"),
    ("linked", "(?:a|the) link leads from (?P<a>N) to (?P<b>IT)"),
    ("had, linked", "from (?P<a>N), which USER HAD, a link leads to (?P<b>IT)"),
    ("belongs", "(?P<b>IT) (?:is(?: a| an| of)?|belongs to) (?P<a>LISTED)"),
    ("had by", "PEOPLE HAD (?P<b>IT)TOOSOME"),
    ("had by", "(?P<b>IT) was (?:also )?had by PEOPLESOME"),
    (
        "linked people",
        "(?P<people>#) of those whom USER is linked with "
        "(?:HAD|(?:is|are) linked with) (?P<b>IT)TOO",
    ),
    ("linked people", "of those whom USER is linked with, PEOPLE HAD (?P<b>IT)TOO"),
    ("asked", "as (?P<a>LISTED) was asked for"),
)
_ENGLISH_FITS: _Table = (
    ("fits", "(?P<b>IT) (?:is|was) recommended(?: (?:to|for) USER)?TOO"),
    ("fits", "(?P<b>IT) (?:MAY )?(?:fits?|suits?)(?: well)?(?: USER)?"),
    ("fits", "USER MAY (?:like|enjoy) (?P<b>IT)TOO"),
)
_CHINESE = {
    "PEOPLE": "(?:另有|另外有|其中有?|有)?"
    "(?P<people>#(?:位|名|个)?(?:其他)?(?:人|用户))",
    "OF": "的(?:人|用户)(?:中|里|当中|之中),?",
    "LISTED": "N(?:[、和与及]N)*",
    "USER": "(?:这位|这个|该)?用户",
    "HAD": "(?:也|还|都|曾|曾经|已经)?有过",
    "MAY": "(?:也|还)?(?:可能|或许|也许)(?:也|还)?(?:会)?",
    "IT": "(?:N|它)",
}
_CHINESE_FACTS: _Table = (
    ("had", "USERHAD(?P<a>LISTED)"),
    ("liked", "USER(?:也|还)?(?:很)?喜欢(?P<a>LISTED)"),
    ("rated", "USER给(?P<a>IT)打了#[分星]"),
    ("both", "HAD(?P<a>IT)OFPEOPLE(?:HAD它,)?HAD(?P<b>IT)"),
    ("both", "PEOPLE(?:两者|两个)都有过"),
    ("both", "PEOPLE(?:既|同时)有过(?P<a>IT),?(?:也有过|又有过|和)(?P<b>IT)"),
    ("both", "(?P<a>IT)和(?P<b>IT)PEOPLE都有过"),
    ("had, both", "(?:与|和|像)USER一样HAD(?P<a>N)OFPEOPLE(?:既有过它,)?HAD(?P<b>IT)"),
    ("leads", "(?P<a>LISTED|它)(?:都)?通向(?P<b>IT)"),
    ("leads", "(?:正是)?(?P<a>LISTED)把USER引向(?P<b>IT)"),
    ("leads", "USER(?:由|经由|通过)(?P<a>LISTED)(?:来到|走向)(?P<b>IT)"),
    ("linked", "(?P<a>IT)与(?P<b>IT)相连"),
    ("belongs", "(?P<b>IT)(?:属于|是)(?P<a>LISTED)(?:类|类型)?"),
    ("had by", "PEOPLEHAD(?P<b>IT)(?:,其中一些人的历史与(?:此|USER)相似)?"),
    ("linked people", "与USER相连的人(?:中|里),?PEOPLE(?:HAD|与)(?P<b>IT)(?:相连)?"),
)
_CHINESE_FITS: _Table = (
    ("fits", "(?:把)?推荐(?P<b>IT)(?:给USER)?"),
    ("fits", "(?:向|为|给)USER推荐(?P<b>IT)"),
    ("fits", "(?P<b>IT)(?:MAY)?适合USER"),
    ("fits", "USERMAY喜欢(?P<b>IT)"),
)


def _compiled(pattern: str, words: Mapping[str, str]) -> re.Pattern[str]:
    for word, meant in words.items():
        pattern = pattern.replace(word, meant)
    pattern = pattern.replace("#", f"(?P<n>{NUMBER})").replace("_", NUMBER)
    return re.compile(pattern.replace("N", NAME))


def _clauses(table: _Table, words: Mapping[str, str]) -> tuple[Clause, ...]:
    return tuple(
        Clause(
            kinds=tuple(cast(ClaimKind, kind) for kind in kinds.split(", ")),
            pattern=_compiled(pattern, words),
        )
        for kinds, pattern in table
    )


def _words(*patterns: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", " ".join(patterns)))


_AMOUNT = re.compile(rf" ?\((?P<sign>[+−-])(?P<amount>{NUMBER})\)")

GRAMMARS: Mapping[Language, Grammar] = {
    "en": Grammar(
        facts=_clauses(_ENGLISH_FACTS, _ENGLISH),
        causes=_clauses((("leads", "because of (?P<a>LISTED)"),), _ENGLISH),
        fits=_clauses(_ENGLISH_FITS, _ENGLISH),
        joins=re.compile(r",? and |[,;] "),
        amount=_AMOUNT,
        so=re.compile(r",? (?:and )?(?:so|hence|therefore),? |, which is why "),
        because=re.compile(r"(?:because|since|as) "),
        then=re.compile(r", (?:so )?"),
        since=re.compile(r",? (?:because|since|as) |: "),
        end=re.compile(r"[.!](?: |$)"),
        words=_words(
            *_ENGLISH.values(),
            *(pattern for _, pattern in _ENGLISH_FACTS + _ENGLISH_FITS),
            "and so hence therefore which is why because since as of person fit suit",
        ),
    ),
    "zh": Grammar(
        facts=_clauses(_CHINESE_FACTS, _CHINESE),
        causes=_clauses((("leads", "因为(?P<a>LISTED)"),), _CHINESE),
        fits=_clauses(_CHINESE_FITS, _CHINESE),
        joins=re.compile("[,;](?:而且|并且|同时|而|且|在)?"),
        amount=_AMOUNT,
        so=re.compile("[,;]?(?:所以|因此|因而)"),
        because=re.compile("因为|由于"),
        then=re.compile("[,;](?:所以|因此)?"),
        since=re.compile("[,;]?(?:因为|由于)|:"),
        end=re.compile("[.!]"),
        words=frozenset(),
    ),
}
