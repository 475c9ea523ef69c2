"""`llmgnn data describe`: what a data set is like, and a picture of a part of it."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from llmgnn_jax.cli.output import print_json
from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.describe.description import describe as describe_dataset
from llmgnn_jax.data.describe.neighbourhood import neighbourhood
from llmgnn_jax.data.describe.node_neighbourhood import node_neighbourhood
from llmgnn_jax.data.describe.nodes import describe_nodes
from llmgnn_jax.data.describe.page import node_page, page
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.report.network import network
from llmgnn_jax.evaluation.report.raster import check_renderer, png

_SUFFIXES = (".svg", ".png")


def describe(options: argparse.Namespace) -> int:
    """Prints the description; writes the picture if one is asked for."""
    out = None if options.out is None else Path(options.out)
    _check_out(out)
    data = catalog.load_any(options.source)
    if isinstance(data, Dataset):
        description: Any = describe_dataset(data, seed=options.seed)
        told: str = page(description)
    else:
        description = describe_nodes(data)
        told = node_page(description)
    if out is not None:
        if isinstance(data, Dataset):
            around = neighbourhood(data, show_ids=options.show_ids)
        else:
            around = node_neighbourhood(data)
        _write(out, network(around))
    if options.json:
        print_json({**dataclasses.asdict(description), "picture": options.out})
        return 0
    print(told)
    if out is not None:
        print(f"\npicture  {out}")
    return 0


def _check_out(out: Path | None) -> None:
    """Before anything long is begun."""
    if out is None:
        return
    if out.suffix not in _SUFFIXES:
        raise UserError.field(
            "--out",
            expected="a file that ends in .svg or .png",
            got=str(out),
        )
    if out.is_dir() or not out.parent.is_dir():
        raise UserError.field(
            "--out",
            expected="a file in a folder that is there",
            got=str(out),
            fix="make the folder first",
        )
    if out.suffix == ".png":
        check_renderer()


def _write(out: Path, drawing: str) -> None:
    content = drawing.encode("utf-8")
    if out.suffix == ".png":
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
