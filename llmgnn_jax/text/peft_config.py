"""adapter_config.json as PEFT writes it: what is read, and what is refused.

PEFT's format: https://github.com/huggingface/peft, docs/source/developer_guides.
Modules are named as Hugging Face names them: "encoder.layer.0.attention.self.query".
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.pretrained.load import read_json

# What says nothing of the numbers that adapters give, or is read below.
_HARMLESS = frozenset(
    (
        *("auto_mapping", "base_model_name_or_path", "peft_type", "peft_version"),
        *("revision", "task_type", "inference_mode", "runtime_config"),
        *("r", "lora_alpha", "use_rslora", "lora_dropout", "fan_in_fan_out"),
        *("target_modules", "exclude_modules", "layers_to_transform"),
        *("layers_pattern", "init_lora_weights", "eva_config", "loftq_config"),
        *("megatron_core", "qalora_group_size", "ensure_weight_tying"),
    )
)
# First values that leave the kernels as they were; PiSSA and its kin change them.
_PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeftConfig:
    """Adapters of one rank and scale in the modules that it names.

    Attributes:
        rank: R.
        alpha: Their output is scaled by alpha / R: for `use_rslora`, whose scale is
            lora_alpha / sqrt(R), that is lora_alpha sqrt(R).
        target_modules: Names, or ends of names after a dot; or a regular expression of
            whole names; or None where the tensors alone say it.
        exclude_modules: Likewise, of what is left out.
        layers: Numbers of the layers that have adapters; None for all.
        layers_pattern: What stands before a layer's number; any name if empty.
    """

    rank: int
    alpha: float
    target_modules: tuple[str, ...] | str | None
    exclude_modules: tuple[str, ...] | str = ()
    layers: tuple[int, ...] | None = None
    layers_pattern: tuple[str, ...] = ()

    def targets(self, module: str) -> bool:
        """Whether PEFT gives a linear module of this name an adapter."""
        assert self.target_modules is not None, "the tensors alone say it"
        if self.exclude_modules and _named(module, self.exclude_modules):
            return False
        if self.target_modules == "all-linear":
            return True
        if isinstance(self.target_modules, str) or module in self.target_modules:
            return _named(module, self.target_modules)
        return _named(module, self.target_modules) and self._in_layers(module)

    def _in_layers(self, module: str) -> bool:
        if self.layers is None:
            return True
        for pattern in self.layers_pattern or (r"[^.]+",):
            if found := re.match(rf"(?:.*?\.)?{pattern}\.(\d+)\.", module):
                return int(found[1]) in self.layers
        return False


def read_peft_config(path: Path) -> PeftConfig:
    """Reads adapter_config.json.

    Raises:
        UserError: If it cannot be read, a value is out of range, or it asks for more
            than plain LoRA of linear layers: the line names the key.
    """
    values = read_json(
        path,
        expected="the adapters' configuration",
        fix="name a folder that PEFT's save_pretrained wrote",
    )
    try:
        return _read(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def peft_values(
    *, rank: int, alpha: float, target_modules: Sequence[str], base: str | None
) -> dict[str, Any]:
    """The values of adapter_config.json that PEFT needs."""
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": int(alpha) if float(alpha).is_integer() else alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "modules_to_save": None,
        "target_modules": list(target_modules),
        "use_dora": False,
        "use_rslora": False,
    }


def _read(values: Mapping[str, Any]) -> PeftConfig:
    if values.get("peft_type") != "LORA":
        raise UserError.field(
            "peft_type", expected="LORA", got=repr(values.get("peft_type"))
        )
    for name, value in values.items():
        if name not in _HARMLESS and value and value != "none":
            raise UserError.field(
                name,
                expected="null: adapters are plain LoRA of linear layers",
                got=_short(value),
                fix="merge such adapters into the checkpoint with PEFT",
            )
    start = values.get("init_lora_weights")
    if start not in _PLAIN_STARTS:
        raise UserError.field(
            "init_lora_weights",
            expected="a start that leaves the checkpoint's kernels as they are",
            got=_short(start),
            fix="convert the adapters to plain LoRA with PEFT",
        )
    rank, alpha = values.get("r", 8), values.get("lora_alpha", 8)
    if not _is_number(rank, int) or rank < 1:
        raise UserError.field("r", expected="a whole number from 1", got=_short(rank))
    if not _is_number(alpha, int | float) or not alpha > 0:
        raise UserError.field(
            "lora_alpha", expected="a number above 0", got=_short(alpha)
        )
    return PeftConfig(
        rank=rank,
        alpha=alpha * rank**0.5 if values.get("use_rslora") else alpha,
        target_modules=_names(values, "target_modules", absent=None),
        exclude_modules=_names(values, "exclude_modules", absent=()),
        layers=_layers(values.get("layers_to_transform")),
        layers_pattern=_listed(_names(values, "layers_pattern", absent=())),
    )


def _named(module: str, names: tuple[str, ...] | str) -> bool:
    if isinstance(names, str):
        return re.fullmatch(names, module) is not None
    return any(module == name or module.endswith(f".{name}") for name in names)


def _names(values: Mapping[str, Any], key: str, *, absent: Any) -> Any:
    """Names or one pattern; PEFT takes either."""
    value = values.get(key)
    if value is None:
        return absent
    if isinstance(value, str):
        try:
            re.compile(value)
        except re.error as error:
            raise UserError.field(
                key, expected="names or a regular expression", got=f"{value!r}: {error}"
            ) from error
        return value
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise UserError.field(
            key, expected="names or a regular expression", got=_short(value)
        )
    return tuple(value)


def _listed(names: tuple[str, ...] | str) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _layers(value: Any) -> tuple[int, ...] | None:
    numbers = value if isinstance(value, list) else [value]
    if value is None or not numbers:
        return None
    if not all(_is_number(number, int) for number in numbers):
        raise UserError.field(
            "layers_to_transform", expected="numbers of layers", got=_short(value)
        )
    return tuple(numbers)


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
