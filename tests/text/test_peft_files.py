"""LoRA adapters in PEFT's files: names, targets, and what is refused."""

import json
import re

import jax
import numpy as np
import pytest
import safetensors.numpy
from safetensors.numpy import load_file, save_file

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.cnn import CNNConfig
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.model import apply, initialise, with_adapters
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.lora import Adapters
from llmgnn_jax.text.parameters import flat
from llmgnn_jax.text.peft_files import load_adapters, save_adapters

BERT = BertConfig(
    vocab_size=50,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=24,
)
LLAMA = DecoderConfig(
    vocab_size=50,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    intermediate_size=48,
    max_position_embeddings=24,
)
ADAPTERS = Adapters(rank=4, alpha=8.0, targets=("query", r"feed_forward\.output"))
run = jax.jit(apply, static_argnums=0)


def adapted(config, adapters=ADAPTERS, seed=0):
    """An encoder with adapters that change something."""
    model = with_adapters(initialise(config, seed=seed), adapters, seed=seed)
    rng = np.random.default_rng(seed)

    def value(path, leaf):
        if path[-1].key != "lora_b":
            return leaf
        return leaf + rng.normal(size=leaf.shape).astype(np.float32)

    params = jax.tree_util.tree_map_with_path(value, model.params)
    return model._replace(params=params)


def rows_of(seed=0):
    rng = np.random.default_rng(seed)
    mask = np.arange(12)[None, :] < np.array([12, 5, 9])[:, None]
    ids = np.where(mask, rng.integers(3, 50, mask.shape), 1).astype(np.int32)
    return TokenRows(ids_BL=ids, mask_BL=mask)


def change(folder, *, config=None, tensors=None):
    """Rewrites the files as the functions given say."""
    if config is not None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(config(json.loads(path.read_text()))))
    if tensors is not None:
        path = folder / "adapter_model.safetensors"
        save_file(tensors(dict(load_file(path))), path)


def refusal(folder, model):
    with pytest.raises(UserError) as caught:
        load_adapters(folder, model)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.fixture
def folder(tmp_path):
    save_adapters(tmp_path, model=adapted(BERT), adapters=ADAPTERS)
    return tmp_path


@pytest.fixture(scope="module")
def base():
    return initialise(BERT, seed=0)


def test_the_names_are_pefts(folder):
    # As PEFT 0.21.2 writes them of a BertModel with these targets.
    names = [
        f"base_model.model.encoder.layer.{number}.{module}.{half}.weight"
        for number in range(2)
        for module in ("attention.self.query", "output.dense")
        for half in ("lora_A", "lora_B")
    ]
    tensors = load_file(folder / "adapter_model.safetensors")
    assert sorted(tensors) == sorted(names)
    shapes = {name.split(".", 5)[5]: value.shape for name, value in tensors.items()}
    assert shapes == {
        "attention.self.query.lora_A.weight": (4, 32),
        "attention.self.query.lora_B.weight": (32, 4),
        "output.dense.lora_A.weight": (4, 48),
        "output.dense.lora_B.weight": (32, 4),
    }
    values = json.loads((folder / "adapter_config.json").read_text())
    assert values["peft_type"] == "LORA"
    assert (values["r"], values["lora_alpha"], values["use_rslora"]) == (4, 8, False)
    # "output.dense" alone would name "attention.output.dense" too.
    assert set(values["target_modules"]) == {
        f"encoder.layer.{number}.{module}"
        for number in range(2)
        for module in ("attention.self.query", "output.dense")
    }


@pytest.mark.parametrize("layout", ["bare", "headed"])
@pytest.mark.parametrize(
    ("config", "prefixes"),
    [
        (BERT, {"bare": "encoder.layer.0", "headed": "bert.encoder.layer.0"}),
        (LLAMA, {"bare": "layers.0", "headed": "model.layers.0"}),
        *(
            (
                BertConfig(**{**BERT.__dict__, "family": family}),
                {"bare": bare, "headed": f"{above}.{bare}"},
            )
            for family, bare, above in (
                ("roberta", "encoder.layer.0", "roberta"),
                ("xlm-roberta", "encoder.layer.0", "roberta"),
                ("distilbert", "transformer.layer.0", "distilbert"),
                ("mpnet", "encoder.layer.0", "mpnet"),
            )
        ),
    ],
)
def test_saved_adapters_are_loaded_again(tmp_path, config, prefixes, layout):
    adapters = Adapters(rank=3, alpha=5.5, targets=("query", "output", "down"))
    model = adapted(config, adapters)
    save_adapters(tmp_path, model=model, adapters=adapters, layout=layout)
    names = load_file(tmp_path / "adapter_model.safetensors")
    assert all(f"{prefixes[layout]}." in f"{name}." for name in names if ".0." in name)
    got = load_adapters(tmp_path, initialise(config, seed=0))
    assert got.adapters.rank == 3
    assert got.adapters.scale == adapters.scale
    assert got.model.graphdef == model.graphdef
    jax.tree.map(np.testing.assert_array_equal, got.model.params, model.params)
    # What training starts from: the adapters that were loaded are kept.
    again = with_adapters(got.model, got.adapters, seed=9, remat="layers")
    jax.tree.map(np.testing.assert_array_equal, again.params, model.params)


