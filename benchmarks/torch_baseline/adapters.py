"""LoRA on queries and values of a BERT: written by hand as PEFT does it, and PEFT.

Shapes: B rows, L tokens, D width, R rank.
"""

from collections.abc import Mapping

import numpy as np
import torch
from transformers import BertModel

from benchmarks.harness import Unavailable
from benchmarks.torch_baseline.device import tensor

# "LAYER.query.a" -> the parameter, which is the transpose of the array of that name.
Adapters = dict[str, torch.nn.Parameter]


class AdaptedLinear(torch.nn.Module):
    """x W + b + scale B A x, W and b frozen."""

    def __init__(
        self, base: torch.nn.Linear, low: np.ndarray, high: np.ndarray, *, scale: float
    ) -> None:
        super().__init__()
        self.base = base
        self.lora_a = torch.nn.Linear(*low.shape, bias=False)
        self.lora_b = torch.nn.Linear(*high.shape, bias=False)
        self.scale = scale
        _fill(self.lora_a.weight, low)
        _fill(self.lora_b.weight, high)

    def forward(self, x_BLD: torch.Tensor) -> torch.Tensor:
        return self.base(x_BLD) + self.lora_b(self.lora_a(x_BLD)) * self.scale


def written(
    model: BertModel, arrays: Mapping[str, np.ndarray], *, alpha: float
) -> tuple[torch.nn.Module, Adapters]:
    """Replaces the layers; everything else is frozen.

    Args:
        model: The encoder.
        arrays: "LAYER.query.a" -> (D, R), "LAYER.query.b" -> (R, D).
        alpha: The adapters' output is scaled by alpha / R.
    """
    model.requires_grad_(False)
    found: Adapters = {}
    for number, layer in enumerate(model.encoder.layer):
        for target in ("query", "value"):
            name = f"{number}.{target}"
            low, high = arrays[f"{name}.a"], arrays[f"{name}.b"]
            base = getattr(layer.attention.self, target)
            adapted = AdaptedLinear(base, low, high, scale=alpha / low.shape[1])
            setattr(layer.attention.self, target, adapted)
            found[f"{name}.a"] = adapted.lora_a.weight
            found[f"{name}.b"] = adapted.lora_b.weight
    return model, found


def by_peft(
    model: BertModel, arrays: Mapping[str, np.ndarray], *, alpha: float
) -> tuple[torch.nn.Module, Adapters]:
    """The same with the library.

    Raises:
        Unavailable: If it is not installed.
    """
    try:
        import peft
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error.name} is not installed") from error
    rank = next(iter(arrays.values())).shape[1]
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=["query", "value"]
    )
    adapted = peft.get_peft_model(model, config)
    found: Adapters = {}
    for number, layer in enumerate(model.encoder.layer):
        for target in ("query", "value"):
            linear = getattr(layer.attention.self, target)
            for which, part in (("a", linear.lora_A), ("b", linear.lora_B)):
                name = f"{number}.{target}.{which}"
                found[name] = part["default"].weight
                _fill(found[name], arrays[name])
    return adapted, found


def _fill(weight: torch.nn.Parameter, array: np.ndarray) -> None:
    with torch.no_grad():
        weight.copy_(tensor(array).T)
