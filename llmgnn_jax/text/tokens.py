"""Texts to token ids, and token ids to a few batches of fixed shape.

Shapes: B rows, L tokens.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import tokenizers

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.interface import whole_characters
from llmgnn_jax.text.pretrained.gguf import GgufFile, gguf_of
from llmgnn_jax.text.pretrained.gguf_tokenizer import gguf_tokenizer
from llmgnn_jax.text.pretrained.save import write_json

# Row lengths that a batch may have. A text's row length follows from its own number of
# tokens alone, and a batch's rows from its row length: so the program that computes a
# text's vector, and with it the last bit of the vector, is the same whatever else is
# encoded with it. Fewer lengths mean less to compile, more of them less padding.
_LENGTHS = (
    *range(8, 25, 4),
    *range(32, 65, 8),
    *range(80, 129, 16),
    *range(160, 257, 32),
    *range(320, 513, 64),
)

# Padding of those that do not name it: BERT, RoBERTa and T5, GPT-2 and its kin.
_PAD_TOKENS = ("[PAD]", "<pad>", "<|endoftext|>")

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


class Tokenizer(Protocol):
    """What an encoder needs of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """One more than the largest id."""
        ...

    @property
    def pad_id(self) -> int:
        """The id that fills rows up."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex hash of everything that decides how a text is cut."""
        ...

    def encode(self, texts: Sequence[str], *, max_length: int) -> list[list[int]]:
        """Ids of each text with its special tokens, cut to `max_length`."""
        ...

    def save(self, folder: Path) -> None:
        """Writes it into a folder in Hugging Face's layout."""
        ...


class FastTokenizer:
    """A Hugging Face fast tokenizer, without importing transformers (seconds).

    Args:
        backend: Belongs to this object from now on: its padding and truncation are
            taken over.
        pad_token: What fills rows up, where the tokenizer itself does not say.
    """

    def __init__(
        self, backend: tokenizers.Tokenizer, *, pad_token: str | None = None
    ) -> None:
        padding = backend.padding
        self._backend = backend
        backend.no_padding()
        backend.no_truncation()
        rules = json.dumps(json.loads(backend.to_str()), sort_keys=True)
        self.fingerprint = hashlib.sha256(rules.encode("ascii")).hexdigest()
        self.vocab_size = max(backend.get_vocab().values(), default=-1) + 1
        names = [pad_token] if pad_token is not None else []
        known = map(backend.token_to_id, (*names, *_PAD_TOKENS))
        first = next((number for number in known if number is not None), 0)
        self.pad_id = int(padding["pad_id"] if padding else first)

    def encode(self, texts: Sequence[str], *, max_length: int) -> list[list[int]]:
        """Ids of each text with its special tokens, cut to `max_length`.

        Where there are no special tokens, an empty text has no tokens.
        Half a surrogate pair, which is no character, is read as U+FFFD.

        Raises:
            UserError: If one of them is no str, or `max_length` leaves no room for the
                special tokens and one more.
        """
        special = self._backend.num_special_tokens_to_add(is_pair=False)
        if max_length <= special:
            raise UserError.field(
                "max_length", expected=f"more than {special}", got=max_length
            )
        whole = [whole_characters(text, row) for row, text in enumerate(texts)]
        self._backend.enable_truncation(max_length)
        return [encoding.ids for encoding in self._backend.encode_batch_fast(whole)]

    def save(self, folder: Path) -> None:
        """Writes tokenizer.json and tokenizer_config.json, in Hugging Face's layout.

        Args:
            folder: Is there; the two files are replaced, each when it is whole.
        """
        self._backend.no_truncation()
        write_json(folder / "tokenizer.json", json.loads(self._backend.to_str()))
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": self._backend.id_to_token(self.pad_id),
        }
        write_json(folder / "tokenizer_config.json", settings)


def load_tokenizer(folder: Path, *, opened: GgufFile | None = None) -> FastTokenizer:
    """Reads a tokenizer in Hugging Face's layout.

    Args:
        folder: Holds tokenizer.json, or a BERT's vocab.txt (and tokenizer_config.json),
            or a GGUF file; or is a GGUF file.
        opened: That GGUF file, where it is open already (`gguf.gguf_of`).

    Raises:
        UserError: If none is there or one cannot be read.
    """
    path = folder / "tokenizer.json"
    if not path.exists():
        with contextlib.nullcontext(opened) if opened else gguf_of(folder) as file:
            if file is not None:
                return _of_gguf(file)
        return FastTokenizer(_word_piece(folder))
    try:
        backend = tokenizers.Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:  # The library raises nothing more specific.
        raise UserError.field(
            str(path), expected="a Hugging Face tokenizer", got=f"another file: {error}"
        ) from error
    return FastTokenizer(backend, pad_token=_pad_token(folder))


def tiny_tokenizer(words: Iterable[str]) -> FastTokenizer:
    """A tokenizer of whole words in memory, for tests and synthetic data.

    Args:
        words: What it knows, in lower case; the rest becomes [UNK]. A Chinese character
            is a word.
    """
    tokens = dict.fromkeys((*_SPECIAL_TOKENS, *words))
    vocabulary = {token: number for number, token in enumerate(tokens)}
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]")
    )
    backend.normalizer = tokenizers.normalizers.BertNormalizer()
    backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    _add_special_tokens(backend, vocabulary)
    return FastTokenizer(backend)


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenBatch:
    """Rows of tokens of one fixed shape.

    Attributes:
        ids: (B, L) int32, filled up at the right.
        mask: (B, L) bool, False at padding.
        rows: (B,) int64 position of each row's text in the input; -1 for a row of
            padding alone, which are the last ones.
    """

    ids: np.ndarray
    mask: np.ndarray
    rows: np.ndarray


