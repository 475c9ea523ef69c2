"""What GGUF files say beside their values: positions, biases, tokenizers; refusals."""

import builtins
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.model import initialise
from llmgnn_jax.text.encoders.rope import Rope
from llmgnn_jax.text.parameters import flat
from llmgnn_jax.text.pretrained import load_encoder, read_config, weights_hash
from llmgnn_jax.text.pretrained.decoder_names import gguf_names
from llmgnn_jax.text.pretrained.gguf import unpermuted
from llmgnn_jax.text.pretrained.load import is_kernel
from llmgnn_jax.text.tokens import load_tokenizer

gguf = pytest.importorskip("gguf", reason="gguf is not installed")
tokenizers = pytest.importorskip("tokenizers")

BYTES = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
TOKENS = [*BYTES, "he", "ro", "hero", "Ġh", "20", "robot", "<s>", "</s>", "<think>"]
MERGES = ["h e", "r o", "he ro", "Ġ h", "2 0"]
SPACE, START, END = BYTES.index("Ġ"), TOKENS.index("<s>"), TOKENS.index("</s>")
CONFIG = DecoderConfig(
    vocab_size=len(TOKENS),
    hidden_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    intermediate_size=48,
    max_position_embeddings=64,
)
LLAMA = {
    "general.architecture": "llama",
    "llama.embedding_length": 32,
    "llama.block_count": 1,
    "llama.attention.head_count": 2,
    "llama.attention.head_count_kv": 1,
    "llama.feed_forward_length": 48,
    "llama.context_length": 64,
    "llama.attention.layer_norm_rms_epsilon": 2.0**-20,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [1] * (len(TOKENS) - 3) + [3, 3, 4],
    "tokenizer.ggml.merges": MERGES,
    "tokenizer.ggml.bos_token_id": START,
    "tokenizer.ggml.eos_token_id": END,
}


def tensors_of(config: DecoderConfig, seed: int = 0) -> dict:
    """A random model's tensors by llama.cpp's names, rows in Hugging Face's order."""
    random = np.random.default_rng(seed)
    shapes = flat(initialise(config, seed=seed).params)
    return {
        theirs: random.normal(
            size=shapes[ours].shape[::-1] if is_kernel(ours) else shapes[ours].shape
        ).astype(np.float32)
        for ours, theirs in gguf_names(config).items()
    }


def write(path: Path, changes: dict, tensors: dict | None = None) -> None:
    """Writes a file; a change to None leaves the key out."""
    fields = {k: v for k, v in (LLAMA | changes).items() if v is not None}
    writer = gguf.GGUFWriter(path, fields.pop("general.architecture", "llama"))
    for key, value in fields.items():
        add = {
            bool: writer.add_bool,
            int: writer.add_uint32,
            float: writer.add_float32,
            str: writer.add_string,
            list: writer.add_array,
        }[type(value)]
        add(key, value)
    for name, array in (tensors_of(CONFIG) if tensors is None else tensors).items():
        if isinstance(array, tuple):
            data, kind = array
            writer.add_tensor(name, data, raw_dtype=kind)
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tiny.gguf"


@pytest.mark.parametrize(
    ("changes", "rope"),
    [
        ({}, Rope()),
        ({"llama.rope.freq_base": 500.0}, Rope(rope_theta=500.0)),
        (
            {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0},
            Rope(rope_type="linear", factor=4.0),
        ),
        ({"llama.rope.scaling.type": "none", "llama.rope.dimension_count": 16}, Rope()),
    ],
)
def test_positions_are_read(path: Path, changes: dict, rope: Rope) -> None:
    write(path, changes)
    assert read_config(path).rope == rope


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_llama_3s_divisors_are_read(path: Path, factor: float) -> None:
    tensors = tensors_of(CONFIG)
    rope = Rope(rope_theta=500_000.0, rope_type="llama3", factor=factor)
    plain = Rope(rope_theta=500_000.0).frequencies(16)
    tensors["rope_freqs.weight"] = plain / rope.frequencies(16)
    write(path, {"llama.rope.freq_base": 500_000.0}, tensors)
    assert load_encoder(path).config.rope == rope
    tensors["rope_freqs.weight"] = np.linspace(1, 8, 8, dtype=np.float32)
    write(path, {"llama.rope.freq_base": 500_000.0}, tensors)
    with pytest.raises(UserError, match=r"rope_freqs\.weight: expected those of Llama"):
        read_config(path)


