"""From the name of an encoder, as a user types it, to the encoder."""

from collections.abc import Sequence
from pathlib import Path

from llmgnn_jax.assets import ASSETS
from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.data.suggestions import did_you_mean
from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.from_texts import FROM_TEXTS, encoder_from_texts
from llmgnn_jax.text.from_words import (
    MAX_WORDS,
    as_text_encoder,
    is_word_file,
    word_encoder,
)
from llmgnn_jax.text.heads import Head
from llmgnn_jax.text.interface import Encoder
from llmgnn_jax.text.multilingual import MultilingualEncoder
from llmgnn_jax.text.pooling import TextPooling
from llmgnn_jax.text.pretrained.folder import folder_of
from llmgnn_jax.text.pretrained.modules import warn_of_modules
from llmgnn_jax.text.readout import check_readout, is_learned
from llmgnn_jax.text.readout_file import READOUT_FILE

MULTILINGUAL = "usem3"

# Data sets are digested by the room that reads them, weights by the assets' own.
_ENCODERS = (
    *(name for name, asset in ASSETS.items() if asset.digest is not None),
    MULTILINGUAL,
    *FROM_TEXTS,
)


def load_text_encoder(
    source: str | Path,
    *,
    pooling: TextPooling = "mean",
    head: Head = "dense",
    max_length: int = 256,
    dtype: ComputeDtype = "float32",
    texts: Sequence[str] | None = None,
    trains: bool = False,
    seed: int = 0,
) -> Encoder:
    """Loads an encoder of texts, or makes one from texts.

    Args:
        source: "usem3" (16 languages, on the CPU), the name of an asset ("minilm-l6",
            fetched if it is not cached), "words", "lstm" or "cnn" (made from `texts`,
            see `encoder_from_texts`), a folder in Hugging Face's layout, a GGUF
            file, a file of word vectors (.txt, .vec, .bin), or, where there is no such
            file or folder, a name on the Hugging Face hub ("owner/model").
        pooling: How token vectors become one.
        head: As in `TextEncoder`.
        max_length: Longest text in tokens; what is longer is cut.
        dtype: Operands of the matrix products.
        texts: What "words", "lstm" and "cnn" learn their words from.
        trains: Whether it is going to be trained: a readout that has parameters may
            then be at their first values, else they come with the encoder.
        seed: Of what these learn and draw, and of a readout's first values.

    Raises:
        UserError: If it is unknown, cannot be fetched or read, is of an architecture
            that is not supported, or has no such option.
    """
    check_readout(head=head, pooling=pooling)
    learned = is_learned(head=head, pooling=pooling)
    first_values = learned and not _brings_readout(source)
    if first_values and not trains:
        name, value, fixed = (
            ("pooling", pooling, "mean, cls or last")
            if head == "dense"
            else ("head", head, "dense")
        )
        raise UserError.field(
            name,
            expected=f"{fixed} where the encoder is not trained: {value} is learned",
            got=repr(value),
            fix="choose that, an encoder that was saved so, or train with "
            "--text.mode lora or full",
        )
    encoder = _loaded(
        source,
        pooling=pooling,
        head=head,
        max_length=max_length,
        dtype=dtype,
        texts=texts,
        seed=seed,
    )
    if first_values and isinstance(encoder, TextEncoder):
        return encoder.with_learned(encoder.readout.initial(seed=seed))
    return encoder


def _loaded(
    source: str | Path,
    *,
    pooling: TextPooling,
    head: Head,
    max_length: int,
    dtype: ComputeDtype,
    texts: Sequence[str] | None,
    seed: int,
) -> Encoder:
    if str(source) == MULTILINGUAL:
        # Pooling is part of it, and NumPy has no bfloat16.
        _refuse(
            MULTILINGUAL,
            pooling=(pooling, "mean"),
            head=(head, "dense"),
            dtype=(dtype, "float32"),
        )
        return MultilingualEncoder(max_length=max_length)
    if source in FROM_TEXTS:
        if texts is None:
            raise UserError.field(
                "encoder",
                expected="one that has its weights, since this command learns none",
                got=repr(source),
                fix=f"choose another, or train with --text.encoder {source}",
            )
        if source == "words":
            _refuse(source, dtype=(dtype, "float32"))
        return encoder_from_texts(
            source,
            texts,
            pooling=pooling,
            head=head,
            max_length=max_length,
            dtype=dtype,
            seed=seed,
        )
    if is_word_file(source):
        # There is no product of matrices in it.
        _refuse(str(source), dtype=(dtype, "float32"))
        words = word_encoder(Path(source), max_tokens=max(MAX_WORDS, max_length))
        return as_text_encoder(words, pooling=pooling, head=head, max_length=max_length)
    if not (
        str(source) in _ENCODERS
        or isinstance(source, Path)
        or "/" in source
        or named_path(source).exists()
    ):
        raise UserError.field(
            "encoder",
            expected=f"one of {', '.join(_ENCODERS)}, a folder in Hugging Face's "
            "layout, a GGUF file, a file of word vectors or a name on the Hugging Face "
            "hub (owner/model)",
            got=repr(source),
            fix=did_you_mean(source, _ENCODERS),
        )
    encoder = TextEncoder.load(
        source, pooling=pooling, head=head, max_length=max_length, dtype=dtype
    )
    if head == "dense":
        warn_of_modules(folder_of(source), pooling=pooling)
    return encoder


def _brings_readout(source: str | Path) -> bool:
    """Whether what it has learned lies beside an encoder's weights."""
    name = str(source)
    if name in (*ASSETS, *FROM_TEXTS, MULTILINGUAL) or is_word_file(source):
        return False
    if not (isinstance(source, Path) or "/" in name or named_path(name).exists()):
        return False
    return (folder_of(source) / READOUT_FILE).is_file()


def _refuse(encoder: str, **options: tuple[str, str]) -> None:
    """Says which option an encoder lacks, where it is not at its default."""
    for name, (value, default) in options.items():
        if value != default:
            raise UserError.field(
                name,
                expected=f"{default} with the encoder {encoder}",
                got=repr(value),
            )
