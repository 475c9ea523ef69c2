"""An encoder of MiniLM's shape with random weights, and texts, where no asset is.

How long an encoder takes depends on shapes, not on what its weights are.

Shapes: N texts, V words.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import tokenizers
from safetensors.numpy import save_file

from benchmarks.bert_weights import Shape, random_weights

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# [CLS] and [SEP].
_ENDS = 2


def write_encoder(folder: Path, shape: Shape, *, seed: int = 0) -> Path:
    """Weights, shape and tokenizer, as Hugging Face lays them out.

    Each word "w7" is a token.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        random_weights(shape, seed=seed), folder / "model.safetensors", {"format": "pt"}
    )
    config = {
        **dataclasses.asdict(shape),
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "type_vocab_size": 2,
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    _tokenizer(shape.vocab_size).save(str(folder / "tokenizer.json"))
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), _SPECIAL, strict=True))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": shape.max_position_embeddings,
        **{f"{name}_token": token for name, token in names.items()},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def ragged_texts(
    count: int, shape: Shape, *, longest: int, seed: int = 0
) -> tuple[list[str], np.ndarray]:
    """Texts of random words, and (N,) how many tokens each has, both ends included.

    Lengths are log-normal, as those of reviews are: half of them below a quarter of the
    longest.
    """
    random = np.random.default_rng(seed)
    lengths = random.lognormal(np.log(longest / 4), 0.8, count).astype(int)
    lengths = np.clip(lengths, _ENDS + 1, longest)
    words = random.integers(len(_SPECIAL), shape.vocab_size, lengths.sum())
    starts = np.cumsum(lengths) - lengths
    texts = [
        " ".join(f"w{word}" for word in words[start : start + length - _ENDS].tolist())
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
    ]
    return texts, lengths


def _tokenizer(vocab_size: int) -> tokenizers.Tokenizer:
    vocabulary = {token: number for number, token in enumerate(_SPECIAL)}
    vocabulary |= {f"w{n}": n for n in range(len(_SPECIAL), vocab_size)}
    model = tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]")
    found = tokenizers.Tokenizer(model)
    found.normalizer = tokenizers.normalizers.BertNormalizer()
    found.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    found.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    return found
