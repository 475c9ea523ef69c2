"""Llamas in GGUF files: types, the order of rows, what may be wrong with them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.model import initialise
from llmgnn_jax.text.parameters import flat
from llmgnn_jax.text.pretrained import load_encoder, read_config, weights_hash
from llmgnn_jax.text.pretrained.gguf import unpermuted
from llmgnn_jax.text.pretrained.load import load_language_model
from llmgnn_jax.text.tokens import load_tokenizer

gguf = pytest.importorskip("gguf", reason="gguf is not cached")

CONFIG = DecoderConfig(
    vocab_size=262,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    intermediate_size=96,
    max_position_embeddings=128,
    rms_norm_eps=2.0**-17,
)
NAMES = {
    "attention_norm.scale": "attn_norm",
    "attention.query.kernel": "attn_q",
    "attention.key.kernel": "attn_k",
    "attention.value.kernel": "attn_v",
    "attention.output.kernel": "attn_output",
    "mlp_norm.scale": "ffn_norm",
    "gate.kernel": "ffn_gate",
    "up.kernel": "ffn_up",
    "down.kernel": "ffn_down",
}


def byte_tokens() -> list[str]:
    """The 256 letters that stand for bytes, two words and an end of text."""
    from tokenizers.pre_tokenizers import ByteLevel

    return [*sorted(ByteLevel.alphabet()), "he", "ro", "hero", "<|end|>", "bo", "x2"]


def permuted(rows: np.ndarray, heads: int) -> np.ndarray:
    """Hugging Face's order to llama.cpp's, as its converter does it."""
    parts = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return parts.swapaxes(1, 2).reshape(rows.shape)


def write(path: Path, params: dict, kind: str, *, skip: str = "", own: bool = False):
    """Writes a file with the package's own writer; returns what it should hold."""
    quantised = getattr(gguf.GGMLQuantizationType, kind)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONFIG.max_position_embeddings)
    writer.add_embedding_length(CONFIG.hidden_size)
    writer.add_block_count(CONFIG.num_hidden_layers)
    writer.add_feed_forward_length(CONFIG.intermediate_size)
    writer.add_head_count(CONFIG.num_attention_heads)
    writer.add_head_count_kv(CONFIG.num_key_value_heads)
    writer.add_layer_norm_rms_eps(CONFIG.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(byte_tokens())
    writer.add_token_types([1] * 259 + [3] + [1] * 2)
    writer.add_token_merges(["h e", "r o", "he ro", "b o"])
    writer.add_eos_token_id(259)
    held = {}

    def add(name: str, array: np.ndarray) -> np.ndarray:
        """The array as it comes back."""
        if name == skip:
            return array
        if array.ndim == 1:
            writer.add_tensor(name, array)
            return array
        data = gguf.quantize(array, quantised)
        writer.add_tensor(name, data, raw_dtype=quantised)
        return gguf.dequantize(data, quantised).reshape(array.shape)

    arrays = flat(params)
    held["words"] = add("token_embd.weight", np.asarray(arrays["words"]))
    held["norm.scale"] = add("output_norm.weight", np.asarray(arrays["norm.scale"]))
    if own:
        add("output.weight", np.asarray(arrays["words"]) + 1)
    heads = {"attn_q": CONFIG.num_attention_heads, "attn_k": CONFIG.num_key_value_heads}
    for layer in range(CONFIG.num_hidden_layers):
        for ours, theirs in NAMES.items():
            path_ = f"layer_{layer}.{ours}"
            array = np.asarray(arrays[path_])
            array = np.ascontiguousarray(array.T) if array.ndim == 2 else array
            if theirs in heads:
                array = permuted(array, heads[theirs])
            back = add(f"blk.{layer}.{theirs}.weight", array)
            if theirs in heads:
                back = unpermuted(back, heads=heads[theirs])
            held[path_] = back.T if back.ndim == 2 else back
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


@pytest.fixture(scope="module")
def params() -> dict:
    return initialise(CONFIG, seed=0).params


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1"])
def test_each_type_is_read(tmp_path: Path, params: dict, kind: str) -> None:
    path = tmp_path / "tiny.gguf"
    held = write(path, params, kind)
    for source in (tmp_path, path):
        model = load_encoder(source)
        assert dataclasses.replace(model.config, rope=CONFIG.rope) == CONFIG
        found = flat(model.params)
        assert found.keys() == held.keys()
        for name, array in held.items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)
    close = {"F32": 0, "F16": 1e-4, "BF16": 1e-3, "Q8_0": 1e-3}.get(kind, 0.02)
    exact = flat(params)
    for name, array in held.items():
        # In the order in which they were made, whatever the file's is.
        np.testing.assert_allclose(array, exact[name], atol=close)
    assert len(weights_hash(path)) == 64