def length_buckets(
    token_lists: Sequence[Sequence[int]],
    *,
    batch_tokens: int,
    max_length: int,
    pad_id: int = 0,
) -> list[TokenBatch]:
    """Lays texts of like length together, in few shapes.

    The shape in which a text stands depends on its own length, `batch_tokens` and
    `max_length` alone. There are at most 18 shapes up to 256 tokens. Padding is a tenth
    of each batch on average, and half a batch of each shape (see `padding_waste`).

    Args:
        token_lists: Token ids of each text.
        batch_tokens: B * L at most, where that allows for one row.
        max_length: Longest text in tokens, and longest row.
        pad_id: Fills rows up.

    Returns:
        Batches, the longest rows first: what does not fit in memory fails at once.
    """
    counts = np.array([len(ids) for ids in token_lists], np.int64)
    longest = max(map(len, token_lists), default=0)
    if longest > max_length:
        raise ValueError(f"a text of {longest} tokens, above {max_length}")
    lengths = np.minimum(row_lengths(counts), max_length)
    batches = []
    for length in sorted(set(lengths.tolist()), reverse=True):
        members = np.flatnonzero(lengths == length)
        batch = rows_of(length, batch_tokens=batch_tokens)
        for start in range(0, len(members), batch):
            chosen = members[start : start + batch]
            rows = np.full(batch, -1, np.int64)
            rows[: len(chosen)] = chosen
            ids = np.full((batch, length), pad_id, np.int32)
            for place, row in enumerate(chosen):
                ids[place, : counts[row]] = token_lists[row]
            used = np.where(rows >= 0, counts[rows], 0)
            mask = np.arange(length)[None, :] < used[:, None]
            batches.append(TokenBatch(ids=ids, mask=mask, rows=rows))
    return batches


def row_lengths(counts: np.ndarray) -> np.ndarray:
    """The row length for each number of tokens; multiples of 64 above 512."""
    known = np.array(_LENGTHS)
    above = -(-counts // 64) * 64
    places = np.searchsorted(known, counts)
    return np.where(
        places < len(known), known[np.minimum(places, len(known) - 1)], above
    )


def rows_of(length: int, *, batch_tokens: int) -> int:
    """Rows of a batch: a multiple of 8 where there are 8, for the vector units."""
    rows = max(1, batch_tokens // length)
    return rows - rows % 8 if rows >= 8 else rows


def padding_waste(batches: Sequence[TokenBatch]) -> float:
    """The share of places that hold padding, from 0 to 1; 0 for no batches."""
    places = sum(batch.mask.size for batch in batches)
    return 1 - sum(int(batch.mask.sum()) for batch in batches) / places if places else 0


def _pad_token(folder: Path) -> str | None:
    """What the files beside tokenizer.json call the padding token, if they do."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = folder / name
        if not path.exists():
            continue
        try:
            token = json.loads(path.read_bytes()).get("pad_token")
        except (OSError, ValueError, AttributeError) as error:
            raise UserError.field(
                str(path), expected="a tokenizer's settings", got=str(error)
            ) from error
        # A str, or what transformers knows about one.
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str):
            return token
    return None


def _of_gguf(file: GgufFile) -> FastTokenizer:
    try:
        backend, pad_token = gguf_tokenizer(file.fields)
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from error
    return FastTokenizer(backend, pad_token=pad_token)


def _word_piece(folder: Path) -> tokenizers.Tokenizer:
    """A BERT tokenizer from vocab.txt, by the rules of tokenizer_config.json."""
    path, rules_path = folder / "vocab.txt", folder / "tokenizer_config.json"
    if not path.exists():
        raise UserError.field(
            str(folder),
            expected="a tokenizer.json, or the vocab.txt of a BERT",
            got="neither",
        )
    try:
        words = path.read_text("utf-8").removesuffix("\n").split("\n")
        rules = json.loads(rules_path.read_bytes()) if rules_path.exists() else {}
        vocabulary = {word: number for number, word in enumerate(words)}
        backend = tokenizers.Tokenizer(
            tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]")
        )
        backend.normalizer = tokenizers.normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=bool(rules.get("tokenize_chinese_chars", True)),
            strip_accents=rules.get("strip_accents"),
            lowercase=bool(rules.get("do_lower_case", True)),
        )
        backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError.field(
            str(folder), expected="a BERT's vocab.txt and settings", got=str(error)
        ) from error
    if missing := [token for token in _SPECIAL_TOKENS if token not in vocabulary]:
        raise UserError.field(
            str(path), expected=f"the tokens {', '.join(missing)}", got="none of them"
        )
    _add_special_tokens(backend, vocabulary)
    return backend


def _add_special_tokens(
    backend: tokenizers.Tokenizer, vocabulary: Mapping[str, int]
) -> None:
    """[CLS] before each text and [SEP] after it, as BERT has them."""
    tokens = (*_SPECIAL_TOKENS, "[MASK]")
    backend.add_special_tokens([token for token in tokens if token in vocabulary])
    backend.post_processor = tokenizers.processors.BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
