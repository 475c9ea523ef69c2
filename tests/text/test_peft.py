"""LoRA adapters against PEFT itself: it reads ours and we read its."""

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from llmgnn_jax.text.encoders.model import apply, with_adapters
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.lora import Adapters
from llmgnn_jax.text.peft_files import load_adapters, save_adapters
from llmgnn_jax.text.pretrained import load_encoder

# PEFT asks transformers in a way that is deprecated there.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")

run = jax.jit(apply, static_argnums=0)


def rows_of(seed=0):
    rng = np.random.default_rng(seed)
    mask = np.arange(12)[None, :] < np.array([12, 5, 9])[:, None]
    ids = np.where(mask, rng.integers(3, 50, mask.shape), 1).astype(np.int32)
    return TokenRows(ids_BL=ids, mask_BL=mask)


def peft_of(name, options, tmp_path, **config):
    """A model with PEFT's adapters, its folder, and the encoder as we read it."""
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    transformers = pytest.importorskip("transformers")
    peft = pytest.importorskip("peft", reason="PyTorch is absent")
    torch.manual_seed(0)
    # What a family does not know is one more attribute of its configuration.
    shape = {
        "vocab_size": 50,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 24,
        "initializer_range": 0.2,
    }
    made = getattr(transformers, name)
    plain = made(made.config_class(**(shape | config))).eval()
    plain.save_pretrained(tmp_path / "base")
    model = peft.get_peft_model(plain, peft.LoraConfig(**options)).eval()
    with torch.no_grad():
        for parameter_name, value in model.named_parameters():
            if "lora_B" in parameter_name:
                value.normal_()
    model.save_pretrained(tmp_path / "adapters")
    return model, tmp_path / "adapters", load_encoder(tmp_path / "base")


def hidden_of(model, rows):
    """The encoder's last hidden states, whatever head is above."""
    import torch

    with torch.no_grad():
        out = model(
            input_ids=torch.tensor(rows.ids_BL).long(),
            attention_mask=torch.tensor(rows.mask_BL).long(),
            output_hidden_states=True,
        )
    return out.hidden_states[-1].numpy()


PEFT_CASES = [
    ("BertModel", {"r": 4, "lora_alpha": 8, "target_modules": ["query", "value"]}),
    ("BertModel", {"r": 2, "target_modules": "all-linear", "use_rslora": True}),
    ("BertForMaskedLM", {"r": 4, "lora_alpha": 3, "target_modules": ["dense"]}),
    (
        "BertModel",
        {
            "r": 4,
            "target_modules": ["query", "output.dense"],
            "layers_to_transform": [0, 2],
        },
    ),
    (
        "RobertaForSequenceClassification",
        {
            "target_modules": r".*layer\.[12]\..*\.(key|dense)",
            "exclude_modules": ["attention.output.dense"],
        },
    ),
    ("LlamaModel", {"r": 4, "target_modules": ["q_proj", "down_proj"]}),
    (
        "LlamaForCausalLM",
        {
            "r": 4,
            "lora_alpha": 5,
            "use_rslora": True,
            "target_modules": "all-linear",
            "task_type": "CAUSAL_LM",
        },
    ),
    ("Qwen2ForCausalLM", {"r": 2, "target_modules": ["v_proj", "gate_proj"]}),
]


@pytest.mark.parametrize(("name", "options"), PEFT_CASES)
def test_pefts_adapters_give_what_they_give_in_peft(tmp_path, name, options):
    model, folder, base = peft_of(name, options, tmp_path)
    rows = rows_of()
    got = load_adapters(folder, base)
    ours = np.asarray(run(got.model.graphdef, got.model.params, rows))
    theirs = hidden_of(model, rows)
    assert np.abs(ours - theirs)[rows.mask_BL].max() <= 1e-4
    plain = np.asarray(run(base.graphdef, base.params, rows))
    assert np.abs(plain - theirs)[rows.mask_BL].max() > 0.05


@pytest.mark.parametrize(
    ("name", "layout", "targets"),
    [
        ("BertModel", "bare", ("query", r"layer_1\.feed_forward\.output")),
        ("BertForMaskedLM", "headed", ("attention.output", "intermediate")),
        ("LlamaModel", "bare", ("value", "up")),
        ("LlamaForCausalLM", "headed", ("",)),
        ("MPNetModel", "bare", ("",)),
        ("DistilBertModel", "bare", ("key", r"feed_forward\.output")),
    ],
)
def test_peft_loads_ours(tmp_path, name, layout, targets):
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    transformers = pytest.importorskip("transformers")
    peft = pytest.importorskip("peft", reason="PyTorch is absent")
    _, _, base = peft_of(name, {"target_modules": "all-linear"}, tmp_path)
    adapters = Adapters(rank=3, alpha=4.5, targets=targets)
    model = with_adapters(base, adapters, seed=0)
    rng = np.random.default_rng(1)
    model = model._replace(
        params=jax.tree_util.tree_map_with_path(
            lambda path, leaf: (
                leaf + rng.normal(size=leaf.shape).astype(np.float32)
                if path[-1].key == "lora_b"
                else leaf
            ),
            model.params,
        )
    )
    where = str(tmp_path / "base")
    save_adapters(
        tmp_path / "ours", model=model, adapters=adapters, layout=layout, base=where
    )
    plain = getattr(transformers, name).from_pretrained(where)
    theirs = peft.PeftModel.from_pretrained(plain, tmp_path / "ours").eval()
    stored = load_file(tmp_path / "ours" / "adapter_model.safetensors")
    state = peft.get_peft_model_state_dict(theirs)
    assert set(state) == set(stored)
    for key, value in stored.items():
        assert torch.equal(state[key], torch.tensor(value))
    rows = rows_of()
    ours = np.asarray(run(model.graphdef, model.params, rows))
    assert np.abs(ours - hidden_of(theirs, rows))[rows.mask_BL].max() <= 1e-4
