"""LoRA adapters in PEFT's files: adapter_config.json and adapter_model.safetensors.

    adapted = load_adapters(Path("adapters"), load_encoder(Path("encoder")))
    save_adapters(Path("copy"), model=adapted.model, adapters=adapted.adapters)

PEFT's tensors are named after Hugging Face's modules, below "base_model.model.":
"encoder.layer.0.attention.self.query.lora_A.weight" (R, inputs), and ".lora_B.weight"
(outputs, R).
"""

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.encoders.model import EncoderConfig, EncoderModel, declare
from llmgnn_jax.text.encoders.remat import Remat
from llmgnn_jax.text.lora import ADAPTER_LEAVES, Adapters
from llmgnn_jax.text.parameters import flat, nested
from llmgnn_jax.text.peft_config import PeftConfig, peft_values, read_peft_config
from llmgnn_jax.text.pretrained.families import HUGGING_FACE, family_of
from llmgnn_jax.text.pretrained.load import is_kernel
from llmgnn_jax.text.pretrained.save import write_json, write_tensors
from llmgnn_jax.text.pretrained.tensors import Tensors, open_files
from llmgnn_jax.text.trainable import combine

PEFT_CONFIG = "adapter_config.json"
PEFT_WEIGHTS = "adapter_model.safetensors"

_KEY = re.compile(r"base_model\.model\.(.+)\.(lora_[AB])\.weight")
_HALVES = dict(zip(ADAPTER_LEAVES, ("lora_A", "lora_B"), strict=True))
# Below what a model with a head keeps an encoder whose table of names says nothing.
_ABOVE = {
    "bert": "bert.",
    "roberta": "roberta.",
    "xlm-roberta": "roberta.",
    "distilbert": "distilbert.",
    "mpnet": "mpnet.",
}


class AdaptedEncoder(NamedTuple):
    """An encoder with adapters.

    Attributes:
        model: Its parameters are those of the encoder, and the adapters'.
        adapters: Their kind; `with_adapters` makes the same layers of them.
    """

    model: EncoderModel
    adapters: Adapters


def load_adapters(
    folder: Path,
    model: EncoderModel,
    *,
    dtype: ComputeDtype = "float32",
    scan: bool = False,
    remat: Remat = "none",
) -> AdaptedEncoder:
    """Reads the adapters that PEFT, or `save_adapters`, wrote.

    Adapters of heads and poolers are left out, as they are of encoders.

    Args:
        folder: Holds adapter_config.json and adapter_model.safetensors.
        model: What they were trained on, without adapters.
        dtype: Operands of the matrix products.
        scan: See `layers.run_layers`.
        remat: Likewise.

    Raises:
        UserError: If a file is missing or unreadable, the configuration asks for more
            than plain LoRA, or the tensors are not those that it asks for: all that are
            missing, unknown or misshapen, in one line.
    """
    config = read_peft_config(folder / PEFT_CONFIG)
    path = folder / PEFT_WEIGHTS
    if not path.is_file():
        others = sorted(file.name for file in folder.glob("adapter_model*"))
        raise UserError.field(
            str(folder),
            expected=f"a file {PEFT_WEIGHTS}",
            got=", ".join(others) or "none",
            fix="save the adapters as safetensors: pickles are never opened",
        )
    with open_files([path], named=path) as tensors:
        arrays = _read(tensors, config, model, where=path)
    layers = {name.rpartition(".")[0] for name in arrays}
    adapters = Adapters(
        rank=config.rank,
        alpha=config.alpha,
        targets=_patterns(layers, _kernels(model.config).values()),
    )
    declared = declare(
        model.config, dtype=dtype, scan=scan, remat=remat, adapters=adapters
    )
    params = combine(model.params, nested(arrays))
    assert flat(params).keys() == flat(declared.params).keys()
    return AdaptedEncoder(declared._replace(params=params), adapters)


def save_adapters(
    folder: Path,
    *,
    model: EncoderModel,
    adapters: Adapters,
    layout: Literal["bare", "headed"] = "bare",
    base: str | None = None,
) -> None:
    """Writes the adapters of an encoder, which PEFT loads.

    Args:
        folder: Made if absent; the two files are replaced, each when it is whole.
        model: The encoder with adapters.
        adapters: Their kind.
        layout: What PEFT will load them into: "bare" is transformers' `AutoModel`,
            "headed" a model with a head, such as `AutoModelForCausalLM`.
        base: The checkpoint that they were trained on, by the name that PEFT shall
            know it by.

    Raises:
        UserError: If PEFT has no such encoder.
    """
    modules = {ours: theirs for theirs, ours in _kernels(model.config).items()}
    tensors, targets = {}, []
    for path, array in flat(model.params).items():
        layer, _, leaf = path.rpartition(".")
        if leaf not in ADAPTER_LEAVES:
            continue
        name = _spelled(modules[layer], model.config, layout)
        tensors[f"base_model.model.{name}.{_HALVES[leaf]}.weight"] = (
            np.ascontiguousarray(np.asarray(array, np.float32).T)
        )
        if leaf == "lora_a":
            assert array.shape[1] == adapters.rank, "the adapters' own rank"
            targets.append(name)
    assert targets, "an encoder with adapters"
    write_tensors(folder / PEFT_WEIGHTS, tensors)
    # Whole names: their ends alone would also name other layers' parts.
    values = peft_values(
        rank=adapters.rank, alpha=adapters.alpha, target_modules=targets, base=base
    )
    write_json(folder / PEFT_CONFIG, values)


