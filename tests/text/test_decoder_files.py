"""Decoders' folders: their settings, heads and names, and what is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.model import apply, initialise
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.pretrained import load_encoder, read_config, save_encoder
from llmgnn_jax.text.pretrained.decoder_names import decoder_names, gguf_names
from llmgnn_jax.text.pretrained.load import load_language_model

TINY = DecoderConfig(
    vocab_size=20,
    hidden_size=16,
    num_hidden_layers=12,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=6,
    intermediate_size=24,
    max_position_embeddings=32,
)
SHAPE = {
    "vocab_size": 20,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
}


def saved(folder: Path, **changes: object):
    config = dataclasses.replace(TINY, **changes)
    model = initialise(config, seed=1)
    save_encoder(folder, params=model.params, config=config)
    return model


def rewrite(folder: Path, change) -> None:
    path = folder / "model.safetensors"
    save_file(change(dict(load_file(path))), path)


def written(folder: Path, **values: object) -> Path:
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def assert_same(one: object, other: object) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3", "gemma"])
@pytest.mark.parametrize("head", ["none", "tied", "own"])
def test_saved_weights_are_loaded_again(tmp_path: Path, family: str, head: str) -> None:
    act = "gelu_pytorch_tanh" if family == "gemma" else "silu"
    model = saved(tmp_path, family=family, head=head, hidden_act=act)
    encoder = load_encoder(tmp_path)
    without = "tied" if head == "tied" else "none"
    assert encoder.config == dataclasses.replace(model.config, head=without)
    kept = {key: value for key, value in model.params.items() if key != "lm_head"}
    assert_same(encoder.params, kept)
    if head != "none":
        whole = load_language_model(tmp_path)
        assert whole.config == model.config
        assert_same(whole.params, model.params)


def test_a_head_that_is_not_there_is_named(tmp_path: Path) -> None:
    saved(tmp_path, head="none")
    with pytest.raises(UserError, match=r"1 problems: lm_head\.weight is missing"):
        load_language_model(tmp_path)


def test_what_models_without_a_head_and_classifiers_are_saved_as(
    tmp_path: Path,
) -> None:
    expected = saved(tmp_path, head="tied").params

    def disguise(tensors: dict) -> dict:
        bare = {name.removeprefix("model."): value for name, value in tensors.items()}
        return bare | {
            "layers.0.self_attn.rotary_emb.inv_freq": np.ones(3, np.float32),
            "score.weight": np.ones((2, 16), np.float32),
            # A copy of the table of words, which tied models may carry.
            "lm_head.weight": tensors["model.embed_tokens.weight"],
        }

    rewrite(tmp_path, disguise)
    assert_same(load_encoder(tmp_path).params, expected)
    assert_same(load_language_model(tmp_path).params, expected)


def test_a_base_model_of_pytorchs_is_loaded(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is absent")
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        **SHAPE, num_key_value_heads=2, tie_word_embeddings=False, pad_token_id=0
    )
    first = transformers.LlamaModel(config)
    first.save_pretrained(tmp_path / "theirs")
    model = load_encoder(tmp_path / "theirs")
    assert model.config.head == "none"
    save_encoder(tmp_path / "ours", params=model.params, config=model.config)
    again = transformers.AutoModel.from_pretrained(tmp_path / "ours")
    assert type(again) is transformers.LlamaModel
    for name, value in first.state_dict().items():
        assert value.equal(again.state_dict()[name]), name


@pytest.mark.parametrize(
    "ids",
    [
        {},
        {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
        {"bos_token_id": None, "eos_token_id": [2, 7]},
    ],
)
def test_ids_of_special_tokens_are_kept(tmp_path: Path, ids: dict) -> None:
    """As they stand there: what is absent, or null, stays so."""
    saved(tmp_path / "theirs")
    path = tmp_path / "theirs" / "config.json"
    plain = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**plain, **ids}))
    model = load_encoder(tmp_path / "theirs")
    assert model.config == TINY  # They are no part of the shape.
    hash(model.config)
    save_encoder(tmp_path / "ours", params=model.params, config=model.config)
    values = json.loads((tmp_path / "ours" / "config.json").read_text("utf-8"))
    assert values == {**plain, **ids}


@pytest.mark.parametrize("value", ["2", 2.0, [2, "7"], True])
def test_ids_that_are_none_are_one_line(tmp_path: Path, value: object) -> None:
    saved(tmp_path)
    path = tmp_path / "config.json"
    values = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**values, "eos_token_id": value}))
    with pytest.raises(UserError, match=r"eos_token_id: expected a token's id"):
        load_encoder(tmp_path)


def test_what_is_saved_generates_the_same(tmp_path: Path) -> None:
    """It ends where the first one ends: at a token that no default names."""
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    ids = {"bos_token_id": 3, "pad_token_id": 0}
    config = transformers.LlamaConfig(**SHAPE, num_key_value_heads=2, eos_token_id=2)
    prompt = torch.tensor([[3, 4, 5]])

    def generated(model: Any) -> list[int]:
        return model.generate(prompt, do_sample=False, max_new_tokens=12)[0].tolist()

    first = transformers.LlamaForCausalLM(config)
    free = generated(first)
    end = free[6]
    assert end != 2
    first.config.update({**ids, "eos_token_id": [end, 19]})
    first.generation_config = transformers.GenerationConfig.from_model_config(
        first.config
    )
    expected = generated(first)
    assert expected == free[: free.index(end, 3) + 1] != free
    first.save_pretrained(tmp_path / "theirs")
    model = load_language_model(tmp_path / "theirs")
    save_encoder(tmp_path / "ours", params=model.params, config=model.config)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert generated(again) == expected
    assert again.config.pad_token_id == 0


def test_the_name_tables(tmp_path: Path) -> None:
    names = decoder_names(dataclasses.replace(TINY, head="own"))
    assert len(names) == 3 + 12 * 9 == len(set(names.values()))
    query = "layer_11.attention.query.kernel"
    assert names[query] == "model.layers.11.self_attn.q_proj.weight"
    assert gguf_names(TINY)[query] == "blk.11.attn_q.weight"
    biased = decoder_names(dataclasses.replace(TINY, family="qwen2"))
    assert "layer_0.attention.value.bias" in biased
    assert "layer_0.attention.output.bias" not in biased
    normed = decoder_names(dataclasses.replace(TINY, family="qwen3"))
    key = "model.layers.0.self_attn.k_norm.weight"
    assert normed["layer_0.attention.key_norm.scale"] == key


def test_all_that_is_wrong_is_listed_in_one_line(tmp_path: Path) -> None:
    saved(tmp_path)

    def spoil(tensors: dict) -> dict:
        del tensors["model.norm.weight"]
        tensors["model.layers.3.mlp.up_proj.weight"] = np.ones((16, 24), np.float32)
        tensors["model.layers.12.mlp.up_proj.weight"] = np.ones((24, 16), np.float32)
        return tensors

    rewrite(tmp_path, spoil)
    with pytest.raises(UserError) as caught:
        load_encoder(tmp_path)
    for part in (
        "3 problems",
        "model.norm.weight is missing",
        "model.layers.3.mlp.up_proj.weight is (16, 24), not (24, 16)",
        "model.layers.12.mlp.up_proj.weight is unknown",
    ):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_config_means_that_does_not_say_it(tmp_path: Path) -> None:
    llama = read_config(written(tmp_path, model_type="llama", **SHAPE))
    assert (llama.num_key_value_heads, llama.head_dim, llama.head) == (4, 4, "none")
    assert (llama.max_tokens, llama.out_features) == (2048, 16)
    gemma = read_config(written(tmp_path, model_type="gemma", **SHAPE))
    assert (gemma.head_dim, gemma.head) == (256, "tied")
    assert (gemma.norm_offset, gemma.embedding_scale) == (1.0, 4.0)
    # The first Gemmas say "gelu" and mean its tanh form.
    legacy = read_config(
        written(tmp_path, model_type="gemma", hidden_act="gelu", **SHAPE)
    )
    assert legacy.hidden_act == gemma.hidden_act == "gelu_pytorch_tanh"
    qwen3 = read_config(written(tmp_path, model_type="qwen3", **SHAPE))
    assert (qwen3.head_dim, qwen3.head_norms) == (128, True)
    # A window that no row reaches changes nothing, nor does one that is off.
    for values in (
        {"model_type": "qwen2", "use_sliding_window": False, "sliding_window": 8},
        {
            "model_type": "qwen2",
            "use_sliding_window": True,
            "sliding_window": 8,
            "max_window_layers": 2,
        },
        {"model_type": "mistral", "sliding_window": None},
        {
            "model_type": "mistral",
            "sliding_window": 4096,
            "max_position_embeddings": 4096,
        },
    ):
        read_config(written(tmp_path, num_key_value_heads=2, **SHAPE, **values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mistral"}, "sliding_window: expected null or at least"),
        (
            {
                "model_type": "qwen2",
                "use_sliding_window": True,
                "max_window_layers": 1,
                "sliding_window": 8,
            },
            "sliding_window: expected null or at least .* 32768, got 8",
        ),
        (
            {"layer_types": ["sliding_attention"]},
            "layer_types: expected full_attention",
        ),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping: expected None"),
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping: expected None"),
        (
            {"model_type": "gemma", "use_bidirectional_attention": True},
            "use_bidirectional_attention: expected False",
        ),
        ({"is_causal": False}, "is_causal: expected True"),
        ({"head_dim": 5}, "head_dim: expected an even number, got 5"),
        ({"rms_norm_eps": 0.0}, "rms_norm_eps: expected a number above 0"),
        ({"num_attention_heads": 0}, "num_attention_heads: expected a whole number"),
        ({"hidden_size": "wide"}, "hidden_size: expected a whole number"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_type: expected"),
    ],
)
def test_what_is_not_supported_is_one_line(
    tmp_path: Path, change: dict, message: str
) -> None:
    written(tmp_path, **({"model_type": "llama"} | SHAPE | change))
    with pytest.raises(UserError, match=message) as caught:
        read_config(tmp_path)
    assert str(tmp_path / "config.json") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "gemma"])
def test_padding_changes_nothing_and_every_parameter_has_a_gradient(
    family: str,
) -> None:
    config = dataclasses.replace(TINY, family=family, num_hidden_layers=2)
    model = initialise(config, seed=0)
    if family == "gemma":
        assert not np.any(model.params["norm"]["scale"])
    random = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: leaf + 0.3 * random.normal(size=leaf.shape).astype("f4"),
        model.params,
    )
    ids = random.integers(1, 20, (3, 9)).astype(np.int32)
    mask = np.arange(9)[None] < np.array([[9], [4], [1]])
    run = jax.jit(apply, static_argnums=0)
    hidden = run(model.graphdef, params, TokenRows(ids_BL=ids, mask_BL=mask))
    rows = TokenRows(
        ids_BL=np.pad(ids, ((0, 2), (0, 7)), constant_values=7),
        mask_BL=np.pad(mask, ((0, 2), (0, 7))),
    )
    padded = np.asarray(run(model.graphdef, params, rows))
    np.testing.assert_allclose(padded[:3, :9][mask], hidden[mask], atol=1e-5)
    assert np.isfinite(padded).all(), "rows of padding alone are no NaN"

    @jax.jit
    def loss(params: dict) -> jax.Array:
        hidden = apply(model.graphdef, params, rows)
        return (hidden[:, :, 0] * rows.mask_BL).sum()

    for path, leaf in jax.tree_util.tree_flatten_with_path(jax.grad(loss)(params))[0]:
        # A key's bias moves all scores of a query nearly alike, but for its rotation.
        assert np.isfinite(leaf).all()
        assert np.abs(leaf).max() > 1e-7, jax.tree_util.keystr(path)


def test_a_token_knows_nothing_of_what_comes_later() -> None:
    model = initialise(dataclasses.replace(TINY, num_hidden_layers=2), seed=0)
    ids = np.arange(1, 9, dtype=np.int32)[None]
    mask = np.ones(ids.shape, bool)
    run = jax.jit(apply, static_argnums=0)
    one = run(*model[:2], TokenRows(ids_BL=ids, mask_BL=mask))
    changed = ids.copy()
    changed[0, 5] = 19
    other = run(*model[:2], TokenRows(ids_BL=changed, mask_BL=mask))
    difference = np.abs(np.asarray(one - other))[0].max(axis=-1)
    assert not difference[:5].any()
    assert (difference[5:] > 1e-5).all()
