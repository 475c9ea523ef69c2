"""`llmgnn encode`: a file of texts to stored vectors."""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.cli.output import print_json
from llmgnn_jax.data.sources.texts import read_texts
from llmgnn_jax.errors import UserError


def encode(options: argparse.Namespace) -> int:
    """Encodes what is not stored yet, and says what it took."""
    if options.max_length < 1:
        raise UserError.field(
            "--max-length", expected="a number of tokens", got=options.max_length
        )
    texts = read_texts(options.texts, column=options.column)
    _check_apart(options.texts, options.out)
    with _array(options.out) as allocate:
        from llmgnn_jax.text.interface import refusing_bad_weights
        from llmgnn_jax.text.sources import load_text_encoder
        from llmgnn_jax.text.store import VectorStore, default_folder

        encoder = load_text_encoder(
            options.encoder,
            pooling=options.pooling,
            head=options.head,
            max_length=options.max_length,
            dtype=options.dtype,
        )
        store = VectorStore.open(
            default_folder(), identity=encoder.identity, dim=encoder.dim
        )
        with _progress(len(texts)) as update, refusing_bad_weights():
            if allocate is None:
                report = store.add(texts, encoder, update)
            else:
                out = allocate(len(texts), encoder.dim)
                report = store.encode(texts, encoder, update, out).report
    waste = 1 - report.tokens / report.places if report.places else None
    summary: dict[str, Any] = {
        "texts": len(texts),
        "distinct": report.encoded + report.reused,
        "encoded": report.encoded,
        "reused": report.reused,
        "tokens": report.tokens,
        "padding_waste": waste,
        "seconds": report.seconds,
        "texts_per_s": report.encoded / report.seconds,
        "tokens_per_s": report.tokens / report.seconds,
        "encoder": options.encoder,
        "identity": encoder.identity,
        "dim": encoder.dim,
        "store": str(store.path),
        "out": options.out,
    }
    if options.json:
        print_json(summary)
    else:
        _show(summary)
    return 0


def _check_apart(texts: str, out: str | None) -> None:
    """The vectors may not take the place of what they are made from."""
    if out is None or not named_path(out).exists() or not named_path(texts).exists():
        return
    if named_path(out).samefile(named_path(texts)):
        raise UserError.field(
            "--out", expected="another file than that of the texts", got=out
        )


def _show(summary: dict[str, Any]) -> None:
    print(f"texts    {summary['texts']} ({summary['distinct']} distinct)")
    line = f"encoded  {summary['encoded']}, {summary['reused']} from the store"
    if summary["encoded"]:
        line += (
            f"; {summary['texts_per_s']:.0f} texts/s, "
            f"{summary['tokens_per_s']:.0f} tokens/s, "
            f"{summary['padding_waste']:.1%} padding, {summary['seconds']:.1f} s"
        )
    print(line)
    print(f"store    {summary['store']}")
    if summary["out"] is not None:
        print(f"out      {summary['out']} ({summary['texts']} x {summary['dim']})")


@contextlib.contextmanager
def _array(
    out: str | None,
) -> Iterator[Callable[[int, int], np.ndarray] | None]:
    """The file of `--out`, which is tried before anything long is begun."""
    if out is None:
        yield None
        return
    from llmgnn_jax.text.vector_file import vector_file

    with vector_file(named_path(out)) as allocate:
        yield allocate


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int, int], None]]:
    """How many of the texts have a vector, and how fast the new ones come."""
    from llmgnn_jax.training.reporting import progress

    started = time.perf_counter()
    with progress("texts", total=total) as update:

        def show(done: int, missing: int) -> None:
            rate = done / (time.perf_counter() - started)
            update(total - missing + done, f"{rate:.0f} texts/s")

        yield show
