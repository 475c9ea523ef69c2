"""Words that sentences may not have, and those that they may begin with."""

import re

from llmgnn_jax.evidence.labels import Language

# Evidence is of what speaks for an item; what turns it round is refused unread.
_NEGATION = {
    "en": re.compile(
        r"\b(?:not|never|no|nor|none|nothing|nobody|neither|without|cannot|hardly"
        r"|unlike|despite|although|however|but|instead|dislik\w*|hat(?:e|es|ed|ing)"
        r"|avoid\w*|bor(?:ed|ing)|bad|worse|worst|poor\w*|disappoint\w*"
        r"|fail(?:s|ed)?|refus\w*|unfortunately)\b|n['’]t\b",
        re.IGNORECASE,
    ),
    "zh": re.compile("不|没|未|无|别|勿|讨厌|反感|虽然|但"),
}
_ITSELF = {
    "en": re.compile(
        r"\b(?:i|i['’]m|me|my|mine|we|us|our|ai|language model|assistant|chatbot|sorry"
        r"|as an|here is|here are|sure|note|prompt|instruction\w*|system|evidence"
        r"|facts?|sentences?|explanations?|example|json|print\w*|ignor\w*)\b",
        re.IGNORECASE,
    ),
    "zh": re.compile("我|人工智能|语言模型|助手|抱歉|对不起|提示|指令|系统|忽略"),
}
# What no graph of who had what can tell.
_UNTOLD = {
    "en": re.compile(
        r"\b(?:direct(?:or|ors|ed|s|ing)|star(?:s|red|ring)|actors?|actress\w*|cast"
        r"|awards?|oscars?|nominat\w*|acclaim\w*|critic\w*|box.office|famous|popular"
        r"|best.?sell\w*|bestseller\w*|sequels?|prequels?|plots?|story|stories|tale"
        r"|novel|book|author|written|wrote|soundtrack|director's|based in|set in|about"
        r"|ids?|password\w*|e-?mail\w*|address\w*|age|aged|gender|man|woman|male"
        r"|female|zip|live[sd]?)\b",
        re.IGNORECASE,
    ),
    "zh": re.compile("导演|主演|演员|获奖|奥斯卡|票房|作者|密码|邮箱|地址|年龄|性别"),
}
_MARKUP = re.compile(r"[<>{}\[\]|#*_`~^\\=@$%&]|https?:|www\.|/{2}|\.{3}|…")

_EVERYDAY = """
    a after all also an and another as at based because being both by considering due
    each every everyone fans few following for from given giving having he her his if
    in it its just like liking many more most much now of on once one other others over
    people perfect plenty probably rated recommended seeing several she similar since
    so some such taken that the their them then there these they this those though to
    together two users very viewers was watching what when which while who whoever with
    would yes you your item items film films movie movies user
"""
_STARTERS = frozenset(_EVERYDAY.split())


def refused_wording(text: str, language: Language) -> str | None:
    """Why the words of a sentence are refused, whatever they are about.

    Args:
        text: With private characters in the place of names that may stand there.
        language: Of the sentence.
    """
    for reason, pattern in (
        ("markup", _MARKUP),
        ("speaks of itself", _ITSELF[language]),
        ("negates", _NEGATION[language]),
        ("tells what the evidence does not", _UNTOLD[language]),
    ):
        if found := pattern.search(text):
            return f"{reason}: {found[0]!r}"
    return None


def may_begin(word: str) -> bool:
    """Whether a word is an everyday one at the start of a sentence."""
    return word.lower().replace("’", "'").removesuffix("'s") in _STARTERS
