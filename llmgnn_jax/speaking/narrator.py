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
from llmgnn_jax.evidence.labels import Language
from llmgnn_jax.evidence.template import PHRASES, path_sentence, sentence
from llmgnn_jax.speaking.account import Account
from llmgnn_jax.speaking.checker import Checker
from llmgnn_jax.speaking.names import Names
from llmgnn_jax.speaking.prompts import turns
from llmgnn_jax.text.generation.chat import ChatPrompt, Turn
from llmgnn_jax.text.generation.generated import Generated
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
        tries: How often the decoder was asked until all of it was accepted.
        refusals: Why sentences were refused.
    """

    text: str
    cited: tuple[int, ...]
    used: Literal["decoder", "template"]
    tries: int = 0
    refusals: tuple[str, ...] = ()


class _Draft:
    """An explanation that is being written, a sentence a reason."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.sentences = [""] * len(account.reasons)
        self.refusals: list[str] = []
        self.rounds = 0

    @property
    def is_whole(self) -> bool:
        """Whether all of it is accepted; without reasons there is nothing to write."""
        return bool(self.sentences) and all(self.sentences)


class Narrator:
    """Tells evidence.

    Args:
        names: What the data call things.
        generator: Who writes; None for the template alone.
        highest_rating: 5 where ratings are stars; None where there are none.
        tries: How often a sentence is asked for: the first is the likeliest one, the
            others are drawn.
    """

    def __init__(
        self,
        *,
        names: Names,
        generator: Decoder | None = None,
        highest_rating: float | None = None,
        tries: int = 3,
    ) -> None:
        self.checker = Checker(names)
        self.generator = generator
        self._highest_rating = highest_rating
        self._tries = tries

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
        drafts = [_Draft(account) for account in accounts]
        for number in range(self._tries if self.generator is not None else 0):
            self._one_round(number, drafts, language, seed)
            if progress is not None:
                progress(sum(draft.is_whole for draft in drafts))
        return [self._told(draft, language) for draft in drafts]

    def _one_round(
        self, number: int, drafts: Sequence[_Draft], language: Language, seed: int
    ) -> None:
        """Asks for the sentences that are not there yet."""
        assert self.generator is not None
        left = [
            (draft, place)
            for draft in drafts
            for place, sentence in enumerate(draft.sentences)
            if not sentence
        ]
        if not left:
            return
        prompts = [
            self.generator.chat(
                turns(
                    draft.account.evidence.item,
                    draft.account.reasons[place],
                    place=place,
                    language=language,
                )
            )
            for draft, place in left
        ]
        written = self.generator.generate(
            prompts,
            max_new_tokens=_MOST_TOKENS,
            options=_DRAWN if number else _GREEDY,
            seed=seed + number,
        )
        for (draft, place), found in zip(left, written, strict=True):
            text = first_line(found.text)
            alone = draft.account.alone(draft.account.reasons[place])
            checked = self.checker.check(text, alone, language=language)
            draft.rounds = number + 1
            if checked.refusal:
                draft.refusals.append(checked.refusal)
            else:
                draft.sentences[place] = text

    def _told(self, draft: _Draft, language: Language) -> Told:
        if draft.is_whole:
            # Each by itself says nothing false; together they may repeat one another.
            text = ("" if language == "zh" else " ").join(draft.sentences)
            checked = self.checker.check(text, draft.account, language=language)
            if not checked.refusal:
                return Told(
                    text=checked.text,
                    cited=checked.cited,
                    used="decoder",
                    tries=draft.rounds,
                    refusals=tuple(draft.refusals),
                )
            draft.refusals.append(checked.refusal)
        text = by_template(draft.account, language=language)
        return Told(
            text=text,
            cited=tuple(sorted({int(one) for one in _CITED.findall(text)})),
            used="template",
            tries=draft.rounds,
            refusals=tuple(draft.refusals),
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


def first_line(text: str) -> str:
    """The paragraph that a text begins with: what follows is no answer any more."""
    return text.strip().partition("\n")[0].strip()
