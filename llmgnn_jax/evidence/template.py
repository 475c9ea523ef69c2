"""An explanation in sentences, made from the evidence alone: no language model.

What is cited as [n] is the edge of that number; other users are counted, not named.
"""

from collections.abc import Mapping
from typing import TypeAlias

from llmgnn_jax.evidence.explanation import Entity, Evidence, EvidencePath
from llmgnn_jax.evidence.labels import Language, label_of, plain, titled
from llmgnn_jax.evidence.told import PathParts, told

MOST_PATHS = 5
"""Paths of edges that are told of."""

Phrases: TypeAlias = Mapping[str, str]

_ENGLISH: Phrases = {
    "opening": "{item} has the score {score} for {user}, {without} of it without any "
    "edge.",
    "liked": "{user} had {about} {cites} ({amount}).",
    "liked by 1": "{user} had {about} {cites}, and 1 other person had both ({amount}).",
    "liked by many": "{user} had {about} {cites}, and {people} other people had both "
    "({amount}).",
    "met": "{user} had it already {cites} ({amount}).",
    "neighbour": "Histories like this one lead to it {cites} ({amount}).",
    "neighbour by 1": "1 other person had it, with a history like this one {cites} "
    "({amount}).",
    "neighbour by many": "{people} other people had it, some with a history like this "
    "one {cites} ({amount}).",
    "met person": "{user} is linked with it already {cites} ({amount}).",
    "linked": "Others who are linked with it lead to it {cites} ({amount}).",
    "linked by 1": "1 other person is linked with it {cites} ({amount}).",
    "linked by many": "{people} other people are linked with it {cites} ({amount}).",
    "attribute": "{about} leads to it {cites} ({amount}).",
    "attribute of item": "It belongs to {about} {cites} ({amount}).",
    "friend": "Those whom {user} is linked with lead to it {cites} ({amount}).",
    "friend by 1": "1 of those whom {user} is linked with is linked with it {cites} "
    "({amount}).",
    "friend by many": "{people} of those whom {user} is linked with are linked with it "
    "{cites} ({amount}).",
    "link": "{about} leads to it by {relations} {cites} ({amount}).",
    "link of item": "{about} is linked with it by {relations} {cites} ({amount}).",
    "direct link": "{user} is linked with it by {relations} {cites} ({amount}).",
    "history text": "Of what edges add, {amount} is by texts: its text is like those "
    "of what {user} had{words}.",
    "history unlike": "Of what edges add, {amount} is by texts: its text is unlike "
    "those of what {user} had.",
    "profile text": "Of what there is without any edge, {amount} is by texts: its "
    "text is like what {user} says of themselves{words}.",
    "profile unlike": "Of what there is without any edge, {amount} is by texts: its "
    "text is unlike what {user} says of themselves.",
    "entity": "{kind} {name}",
    "words": "; words in common: {words}",
    "comma": ", ",
    "rest": "All other edges together: {rest}, {at_item} of it at the item itself.",
    "space": " ",
}

_CHINESE: Phrases = {
    "opening": "{item}对{user}的得分是{score}，其中{without}不靠任何一条边。",
    "liked": "{user}有过《{about}》{cites}（{amount}）。",
    "liked by 1": "{user}有过《{about}》{cites}，另有1人两者都有过（{amount}）。",
    "liked by many": "{user}有过《{about}》{cites}，另有{people}人两者都有过"
    "（{amount}）。",
    "met": "{user}已经有过它{cites}（{amount}）。",
    "neighbour": "相似的历史通向它{cites}（{amount}）。",
    "neighbour by 1": "另有1人有过它，其历史与此相似{cites}（{amount}）。",
    "neighbour by many": "另有{people}人有过它，其中一些人的历史与此相似{cites}"
    "（{amount}）。",
    "met person": "{user}已经与它相连{cites}（{amount}）。",
    "linked": "另一些与它相连的人通向它{cites}（{amount}）。",
    "linked by 1": "另有1人与它相连{cites}（{amount}）。",
    "linked by many": "另有{people}人与它相连{cites}（{amount}）。",
    "attribute": "{about}通向它{cites}（{amount}）。",
    "attribute of item": "它属于{about}{cites}（{amount}）。",
    "friend": "与{user}相连的人通向它{cites}（{amount}）。",
    "friend by 1": "与{user}相连的人中有1人与它相连{cites}（{amount}）。",
    "friend by many": "与{user}相连的人中有{people}人与它相连{cites}（{amount}）。",
    "link": "《{about}》经由“{relations}”通向它{cites}（{amount}）。",
    "link of item": "《{about}》与它之间有“{relations}”{cites}（{amount}）。",
    "direct link": "{user}与它之间有“{relations}”{cites}（{amount}）。",
    "history text": "各条边的贡献中，{amount}来自文字：它的文字与{user}有过的"
    "相近{words}。",
    "history unlike": "各条边的贡献中，{amount}来自文字：它的文字与{user}有过的"
    "不相近。",
    "profile text": "没有边时的得分中，{amount}来自文字：它的文字与{user}的自述"
    "相近{words}。",
    "profile unlike": "没有边时的得分中，{amount}来自文字：它的文字与{user}的自述"
    "不相近。",
    "entity": "{kind}“{name}”",
    "words": "，共同的词：{words}",
    "comma": "、",
    "rest": "其余的边合计{rest}，其中与它直接相连的边占{at_item}。",
    "space": "",
}

