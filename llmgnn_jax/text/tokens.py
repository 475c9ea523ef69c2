"""Texts to token ids."""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import tokenizers

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.interface import whole_characters
from llmgnn_jax.text.pretrained.gguf import GgufFile, gguf_of
from llmgnn_jax.text.pretrained.gguf_tokenizer import gguf_tokenizer
from llmgnn_jax.text.pretrained.save import write_json

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

    def copy_of_backend(self) -> tokenizers.Tokenizer:
        """The library's own object, to be set up in another way."""
        copy = tokenizers.Tokenizer.from_str(self._backend.to_str())
        copy.no_truncation()
        return copy

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
