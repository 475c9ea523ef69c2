"""An SVG document as a PNG: by resvg, which is an extra and brings no fonts."""

from typing import Any

from llmgnn_jax.errors import UserError

_FAMILIES = (
    *("Arial", "Helvetica", "DejaVu Sans", "Liberation Sans", "Noto Sans"),
    *("Segoe UI", "Roboto", "Ubuntu", "Cantarell", "FreeSans"),
)
_TEXT = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">'
    '<text x="2" y="15" font-family="sans-serif" font-size="12">{}</text></svg>'
)


def check_renderer() -> None:
    """Passes only if a PNG with words can be made here.

    Raises:
        UserError: If the package or a font is missing.
    """
    _family(_renderer())


def png(drawing: str) -> bytes:
    """The picture, a pixel a unit.

    Raises:
        UserError: As `check_renderer`.
    """
    renderer = _renderer()
    family = _family(renderer)
    made = renderer.svg_to_bytes(svg_string=drawing, sans_serif_family=family)
    return bytes(made)


def _renderer() -> Any:
    try:
        import resvg_py
    except ImportError:
        raise UserError.field(
            "--out",
            expected="the package resvg_py for a .png",
            got="an installation without it",
            fix="pip install 'llmgnn-jax[png]', or write a .svg",
        ) from None
    return resvg_py


def _family(renderer: Any) -> str:
    """The first family that draws anything: what has no font is left out silently."""
    for family in _FAMILIES:
        drawn, empty = (
            bytes(
                renderer.svg_to_bytes(
                    svg_string=_TEXT.format(text), sans_serif_family=family
                )
            )
            for text in ("user", "")
        )
        if drawn != empty:
            return family
    raise UserError.field(
        "--out",
        expected="a font for the words of a .png",
        got="none of " + ", ".join(_FAMILIES),
        fix="install one, or write a .svg",
    )