def test_a_head_of_its_own_may_have_an_adapter(tmp_path):
    config = DecoderConfig(**{**LLAMA.__dict__, "head": "own"})
    adapters = Adapters(rank=2, targets=("lm_head", "gate"))
    model = adapted(config, adapters)
    save_adapters(tmp_path, model=model, adapters=adapters, layout="headed")
    names = load_file(tmp_path / "adapter_model.safetensors")
    assert names["base_model.model.lm_head.lora_A.weight"].shape == (2, 32)
    got = load_adapters(tmp_path, initialise(config, seed=0))
    assert got.adapters.targets == ("^lm_head$", r"^layer_\d+\.gate$")
    jax.tree.map(np.testing.assert_array_equal, got.model.params, model.params)
    assert "lm_head.lora_A.weight is unknown" in refusal(
        tmp_path, initialise(LLAMA, seed=0)
    )


def test_layers_that_differ_get_patterns_of_their_own(tmp_path, base):
    targets = (r"layer_1\.attention\.query", "key")
    adapters = Adapters(rank=4, alpha=8.0, targets=targets)
    model = adapted(BERT, adapters)
    save_adapters(tmp_path, model=model, adapters=adapters)
    got = load_adapters(tmp_path, base)
    assert got.adapters.targets == (
        r"^layer_1\.attention\.query$",
        r"^layer_\d+\.attention\.key$",
    )
    assert got.model.graphdef == model.graphdef
    rows = rows_of()
    np.testing.assert_array_equal(
        run(got.model.graphdef, got.model.params, rows),
        run(model.graphdef, model.params, rows),
    )


def test_scales(folder, base):
    assert load_adapters(folder, base).adapters.scale == 2
    change(folder, config=lambda values: values | {"use_rslora": True})
    assert load_adapters(folder, base).adapters.scale == pytest.approx(8 / 4**0.5)
    change(folder, config=lambda values: values | {"lora_alpha": 0.5})
    assert load_adapters(folder, base).adapters.scale == pytest.approx(0.5 / 4**0.5)


def test_half_precision_is_read(folder, base):
    exact = load_adapters(folder, base).model.params
    change(
        folder,
        tensors=lambda all_: {k: v.astype(np.float16) for k, v in all_.items()},
    )
    rough = load_adapters(folder, base).model.params
    for name, leaf in flat(rough).items():
        assert leaf.dtype == np.float32
        np.testing.assert_allclose(leaf, flat(exact)[name], rtol=1e-3, atol=1e-6)


def test_adapters_of_poolers_and_heads_are_left_out(folder, base):
    expected = load_adapters(folder, base).model.params

    def more(tensors):
        for module in ("pooler.dense", "classifier"):
            for half, shape in (("lora_A", (4, 32)), ("lora_B", (32, 4))):
                name = f"base_model.model.{module}.{half}.weight"
                tensors[name] = np.ones(shape, np.float32)
        return tensors

    change(folder, tensors=more)
    got = load_adapters(folder, base).model.params
    jax.tree.map(np.testing.assert_array_equal, got, expected)