def test_biases_are_read_and_turned_back(path: Path) -> None:
    config = dataclasses.replace(CONFIG, attention_bias=True, mlp_bias=True)
    tensors = tensors_of(config)
    write(path, {}, tensors)
    model = load_encoder(path)
    assert model.config.attention_bias
    assert model.config.mlp_bias
    found = flat(model.params)
    for ours, theirs in gguf_names(config).items():
        wanted = tensors[theirs]
        if "attn_q" in theirs or "attn_k" in theirs:
            wanted = unpermuted(wanted, heads=2 if "attn_q" in theirs else 1)
        wanted = wanted.T if is_kernel(ours) else wanted
        np.testing.assert_array_equal(found[ours], wanted, err_msg=ours)


@pytest.mark.parametrize("kind", ["Q4_K", "Q6_K", "Q5_1"])
def test_types_that_nothing_here_writes_are_read(path: Path, kind: str) -> None:
    quantised = getattr(gguf.GGMLQuantizationType, kind)
    block, size = gguf.GGML_QUANT_SIZES[quantised]
    # A block of the K types is 256 values of one row.
    dim = 256
    tensors = tensors_of(dataclasses.replace(CONFIG, hidden_size=dim))
    random = np.random.default_rng(0)
    data = random.integers(0, 60, (len(TOKENS), dim // block * size), dtype=np.uint8)
    tensors["token_embd.weight"] = (data, quantised)
    sizes = {"llama.embedding_length": dim, "llama.attention.key_length": 16}
    write(path, sizes, tensors)
    words = load_encoder(path).params["words"]
    assert np.ptp(words) > 0
    np.testing.assert_array_equal(words, gguf.dequantize(data, quantised))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"general.architecture": "gpt2"}, r"general\.architecture: expected 'llama'"),
        ({"llama.block_count": None}, "llama: expected the keys block_count"),
        ({"llama.expert_count": 8}, r"llama\.expert_count: expected 0 or none, got 8"),
        ({"llama.rope.dimension_count": 8}, r"rope\.dimension_count: expected 16"),
        ({"llama.attention.sliding_window": 16}, r"sliding_window: expected 64"),
        ({"llama.rope.scaling.type": "yarn"}, r"rope\.scaling\.type: expected 'none'"),
        ({"llama.attention.head_count_kv": 3}, "num_key_value_heads: expected a divi"),
        ({"llama.attention.head_count_kv": [1, 1]}, "num_key_value_heads: expected a"),
        ({"llama.rope.freq_base": "high"}, "rope_theta: expected a number above 0"),
    ],
)
def test_other_models_are_one_line(path: Path, changes: dict, message: str) -> None:
    write(path, changes)
    with pytest.raises(UserError, match=message) as caught:
        load_encoder(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_tensors_that_are_wrong_are_listed_in_one_line(path: Path) -> None:
    tensors = tensors_of(CONFIG)
    del tensors["output_norm.weight"], tensors["blk.0.ffn_up.weight"]
    tensors["blk.0.attn_v.weight"] = np.zeros((8, 32), np.float32)
    tensors["blk.0.attn_output.weight"] = np.zeros((32, 32), np.int32)
    tensors["blk.1.ffn_norm.weight"] = np.zeros(32, np.float32)
    write(path, {}, tensors)
    with pytest.raises(UserError) as caught:
        load_encoder(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        str(path),
        "5 problems",
        "output_norm.weight is missing",
        "blk.0.ffn_up.weight is missing",
        "blk.0.attn_v.weight is (8, 32), not (16, 32)",
        "blk.0.attn_output.weight is I32, no float",
        "blk.1.ffn_norm.weight is unknown",
    ):
        assert part in message


def test_a_damaged_length_is_one_line_at_once(path: Path) -> None:
    write(path, {})
    content = path.read_bytes()
    key = b"tokenizer.ggml.token_type"
    # After the key: the type of the field, of its elements, and how many they are.
    start = content.index(key) + len(key) + 8
    assert int.from_bytes(content[start : start + 8], "little") == len(TOKENS)
    long = (1 << 60).to_bytes(8, "little")
    # The elements are of 4 bytes, and the file ends with a whole one: `gguf` itself
    # would go on and on behind it.
    rest = content[start + 8 :]
    path.write_bytes(content[:start] + long + rest + bytes(-len(rest) % 4))
    with pytest.raises(UserError, match="an unreadable or truncated one") as caught:
        load_encoder(path)
    assert "\n" not in str(caught.value)


def test_which_file_is_meant(tmp_path: Path, path: Path) -> None:
    write(path, {})
    whole = weights_hash(path)
    assert whole == weights_hash(tmp_path)
    write(tmp_path / "other.gguf", {"llama.rope.freq_base": 99.0})
    with pytest.raises(UserError, match=r"got 2: other\.gguf, tiny\.gguf; name the"):
        load_encoder(tmp_path)
    assert read_config(tmp_path / "other.gguf").rope.rope_theta == 99.0
    assert weights_hash(tmp_path / "other.gguf") != whole
    with pytest.raises(UserError, match=r"expected a GGUF file, got No such file"):
        load_encoder(tmp_path / "absent.gguf")


def test_without_the_package_the_fix_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, {})
    real = builtins.__import__

    def absent(name: str, *args: object, **kwargs: object) -> object:
        if name == "gguf":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UserError, match=r"pip install 'llmgnn-jax\[gguf\]'"):
        read_config(path)


