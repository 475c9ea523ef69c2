"""Weights from safetensors, and what is wrong with them."""

import json

import jax
import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.model import declare, initialise
from llmgnn_jax.text.pretrained import load_encoder, save_encoder, weights_hash
from llmgnn_jax.text.pretrained.bert_names import bert_names
from llmgnn_jax.text.pretrained.modules import warn_of_modules

TINY = BertConfig(
    vocab_size=20,
    hidden_size=8,
    num_hidden_layers=12,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=16,
)


@pytest.fixture
def folder(tmp_path):
    model = initialise(TINY, seed=3)
    save_encoder(tmp_path, params=model.params, config=TINY)
    return tmp_path


def rewrite(folder, change):
    path = folder / "model.safetensors"
    tensors = dict(load_file(path))
    save_file(change(tensors) or tensors, path)


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_saved_weights_are_loaded_again(folder):
    model = load_encoder(folder)
    assert model.config == TINY
    assert_same(model.params, initialise(TINY, seed=3).params)
    # 12 layers: "layer_10" comes before "layer_2" in any sorted order.
    assert model.graphdef == declare(TINY).graphdef


def test_the_name_table_is_hugging_faces():
    names = bert_names(TINY)
    assert len(names) == 5 + 12 * 16 == len(set(names.values()))
    assert names["embeddings.words"] == "embeddings.word_embeddings.weight"
    assert (
        names["layer_11.attention.output.kernel"]
        == "encoder.layer.11.attention.output.dense.weight"
    )
    assert (
        names["layer_3.output_norm.scale"] == "encoder.layer.3.output.LayerNorm.weight"
    )


def test_prefix_old_endings_heads_and_half_precision(folder):
    expected = load_encoder(folder).params

    def disguise(tensors):
        renamed = {
            "bert."
            + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): tensor.astype(np.float64)
            for name, tensor in tensors.items()
        }
        extra = {
            "bert.embeddings.position_ids": np.arange(16)[None],
            "bert.pooler.dense.weight": np.zeros((8, 8), np.float32),
            "cls.predictions.bias": np.zeros(20, np.float32),
        }
        return renamed | extra

    rewrite(folder, disguise)
    assert_same(load_encoder(folder).params, expected)
    rewrite(folder, lambda t: {k: v.astype(np.float16) for k, v in t.items()})
    for leaf, exact in zip(
        jax.tree.leaves(load_encoder(folder).params),
        jax.tree.leaves(expected),
        strict=True,
    ):
        assert leaf.dtype == np.float32
        np.testing.assert_allclose(leaf, exact, atol=1e-4)


def test_all_that_is_wrong_is_listed_in_one_line(folder):
    def spoil(tensors):
        del tensors["embeddings.LayerNorm.bias"]
        del tensors["encoder.layer.11.output.dense.weight"]
        tensors["encoder.layer.0.intermediate.dense.weight"] = np.zeros(
            (8, 12), np.float32
        )
        tensors["encoder.layer.1.attention.self.key.bias"] = np.zeros(8, np.int32)
        tensors["encoder.layer.12.output.dense.bias"] = np.zeros(8, np.float32)

    rewrite(folder, spoil)
    with pytest.raises(UserError) as caught:
        load_encoder(folder)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        str(folder / "model.safetensors"),
        "5 problems",
        "embeddings.LayerNorm.bias is missing",
        "encoder.layer.11.output.dense.weight is missing",
        "encoder.layer.0.intermediate.dense.weight is (8, 12), not (12, 8)",
        "encoder.layer.1.attention.self.key.bias is I32, no float",
        "encoder.layer.12.output.dense.bias is unknown",
    ):
        assert part in message


@pytest.mark.parametrize("kept", [0, 4, 100, -40])
def test_truncated_weights_are_one_line(folder, kept):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match="expected a whole safetensors file") as caught:
        load_encoder(folder)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pickle_is_named_and_never_opened(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04\x95")
    with pytest.raises(UserError, match=r"got pytorch_model\.bin; save the model as"):
        load_encoder(folder)
    with pytest.raises(UserError, match=r"a file model\.safetensors"):
        weights_hash(folder)


def test_weights_hash_follows_the_bytes(folder):
    before = weights_hash(folder)
    assert before == weights_hash(folder)
    rewrite(folder, lambda t: {k: v + np.float32(1e-3) for k, v in t.items()})
    assert weights_hash(folder) != before


def test_a_disk_that_takes_no_more_is_an_error_of_the_system(tmp_path, monkeypatch):
    def full(*_, **__):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    model = initialise(TINY, seed=3)
    with pytest.raises(OSError, match="No space left"):
        save_encoder(tmp_path, params=model.params, config=TINY)
    assert list(tmp_path.iterdir()) == []


def pipeline(folder, *modules, **pooling):
    """A sentence-transformers folder around the encoder."""
    entries = [
        {"idx": number, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(entries))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


TRANSFORMER, POOLING = ("", "Transformer"), ("1_Pooling", "Pooling")


@pytest.mark.parametrize(
    ("modules", "said", "used", "words"),
    [
        (
            [TRANSFORMER, POOLING],
            {"pooling_mode_cls_token": True},
            "mean",
            "pooling cls",
        ),
        ([TRANSFORMER, POOLING], {"pooling_mode_mean_tokens": True}, "mean", None),
        (
            [TRANSFORMER, POOLING, ("2_Normalize", "Normalize")],
            {"pooling_mode_lasttoken": True, "pooling_mode_cls_token": False},
            "last",
            None,
        ),
        (
            [TRANSFORMER, POOLING, ("2_Dense", "Dense")],
            {"pooling_mode_mean_tokens": True},
            "mean",
            "go through Dense, which is left out",
        ),
        ([], {}, "mean", None),
    ],
)
def test_whoever_chooses_otherwise_than_a_pipeline_is_told(
    folder, caplog, modules, said, used, words
):
    pipeline(folder, *modules, **said)
    warn_of_modules(folder, pooling=used)
    if words is None:
        assert not caplog.records
    else:
        assert words in caplog.text


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"type": 3}]', "[" * 100_000])
def test_a_broken_list_of_modules_says_nothing(folder, caplog, content):
    pipeline(folder)
    (folder / "modules.json").write_text(content)
    warn_of_modules(folder, pooling="mean")
    assert not caplog.records