@pytest.mark.parametrize(
    ("values", "start"),
    [
        ({"peft_type": "LOHA"}, "peft_type: expected LORA, got 'LOHA'"),
        ({"rank_pattern": {"query": 8}}, "rank_pattern: expected null: adapters are"),
        ({"alpha_pattern": {"query": 8}}, "alpha_pattern: expected null"),
        ({"use_dora": True}, "use_dora: expected null"),
        ({"bias": "lora_only"}, "bias: expected null"),
        ({"modules_to_save": ["classifier"]}, "modules_to_save: expected null"),
        ({"from_the_future": 2}, "from_the_future: expected null"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights: expected a start"),
        ({"r": 0}, "r: expected a whole number from 1, got 0"),
        ({"r": True}, "r: expected a whole number from 1, got True"),
        ({"lora_alpha": "16"}, "lora_alpha: expected a number above 0, got '16'"),
        ({"lora_alpha": -1}, "lora_alpha: expected a number above 0, got -1"),
        ({"target_modules": "(query"}, "target_modules: expected names or a regular"),
        ({"target_modules": [1]}, "target_modules: expected names or a regular"),
        ({"layers_to_transform": "1"}, "layers_to_transform: expected numbers of"),
    ],
)
def test_what_is_no_plain_lora_is_refused_by_its_key(folder, base, values, start):
    change(folder, config=lambda before: before | values)
    line = refusal(folder, base)
    assert line.startswith(f"{folder / 'adapter_config.json'}: {start}")


def test_all_mismatches_are_one_line(folder, base):
    where = "base_model.model.encoder.layer"

    def spoil(tensors):
        del tensors[f"{where}.0.output.dense.lora_B.weight"]
        query = tensors.pop(f"{where}.0.attention.self.query.lora_A.weight")
        tensors[f"{where}.0.attention.self.query.lora_A.weight"] = query[:3].copy()
        tensors[f"{where}.7.attention.self.query.lora_A.weight"] = query
        tensors["base_model.model.embeddings.word_embeddings.lora_embedding_A"] = query
        tensors[f"{where}.1.attention.self.value.lora_A.weight"] = query
        tensors[f"{where}.1.attention.self.value.lora_B.weight"] = query.T.astype(int)
        return {name: np.ascontiguousarray(value) for name, value in tensors.items()}

    change(folder, tensors=spoil)
    line = refusal(folder, base)
    assert line.startswith(f"{folder / 'adapter_model.safetensors'}: expected the ")
    for problem in (
        "6 problems",
        "encoder.layer.0.output.dense.lora_B.weight is missing",
        "encoder.layer.0.attention.self.query.lora_A.weight is (3, 32), not (4, 32)",
        "encoder.layer.7.attention.self.query.lora_A.weight is unknown",
        "embeddings.word_embeddings.lora_embedding_A is unknown",
        "encoder.layer.1.attention.self.value is not among target_modules",
        "encoder.layer.1.attention.self.value.lora_B.weight is I64, no float",
    ):
        assert problem in line


def test_modules_that_are_asked_for_and_not_there(folder, base):
    change(folder, config=lambda values: values | {"target_modules": ["query", "key"]})
    line = refusal(folder, base)
    assert "4 problems" not in line
    assert "encoder.layer.1.attention.self.key.lora_A.weight is missing" in line
    assert "encoder.layer.0.output.dense is not among target_modules" in line


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"target_modules": r".*\.self\.(query|key)"}, ("query", "key")),
        ({"target_modules": "all-linear"}, None),
        ({"target_modules": None}, None),
        ({"target_modules": None}, (r"0\.attention\.self\.query",)),
        ({"target_modules": ["query"]}, ("query",)),
        (
            {"target_modules": ["query", "key"], "exclude_modules": ["key"]},
            ("query",),
        ),
        (
            {"target_modules": ["query"], "exclude_modules": r".*\.1\..*"},
            (r"0\.attention\.self\.query",),
        ),
        (
            {"target_modules": ["query"], "layers_to_transform": 1},
            (r"1\.attention\.self\.query",),
        ),
        (
            {
                "target_modules": ["query"],
                "layers_to_transform": [1],
                "layers_pattern": "layer",
            },
            (r"1\.attention\.self\.query",),
        ),
    ],
)
@pytest.mark.parametrize("layout", ["bare", "headed"])
def test_target_modules_are_read_as_peft_reads_them(
    tmp_path, base, values, kept, layout
):
    everything = Adapters(rank=4, alpha=8.0, targets=("",))
    save_adapters(
        tmp_path, model=adapted(BERT, everything), adapters=everything, layout=layout
    )

    def chosen(tensors):
        return {
            name: value
            for name, value in tensors.items()
            if kept is None or any(re.search(part, name) for part in kept)
        }

    change(tmp_path, config=lambda before: before | values, tensors=chosen)
    params = flat(load_adapters(tmp_path, base).model.params)
    pairs = sum(name.endswith("lora_a") for name in params)
    assert pairs == len(load_file(tmp_path / "adapter_model.safetensors")) // 2 > 0
    # One of those that are asked for is gone.
    last = sorted(load_file(tmp_path / "adapter_model.safetensors"))[-1]
    if values["target_modules"] is not None and pairs > 1:
        module = last.removesuffix("lora_B.weight")
        change(
            tmp_path,
            tensors=lambda all_: {k: v for k, v in all_.items() if module not in k},
        )
        assert (
            f"{module.removeprefix('base_model.model.')}lora_A.weight is missing"
            in (refusal(tmp_path, base))
        )


def test_files_that_are_not_there_or_unreadable(tmp_path, folder, base):
    path = folder / "adapter_model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert "expected a whole safetensors file" in refusal(folder, base)
    path.unlink()
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04\x95")
    line = refusal(folder, base)
    assert "got adapter_model.bin; save the adapters as safetensors: pickles" in line
    change(folder, tensors=None)
    save_file({}, path)
    change(folder, config=lambda values: values | {"target_modules": None})
    assert "no adapter of the encoder is there" in refusal(folder, base)
    (folder / "adapter_config.json").write_text("{")
    assert "adapter_config.json: expected JSON" in refusal(folder, base)
    (folder / "adapter_config.json").unlink()
    assert "name a folder that PEFT's save_pretrained wrote" in refusal(folder, base)


def test_what_is_no_encoder_of_hugging_faces(tmp_path, folder):
    model = initialise(CNNConfig(vocab_size=50, dim=8), seed=0)
    with pytest.raises(UserError, match="model_type: expected one that PEFT knows: "):
        load_adapters(folder, model)


def test_a_write_that_fails_leaves_what_was_there(folder, base, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def half(tensors, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", half)
    with pytest.raises(OSError, match="No space left"):
        save_adapters(folder, model=adapted(BERT, seed=1), adapters=ADAPTERS)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