@pytest.mark.parametrize("pre", ["smollm", "gpt-2", "qwen2", "llama-bpe"])
def test_texts_are_cut_as_the_file_says(path: Path, pre: str) -> None:
    write(path, {"tokenizer.ggml.pre": pre, "tokenizer.ggml.padding_token_id": 7})
    tokenizer = load_tokenizer(path)
    assert tokenizer.vocab_size == len(TOKENS)
    assert tokenizer.pad_id == 7
    (ids,) = tokenizer.encode([" hero 200<think></s>"], max_length=32)
    number = {
        "smollm": ["2", "0", "0"],  # Each digit by itself, so "20" is never merged.
        "gpt-2": ["20", "0"],
        "qwen2": ["2", "0", "0"],
        "llama-bpe": ["20", "0"],
    }[pre]
    # llama-bpe begins each text, where the file says nothing of it.
    first = ["<s>"] if pre == "llama-bpe" else []
    expected = [*first, "Ġ", "hero", "Ġ", *number, "<think>", "</s>"]
    assert [TOKENS[one] for one in ids] == expected
    # No merges lead to it: Llama 3 takes what is a token whole, the others do not.
    (robot,) = tokenizer.encode(["robot"], max_length=32)
    whole = ["<s>", "robot"] if pre == "llama-bpe" else ["ro", *"bot"]
    assert [TOKENS[one] for one in robot] == whole
    (empty,) = tokenizer.encode([""], max_length=32)
    assert empty == [START] * (pre == "llama-bpe")


def test_texts_begin_and_end_as_the_file_says(path: Path) -> None:
    ends = {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.add_eos_token": True}
    write(path, ends)
    tokenizer = load_tokenizer(path)
    hero = TOKENS.index("hero")
    assert tokenizer.encode(["hero", ""], max_length=9) == [
        [START, hero, END],
        [START, END],
    ]
    assert tokenizer.encode(["hero" * 9], max_length=4) == [[START, hero, hero, END]]
    write(path, {"tokenizer.ggml.pre": "llama-bpe"} | dict.fromkeys(ends, False))
    assert load_tokenizer(path).encode(["hero"], max_length=9) == [[hero]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer.ggml.model": "llama"}, r"ggml\.model: expected one of gpt2"),
        ({"tokenizer.ggml.model": None}, r"ggml\.model: expected one of gpt2, got No"),
        ({"tokenizer.ggml.pre": "jais"}, r"ggml\.pre: expected one of gpt-2, smollm"),
        ({"tokenizer.ggml.merges": None}, "expected the tokens and merges"),
        ({"tokenizer.ggml.merges": ["zz zz"]}, "expected the tokens and merges"),
        ({"tokenizer.ggml.padding_token_id": 9999}, "expected the tokens and merges"),
    ],
)
def test_other_tokenizers_are_one_line_and_one_beside_serves(
    tmp_path: Path, path: Path, changes: dict, message: str
) -> None:
    write(path, changes)
    with pytest.raises(UserError, match=message) as caught:
        load_tokenizer(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0}, "?"))
    (tmp_path / "tokenizer.json").write_text(json.dumps(json.loads(backend.to_str())))
    assert load_tokenizer(tmp_path).encode(["a"], max_length=3) == [[0]]