PHRASES: Mapping[Language, Phrases] = {"en": _ENGLISH, "zh": _CHINESE}


def sentence(evidence: Evidence, *, language: Language = "en") -> str:
    """Why the item has its score, in a few sentences that cite their edges.

    Their amounts add up to the score; what texts add is told last, as a part of them.
    """
    phrases = PHRASES[language]
    opening = phrases["opening"].format(
        item=titled(evidence, language),
        user=label_of(evidence, evidence.user, language),
        score=f"{evidence.score:.2f}",
        without=f"{evidence.score_without_edges:.2f}",
    )
    # A title is written as it is.
    sentences = [_begun(opening) if evidence.item.is_person else opening]
    by_edges = [path for path in evidence.paths if path.kind != "text"][:MOST_PATHS]
    by_texts = [path for path in evidence.paths if path.kind == "text"]
    amounts = [told(evidence, path).amount for path in by_edges]
    rest = evidence.score - evidence.score_without_edges - sum(amounts)
    sentences += [path_sentence(evidence, path, language=language) for path in by_edges]
    sentences.append(
        phrases["rest"].format(
            rest=signed(rest), at_item=signed(evidence.others_at_item)
        )
    )
    sentences += [path_sentence(evidence, path, language=language) for path in by_texts]
    return phrases["space"].join(sentences)


def path_sentence(
    evidence: Evidence, path: EvidencePath, *, language: Language = "en"
) -> str:
    """What one path says, with its amount and its citations."""
    phrases, parts = PHRASES[language], told(evidence, path)
    text = evidence.text
    shared = phrases["comma"].join(text.words) if text is not None else ""
    made = phrases[_phrase(evidence, path, parts)].format(
        user=label_of(evidence, evidence.user, language),
        about=_about(evidence, parts.about, language),
        relations=phrases["comma"].join(map(plain, parts.relations)),
        people=path.people,
        cites=cites(path.edges),
        amount=signed(parts.amount),
        words=phrases["words"].format(words=shared) if shared else "",
    )
    return _begun(made)


def _begun(sentence_: str) -> str:
    return sentence_[0].upper() + sentence_[1:]


def _about(evidence: Evidence, about: Entity | None, language: Language) -> str:
    if about is None:
        return ""
    name = label_of(evidence, about, language)
    if about.kind != "other" or not about.label or about.name != about.id:
        # A title says by itself what it is of.
        return name
    kind = plain(about.relation_kind)
    return PHRASES[language]["entity"].format(kind=kind, name=name)


def _phrase(evidence: Evidence, path: EvidencePath, parts: PathParts) -> str:
    """Which phrase tells it."""
    by = "" if not path.people else " by 1" if path.people == 1 else " by many"
    if path.kind == "text":
        assert evidence.text is not None
        whose = "history" if evidence.text.from_history else "profile"
        return f"{whose} text" if parts.amount >= 0 else f"{whose} unlike"
    if path.kind == "liked item":
        met = "met person" if evidence.item.is_person else "met"
        return met if parts.about is None else f"liked{by}"
    if path.kind == "neighbour" and evidence.item.is_person:
        return f"linked{by}"
    if path.kind == "link" and parts.about is None:
        return "direct link"
    if path.kind in ("attribute", "link"):
        return f"{path.kind} of item" if parts.to_item else path.kind
    return f"{path.kind}{by}"


def cites(numbers: tuple[int, ...]) -> str:
    """[1][4]."""
    return "".join(f"[{number}]" for number in numbers)


def signed(amount: float) -> str:
    """An amount of a score with its sign."""
    return f"{amount:+.2f}"
