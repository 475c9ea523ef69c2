"""The byte-level tokenizer that a GGUF file holds.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "Tokenizer"; how llama.cpp
cuts texts up: `llama_vocab` in https://github.com/ggml-org/llama.cpp.
"""

from collections.abc import Callable, Mapping
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, pre_tokenizers, processors
from tokenizers.pre_tokenizers import ByteLevel, PreTokenizer

from llmgnn_jax.errors import UserError

_CONTROL, _USER_DEFINED = 3, 4

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def _gpt2() -> PreTokenizer:
    return ByteLevel(add_prefix_space=False)


def _digits() -> PreTokenizer:
    digits = pre_tokenizers.Digits(individual_digits=True)
    return pre_tokenizers.Sequence([digits, ByteLevel(add_prefix_space=False)])


def _split(pattern: str) -> PreTokenizer:
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    level = ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([split, level])


# The file's name for how texts are cut up before they are merged.
_PRE: Mapping[str, Callable[[], PreTokenizer]] = {
    "gpt-2": _gpt2,
    "smollm": _digits,
    "starcoder": _digits,
    "llama-bpe": lambda: _split(_LLAMA3),
    "qwen2": lambda: _split(_QWEN2),
}


def gguf_tokenizer(
    fields: Mapping[str, Any],
) -> tuple[tokenizers.Tokenizer, str | None]:
    """Builds a tokenizer.

    Args:
        fields: What the file says.

    Returns:
        The tokenizer and its padding token, if it has one.

    Raises:
        UserError: If there is none, or one of another kind.
    """
    said = {
        key.removeprefix("tokenizer.ggml."): value
        for key, value in fields.items()
        if key.startswith("tokenizer.ggml.")
    }
    fix = "put the file and the model's tokenizer.json into a folder, and name that"
    for key, supported in (("model", ("gpt2",)), ("pre", tuple(_PRE))):
        if said.get(key) not in supported:
            raise UserError.field(
                f"tokenizer.ggml.{key}",
                expected=f"one of {', '.join(supported)}",
                got=repr(said.get(key)),
                fix=fix,
            )
    try:
        tokens = list(said["tokens"])
        kinds = said.get("token_type") or [1] * len(tokens)
        merges = [tuple(merge.split(" ")) for merge in said["merges"]]
        vocabulary = {token: number for number, token in enumerate(tokens)}
        # Llama 3 takes a word that is a token as it is, whatever its merges give.
        whole_words = said["pre"] == "llama-bpe"
        backend = tokenizers.Tokenizer(
            tokenizers.models.BPE(vocabulary, merges, ignore_merges=whole_words)
        )
        if said["pre"] == "qwen2":
            backend.normalizer = tokenizers.normalizers.NFC()
        backend.pre_tokenizer = _PRE[said["pre"]]()
        backend.decoder = decoders.ByteLevel()
        for kind, special in ((_CONTROL, True), (_USER_DEFINED, False)):
            found = [
                AddedToken(token, special=special, normalized=False)
                for token, of in zip(tokens, kinds, strict=True)
                if of == kind
            ]
            (backend.add_special_tokens if special else backend.add_tokens)(found)
        backend.post_processor = _ends(said, tokens)
        padding = said.get("padding_token_id", said.get("eos_token_id"))
        return backend, None if padding is None else tokens[padding]
    except Exception as error:  # The library raises nothing more specific.
        raise UserError.field(
            "tokenizer.ggml",
            expected="the tokens and merges of a byte-level tokenizer",
            got=f"others ({error})",
            fix=fix,
        ) from error


def _ends(
    said: Mapping[str, Any], tokens: list[str]
) -> processors.PostProcessor | None:
    """What stands before and after each text, if anything does."""
    # llama.cpp's defaults, for the files that do not say.
    before = said.get("add_bos_token", said["pre"] == "llama-bpe")
    first = [tokens[said["bos_token_id"]]] if before else []
    last = [tokens[said["eos_token_id"]]] if said.get("add_eos_token", False) else []
    if not first and not last:
        return None
    return processors.TemplateProcessing(
        single=[*first, "$A", *last],
        special_tokens=[(token, tokens.index(token)) for token in {*first, *last}],
    )
