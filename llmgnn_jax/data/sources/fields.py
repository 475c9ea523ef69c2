"""What a single field of a file may be: a number, an id."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def number_of(text: str) -> float:
    """The number that a text is.

    `float` takes "1_000" too, as Python's source does; in a file it is a slip.

    Raises:
        ValueError: If it is none.
    """
    if "_" in text:
        raise ValueError(text)
    return float(text)


def number_or_nan(text: str) -> float:
    """`number_of`, or NaN."""
    try:
        return number_of(text)
    except ValueError:
        return float("nan")


def comma_hint(text: str) -> str:
    """What to do about a number that commas keep from being one; "" for the rest."""
    if "," in text and re.fullmatch(r"[-+]?\d[\d.,]*", text.strip()):
        return "write decimals with a point, and no comma between thousands"
    return ""


def is_blank(text: str) -> bool:
    """Whether it is empty, or of spaces alone."""
    return not text.strip()


def holds_control(text: str) -> bool:
    """Whether a control character is in it.

    A carriage return or a NUL in an id is what is left of a file that was mangled.
    """
    return _CONTROL.search(text) is not None