def test_its_tokenizer_cuts_texts(tmp_path: Path, params: dict) -> None:
    write(tmp_path / "tiny.gguf", params, "F32")
    tokenizer, tokens = load_tokenizer(tmp_path), byte_tokens()
    assert tokenizer.pad_id == 259
    for text, expected in (("hero", ["hero"]), ("robo", ["ro", "bo"]), ("", [])):
        ids = tokenizer.encode([text], max_length=8)[0]
        assert [tokens[one] for one in ids] == expected
    encoder = TextEncoder.load(tmp_path, pooling="last", max_length=16)
    vectors = encoder.encode(["hero robo", "", "我喜欢"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1], atol=1e-5)


def test_it_is_parsed_once(
    tmp_path: Path, params: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens take seconds in a model of a common size."""
    write(tmp_path / "model.gguf", params, "F32")
    parsed, real = [], gguf.GGUFReader.__init__

    def counted(self: Any, *arguments: Any, **options: Any) -> None:
        parsed.append(arguments)
        real(self, *arguments, **options)

    monkeypatch.setattr(gguf.GGUFReader, "__init__", counted)
    encoder = TextEncoder.load(tmp_path / "model.gguf", max_length=16)
    assert len(parsed) == 1
    assert encoder.config.special_tokens == (("eos_token_id", 259),)
    encoder.save(tmp_path / "saved")
    values = json.loads((tmp_path / "saved" / "config.json").read_text("utf-8"))
    assert values["eos_token_id"] == 259
    assert not {"bos_token_id", "pad_token_id"} & values.keys()
    # Each by itself reads it too.
    load_encoder(tmp_path)
    load_tokenizer(tmp_path)
    assert len(parsed) == 3


def test_a_head_of_its_own(tmp_path: Path, params: dict) -> None:
    write(tmp_path / "tiny.gguf", params, "F32", own=True)
    assert load_encoder(tmp_path).config.head == "none"
    model = load_language_model(tmp_path)
    head = model.params["lm_head"]["kernel"]
    np.testing.assert_array_equal(head.T, np.asarray(params["words"]) + 1)


def test_a_missing_tensor_is_named(tmp_path: Path, params: dict) -> None:
    write(tmp_path / "tiny.gguf", params, "F32", skip="blk.1.ffn_up.weight")
    with pytest.raises(UserError, match=r"blk\.1\.ffn_up\.weight is missing") as caught:
        load_encoder(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0, 3, 10, 200, 5000, -64])
def test_a_truncated_file_is_one_line(tmp_path: Path, params: dict, kept: int) -> None:
    path = tmp_path / "tiny.gguf"
    write(path, params, "F32")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match="expected a") as caught:
        load_encoder(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"GGUF", b"not one of them at all" * 9])
def test_another_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_config(path)
    assert "\n" not in str(caught.value)


def test_rows_are_turned_back() -> None:
    rows = np.arange(32 * 3).reshape(32, 3)
    for heads in (1, 2, 4):
        turned = permuted(rows, heads)
        np.testing.assert_array_equal(unpermuted(turned, heads=heads), rows)
