"""`Narrator`: explanations in a decoder's words where they hold, else by template.

    narrator = Narrator(names=Names.of(dataset), generator=TextGenerator.load(...))
    told, = narrator.tell([recommender.explain(user="196", item="Fargo")])
    told.text     # 'This user had "Get Shorty (1995)" [1][4], and 120 people ...'

A decoder writes, the checker reads; what it refuses is drawn again, and after the last
try the template speaks. Whichever it is, the citations are those of the account.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from llmgnn_jax.evidence.explanation import Evidence
from llmgnn_jax.evidence.template import PHRASES, path_sentence, sentence
from llmgnn_jax.speaking.account import Account
from llmgnn_jax.speaking.checker import Checker
from llmgnn_jax.speaking.names import Names
from llmgnn_jax.speaking.prompts import turns
from llmgnn_jax.speaking.wording import Language
from llmgnn_jax.text.generation.chat import ChatPrompt, Turn
from llmgnn_jax.text.generation.generator import Generated
from llmgnn_jax.text.generation.sampling import SamplingOptions

_MOST_TOKENS = 96
_GREEDY = SamplingOptions()
_DRAWN = SamplingOptions(temperature=0.7, top_p=0.95)
_CITED = re.compile(r"\[(\d+)\]")


class Decoder(Protocol):
    """What a `TextGenerator` is to a narrator."""

    def chat(self, turns: Sequence[Turn]) -> ChatPrompt:
        """The prompt of a conversation."""
        ...

    def generate(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        options: SamplingOptions,
        seed: int,
    ) -> list[Generated]:
        """Goes on from each prompt."""
        ...


@dataclass(frozen=True, kw_only=True)
class Told:
    """An explanation in words.

    Attributes:
        text: With citations.
        cited: The numbers of the edges that it cites, ascending.
        used: Who wrote it.
        tries: How many texts the decoder wrote for it, the accepted one counted.
        refusals: Why those before it were refused.
    """

    text: str
    cited: tuple[int, ...]
    used: Literal["decoder", "template"]
    tries: int = 0
    refusals: tuple[str, ...] = ()


class Narrator:
    """Tells evidence.

    Args:
        names: What the data call things.
        generator: Who writes; None for the template alone.
        highest_rating: 5 where ratings are stars; None where there are none.
        tries: Rounds: the first one is the likeliest text, the others are drawn.
        samples: Texts that are drawn for each explanation in a round.
    """

    def __init__(
        self,
        *,
        names: Names,
        generator: Decoder | None = None,
        highest_rating: float | None = None,
        tries: int = 3,
        samples: int = 2,
    ) -> None:
        self.checker = Checker(names)
        self.generator = generator
        self._highest_rating = highest_rating
        self._tries, self._samples = tries, samples

    def account(self, evidence: Evidence, *, asked: Iterable[str] = ()) -> Account:
        """What an explanation of some evidence says."""
        return Account.of(evidence, asked=asked, highest_rating=self._highest_rating)

    def tell(
        self,
        evidences: Sequence[Evidence],
        *,
        asked: Iterable[str] = (),
        language: Language = "en",
        seed: int = 0,
        progress: Callable[[int], None] | None = None,
    ) -> list[Told]:
        """Explanations, in the order of the evidence.

        Args:
            evidences: What is explained.
            asked: Genres and others that a question named.
            language: Of the sentences.
            seed: Of what is drawn.
            progress: Called with the number of explanations that are accepted.
        """
        asked = tuple(asked)
        accounts = [self.account(one, asked=asked) for one in evidences]
        found: dict[int, Told] = {}
        refusals: dict[int, list[str]] = {row: [] for row in range(len(accounts))}
        for number in range(self._tries if self.generator is not None else 0):
            left = [
                row
                for row, account in enumerate(accounts)
                if row not in found and account.reasons
            ]
            self._one_round(number, left, accounts, found, refusals, language, seed)
            if progress is not None:
                progress(len(found))
        return [
            found.get(row) or self._by_template(account, refusals[row], language)
            for row, account in enumerate(accounts)
        ]

    def _one_round(
        self,
        number: int,
        rows: Sequence[int],
        accounts: Sequence[Account],
        found: dict[int, Told],
        refusals: dict[int, list[str]],
        language: Language,
        seed: int,
    ) -> None:
        assert self.generator is not None
        repeated = [row for row in rows for _ in range(self._samples if number else 1)]
        if not repeated:
            return
        prompts = {
            row: self.generator.chat(turns(accounts[row], language=language))
            for row in rows
        }
        written = self.generator.generate(
            [prompts[row] for row in repeated],
            max_new_tokens=_MOST_TOKENS,
            options=_DRAWN if number else _GREEDY,
            seed=seed + number,
        )
        for row, text in zip(repeated, written, strict=True):
            if row in found:
                continue
            checked = self.checker.check(
                first_lines(text.text), accounts[row], language=language
            )
            if checked.refusal:
                refusals[row].append(checked.refusal)
                continue
            found[row] = Told(
                text=checked.text,
                cited=checked.cited,
                used="decoder",
                tries=len(refusals[row]) + 1,
                refusals=tuple(refusals[row]),
            )

    def _by_template(
        self, account: Account, refusals: Sequence[str], language: Language
    ) -> Told:
        text = by_template(account, language=language)
        return Told(
            text=text,
            cited=tuple(sorted({int(one) for one in _CITED.findall(text)})),
            used="template",
            tries=len(refusals),
            refusals=tuple(refusals),
        )


def by_template(account: Account, *, language: Language = "en") -> str:
    """What an account holds, without a decoder."""
    evidence, phrases = account.evidence, PHRASES[language]
    if not account.reasons:
        return sentence(evidence, language=language)
    numbers = [reason.edges for reason in account.reasons]
    return phrases["space"].join(
        path_sentence(evidence, path, language=language)
        for path in evidence.paths
        if path.edges in numbers
    )


def first_lines(text: str) -> str:
    """The paragraph that a text begins with: what follows is no answer any more."""
    return text.strip().partition("\n")[0].strip()