def _read(
    tensors: Tensors, config: PeftConfig, model: EncoderModel, *, where: Path
) -> dict[str, jnp.ndarray]:
    """Our paths -> adapters; see `load_adapters` for what is refused."""
    shapes = {path: tuple(leaf.shape) for path, leaf in flat(model.params).items()}
    assert not any(path.endswith(ADAPTER_LEAVES) for path in shapes)
    kernels, plain = _kernels(model.config), family_of(model.config).plain
    stored, spelling, problems = {}, {}, []
    for key in sorted(tensors.files):
        found = _KEY.fullmatch(key)
        weight = plain(f"{found[1]}.weight") if found else key
        if weight is None:
            continue
        module = weight.removesuffix(".weight")
        if found is None or module not in kernels:
            problems.append(f"{key} is unknown")
            continue
        spelling[module] = found[1]
        stored[module, found[2]] = key
    for module in kernels:
        targeted = there = module in spelling
        if config.target_modules is not None:
            targeted = config.targets(_like(module, spelling))
        if not targeted and not there:
            continue
        if not targeted:
            problems.append(f"{spelling[module]} is not among target_modules")
        inputs, outputs = shapes[f"{kernels[module]}.kernel"]
        wanted = ((config.rank, inputs), (outputs, config.rank))
        for half, shape in zip(_HALVES.values(), wanted, strict=True):
            name = f"{_like(module, spelling)}.{half}.weight"
            if (key := stored.get((module, half), "")) == "":
                problems.append(f"{name} is missing")
            elif tensors.shape(key) != shape:
                problems.append(f"{name} is {tensors.shape(key)}, not {shape}")
            elif not tensors.is_float(key):
                problems.append(f"{name} is {tensors.dtype(key)}, no float")
    if not stored and not problems:
        problems.append("no adapter of the encoder is there")
    if problems:
        raise UserError.field(
            str(where),
            expected="the adapters that its configuration asks for",
            got=f"{len(problems)} problems: {'; '.join(problems)}",
        )
    leaves = {half: leaf for leaf, half in _HALVES.items()}
    return {
        f"{kernels[module]}.{leaves[half]}": jnp.asarray(
            np.ascontiguousarray(tensors.read(key).T)
        )
        for (module, half), key in stored.items()
    }


def _kernels(config: EncoderConfig) -> dict[str, str]:
    """Hugging Face's linear modules -> paths of our layers.

    Raises:
        UserError: If it is no encoder of Hugging Face's.
    """
    if config.family not in HUGGING_FACE:
        raise UserError.field(
            "model_type",
            expected=f"one that PEFT knows: {', '.join(sorted(HUGGING_FACE))}",
            got=repr(config.family),
        )
    return {
        theirs.removesuffix(".weight"): ours.removesuffix(".kernel")
        for ours, theirs in family_of(config).names(config).items()
        if is_kernel(ours)
    }


def _spelled(module: str, config: EncoderConfig, layout: str) -> str:
    """A module as a bare model, or one with a head, calls it."""
    if layout == "bare":
        return module.removeprefix("model.")
    return _ABOVE.get(config.family, "") + module


def _like(module: str, spelling: dict[str, str]) -> str:
    """A module as the file would call it, going by what it calls others."""
    if module in spelling or not spelling:
        return spelling.get(module, module)
    plain, theirs = next(iter(spelling.items()))
    if theirs.endswith(plain):
        return theirs.removesuffix(plain) + module
    return module.removeprefix(plain.removesuffix(theirs))


def _patterns(chosen: Collection[str], layers: Iterable[str]) -> tuple[str, ...]:
    """Patterns that are found in the paths of chosen layers alone.

    One for a part that is chosen in all layers, else one for each.
    """
    alike: dict[str, list[str]] = {}
    for path in layers:
        number, _, part = path.partition(".")
        alike.setdefault(part or number, []).append(path)
    patterns = []
    for part, paths in alike.items():
        found = [path for path in paths if path in chosen]
        if found == paths and paths != [part]:
            patterns.append(rf"^layer_\d+\.{re.escape(part)}$")
        else:
            patterns += [rf"^{re.escape(path)}$" for path in found]
    return tuple(patterns)
