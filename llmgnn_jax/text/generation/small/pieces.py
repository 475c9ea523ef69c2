"""Pieces of words that small decoders speak in, learned from what many people wrote.

Byte-pair encoding over bytes (Sennrich et al. 2016, "Neural machine translation of rare
words with subword units"; over bytes, as GPT-2 has it): every text is some pieces, and
the pieces are the text, byte for byte. So nothing is unknown, and a decoder's bits a
byte compare with those of any other model.

What one person alone writes, a name or a number, is to stand in no file that is handed
on. Pieces are learned from words that several people wrote, and from nothing else: any
other word is spelled in pieces of theirs, or in bytes.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import tokenizers

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.interface import whole_characters
from llmgnn_jax.text.tokens import FastTokenizer

MIN_WRITERS = 5
"""People who must have written a word before pieces are learned from it."""


class PieceTokenizer(FastTokenizer):
    """Texts to pieces and back, without special tokens.

    `end_id`, one above the last piece, begins and ends a text and fills rows up; no
    text holds it, whatever is written in it.

    Args:
        backend: Learned by `learn_pieces`, or read from its file.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        super().__init__(backend)
        self._pieces = backend
        self.end_id = self.pad_id = self.vocab_size
        self.vocab_size += 1

    def decode(self, ids: Sequence[int]) -> str:
        """The text of pieces; bytes that are no character become U+FFFD."""
        text: str = self._pieces.decode(list(ids))
        return text

    @classmethod
    def load(cls, folder: Path) -> "PieceTokenizer":
        """Reads what `save` wrote.

        Raises:
            UserError: If it is not there or cannot be read.
        """
        path = folder / "tokenizer.json"
        try:
            backend = tokenizers.Tokenizer.from_str(path.read_text("utf-8"))
        except Exception as error:  # The library raises nothing more specific.
            raise UserError.field(
                str(path), expected="pieces of words", got=str(error)
            ) from error
        return cls(backend)


def learn_pieces(
    texts: Sequence[str],
    writers: Sequence[int],
    *,
    vocab_size: int = 2000,
    min_writers: int = MIN_WRITERS,
) -> PieceTokenizer:
    """Learns pieces from texts.

    Args:
        texts: Of the train part.
        writers: Who wrote each.
        vocab_size: Pieces at most, the 256 bytes among them; at least those.
        min_writers: Words that fewer people wrote are left out.

    Raises:
        UserError: If a text is no str, or no word has so many writers.
    """
    cutter = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    wrote: defaultdict[str, set[int]] = defaultdict(set)
    for row, (text, writer) in enumerate(zip(texts, writers, strict=True)):
        whole = whole_characters(text, row)
        # The cutter spells bytes as letters; the words themselves are by their places.
        for _, (start, end) in cutter.pre_tokenize_str(whole):
            wrote[whole[start:end]].add(writer)
    shared = {word: len(by) for word, by in wrote.items() if len(by) >= min_writers}
    if not shared:
        raise UserError.field(
            "reviews",
            expected=f"words that {min_writers} users or more wrote",
            got=f"none in {len(texts)} reviews",
            fix="use more data",
        )
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = cutter
    backend.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # As often as people wrote it: who repeats a word does not make it more common.
    backend.train_from_iterator(
        (word for word in sorted(shared) for _ in range(shared[word])), trainer
    )
    return PieceTokenizer(backend)
