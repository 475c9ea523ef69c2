"""The decoder-LLM family: parity with PyTorch, packing, what is refused."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.decoder import logits
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.model import apply, declare, initialise
from llmgnn_jax.text.encoders.rope import Rope
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.pretrained import load_encoder, read_config, save_encoder
from llmgnn_jax.text.pretrained.load import load_language_model

TINY = DecoderConfig(
    vocab_size=50,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    intermediate_size=48,
    max_position_embeddings=64,
)
SHAPE = {
    "vocab_size": 50,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "max_position_embeddings": 64,
    # So that attention and activations are far from linear.
    "initializer_range": 0.3,
    "pad_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
FAMILIES = [
    ("Llama", {"tie_word_embeddings": True}),
    ("Llama", {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True}),
    ("Llama", {"rope_parameters": LLAMA3}),
    ("Llama", {"num_key_value_heads": 4, "head_dim": 8}),
    ("Mistral", {"sliding_window": None}),
    ("Qwen2", {}),
    ("Qwen3", {"head_dim": 24}),
    ("Gemma", {"head_dim": 24, "num_key_value_heads": 1}),
]


def ragged(seed: int, *, rows: int = 5, length: int = 33) -> tuple:
    random = np.random.default_rng(seed)
    counts = random.integers(1, length + 1, rows)
    counts[0] = length
    mask = np.arange(length)[None, :] < counts[:, None]
    ids = np.where(mask, random.integers(1, 50, mask.shape), 0)
    return ids.astype(np.int32), mask


@pytest.mark.slow
@pytest.mark.parametrize(("family", "changes"), FAMILIES)
def test_outputs_and_gradients_are_pytorchs(
    tmp_path: Path, family: str, changes: dict
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**(SHAPE | changes))
    peer = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        for name, value in peer.named_parameters():
            if name.endswith("bias") or "norm" in name:
                value.add_(0.3 * torch.randn(value.shape))
    peer.save_pretrained(tmp_path / "theirs")
    model = load_language_model(tmp_path / "theirs")
    ids, mask = ragged(1)
    rows = TokenRows(ids_BL=ids, mask_BL=mask)
    inputs = {
        "input_ids": torch.tensor(ids).long(),
        "attention_mask": torch.tensor(mask).long(),
    }
    theirs = peer.model(**inputs).last_hidden_state
    ours = np.asarray(jax.jit(apply, static_argnums=0)(*model[:2], rows))
    assert np.abs(ours - theirs.detach().numpy())[mask].max() <= 1e-4
    scores = np.asarray(jax.jit(logits, static_argnums=0)(*model[:2], rows))
    expected = peer(**inputs).logits.detach().numpy()
    size = np.abs(expected).max()
    assert np.abs(scores - expected)[mask].max() <= 1e-5 * size

    # Without its head the same hidden states.
    encoder = load_encoder(tmp_path / "theirs")
    again = np.asarray(jax.jit(apply, static_argnums=0)(*encoder[:2], rows))
    np.testing.assert_allclose(again[mask], ours[mask], atol=1e-5)

    weights = np.random.default_rng(3).normal(size=ours.shape) * mask[..., None]
    (theirs * torch.tensor(weights)).sum().backward()
    gradients = jax.jit(
        jax.grad(lambda p: (apply(encoder.graphdef, p, rows) * weights).sum())
    )(encoder.params)
    save_encoder(tmp_path / "g", params=gradients, config=encoder.config)
    saved = load_file(tmp_path / "g" / "model.safetensors")
    for name, parameter in peer.model.named_parameters():
        found = saved.get(name, saved.get(f"model.{name}"))
        wanted = np.asarray(parameter.grad)
        if name == "embed_tokens.weight":  # PyTorch trains no padding.
            wanted, found = wanted[1:], found[1:]
        size = np.abs(wanted).max()
        # Rotated, a key's bias is seen, if hardly.
        slack = 1e-3 if name.endswith("k_proj.bias") else 1e-7
        assert np.abs(found - wanted).max() <= 1e-3 * size + slack, name


@pytest.mark.parametrize(("family", "changes"), FAMILIES[:2] + FAMILIES[5:])
def test_what_we_save_is_loaded_by_pytorch(
    tmp_path: Path, family: str, changes: dict
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{family}Config")(**(SHAPE | changes))
    first = getattr(transformers, f"{family}ForCausalLM")(config)
    first.save_pretrained(tmp_path / "theirs")
    model = load_language_model(tmp_path / "theirs")
    save_encoder(tmp_path / "ours", params=model.params, config=model.config)
    again = getattr(transformers, f"{family}ForCausalLM").from_pretrained(
        tmp_path / "ours"
    )
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert load_language_model(tmp_path / "ours").config == model.config


def noisy(config: DecoderConfig, seed: int = 0):
    model, random = initialise(config, seed=seed), np.random.default_rng(seed)
    return model._replace(
        params=jax.tree.map(
            lambda leaf: leaf + 0.3 * random.normal(size=leaf.shape).astype("f4"),
            model.params,
        )
    )


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma"])
def test_packed_texts_and_more_padding_change_nothing(family: str) -> None:
    config = dataclasses.replace(
        TINY, family=family, rope=Rope(rope_type="linear", factor=2.0)
    )
    model = noisy(config)
    run = jax.jit(apply, static_argnums=0)
    counts, random = (7, 1, 5), np.random.default_rng(0)
    texts = [random.integers(1, 50, count).astype(np.int32) for count in counts]
    packed = TokenRows(
        ids_BL=np.pad(np.concatenate(texts), (0, 3), constant_values=9)[None],
        mask_BL=(np.arange(16) < 13)[None],
        segments_BL=np.repeat([0, 1, 2, 3], [*counts, 3]).astype(np.int32)[None],
        positions_BL=np.concatenate(
            [np.arange(count, dtype=np.int32) for count in (*counts, 3)]
        )[None],
    )
    together, start = np.asarray(run(*model[:2], packed))[0], 0
    for text in texts:
        alone = TokenRows(ids_BL=text[None], mask_BL=np.ones((1, len(text)), bool))
        expected = np.asarray(run(*model[:2], alone))[0]
        stop = start + len(text)
        np.testing.assert_allclose(together[start:stop], expected, atol=2e-5)
        start = stop


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"scan": True}, {"remat": "layers"}])
def test_scanned_and_rematerialised_layers_give_the_same(changes: dict) -> None:
    model, other = noisy(TINY), declare(TINY, **changes)
    ids, mask = ragged(2, length=16)
    rows = TokenRows(ids_BL=ids, mask_BL=mask)

    def loss(graphdef):
        return lambda params: (
            (apply(graphdef, params, rows) * mask[..., None]) ** 3
        ).mean()

    expected = jax.jit(jax.value_and_grad(loss(model.graphdef)))(model.params)
    got = jax.jit(jax.value_and_grad(loss(other.graphdef)))(model.params)
    for one, two in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, two, atol=2e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_key_value_heads": 3}, "num_key_value_heads: expected a divisor"),
        ({"hidden_act": "swish9"}, "hidden_act: expected one of"),
        ({"hidden_act": ["a"]}, "expected"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "rope_type: expected"),
        ({"model_type": "t5"}, "model_type: expected one of"),
        ({"vocab_size": None}, "keys vocab_size"),
        ({"num_hidden_layers": "3"}, "num_hidden_layers: expected a whole number"),
    ],
)
def test_config_that_is_not_supported_is_one_line(
    tmp_path: Path, change: dict, message: str
) -> None:
    values = {"model_type": "llama", **SHAPE, **change}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    with pytest.raises(UserError, match=message) as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_encoder_without_a_head_gives_no_logits() -> None:
    model = initialise(dataclasses.replace(TINY, head="none"), seed=0)
    rows = TokenRows(ids_BL=np.ones((1, 3), np.int32), mask_BL=np.ones((1, 3), bool))
    with pytest.raises(UserError, match="head: expected a decoder with an output head"):
        logits(model.graphdef, model.params, rows)
