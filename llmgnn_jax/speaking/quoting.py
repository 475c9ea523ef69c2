"""Words of others, as data: titles and tags in prompts and in answers."""

import unicodedata

LONGEST = 80
"""Characters of a title that are shown."""

_PLAINER = str.maketrans(
    {**dict.fromkeys('"“”„«»《》〈〉「」『』', "'"), "[": "(", "]": ")"}
)


def quoted(text: str) -> str:
    """A name on one line, cut, without what could be taken for anything but a name.

    Control characters, marks of direction and whatever else is invisible are left out,
    and quotes in it become single ones, so that it cannot end the quotes around it, nor
    look like a citation.
    """
    plain = unicodedata.normalize("NFKC", text)
    shown = "".join(
        one if unicodedata.category(one)[0] != "C" else " " for one in plain
    )
    line = " ".join(shown.translate(_PLAINER).split())
    if len(line) <= LONGEST:
        return line
    return line[: LONGEST - 1].rstrip() + "…"
