"""HTML and SVG elements as text; whatever is not markup already is escaped."""

import html


class Markup(str):
    """Text that is HTML already. Only `element`, `join` and constants make it."""

    __slots__ = ()


_VOID = {"img"}
"""What holds nothing in HTML, and has no end."""

Child = Markup | str | int | float | None


def element(tag: str, *children: Child, **attributes: object) -> Markup:
    """One element; children and attribute values are escaped unless they are markup.

    Args:
        tag: Its name.
        children: What it holds; None holds nothing.
        attributes: A trailing underscore is dropped and others become hyphens
            (`class_`, `text_anchor`); None leaves the attribute out.
    """
    words = [tag]
    for name, value in attributes.items():
        if value is not None:
            name = name.rstrip("_").replace("_", "-")
            words.append(f'{name}="{html.escape(str(value), quote=True)}"')
    start = f"<{' '.join(words)}>"
    return Markup(start if tag in _VOID else f"{start}{join(*children)}</{tag}>")


def join(*children: Child) -> Markup:
    """The children one after the other, escaped unless they are markup."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else html.escape(str(child), quote=True)
            for child in children
            if child is not None
        )
    )
