"""Files that commands draw into: asked for first, written all or not at all."""

from collections.abc import Sequence
from pathlib import Path

from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.report.raster import check_renderer, png


def check_picture(out: Path, *, suffixes: Sequence[str] = (".svg", ".png")) -> None:
    """Passes only if a picture can be written there, before anything long is begun.

    Raises:
        UserError: For another suffix, a folder that is not there, or a .png where none
            can be made.
    """
    if out.suffix.lower() not in suffixes:
        *others, last = suffixes
        raise UserError.field(
            "--out",
            expected=f"a file that ends in {', '.join(others)} or {last}",
            got=str(out),
        )
    if out.is_dir() or not out.parent.is_dir():
        raise UserError.field(
            "--out",
            expected="a file in a folder that is there",
            got=str(out),
            fix="make the folder first",
        )
    if out.suffix.lower() == ".png":
        check_renderer()


def write_picture(out: Path, drawing: str) -> None:
    """Writes an SVG document, or a page; as pixels where the file is a .png.

    Raises:
        UserError: If the file cannot be written.
    """
    content = drawing.encode("utf-8")
    if out.suffix.lower() == ".png":
        content = png(drawing)
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(out)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise UserError.field(
            "--out", expected="a file that can be written", got=error.strerror or error
        ) from error
