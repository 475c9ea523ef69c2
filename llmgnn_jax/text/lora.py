"""LoRA: low-rank adapters beside the kernels of chosen layers.

    y = x W + b + (alpha / R) (x A) B,   A (inputs, R) random, B (R, outputs) 0 at first

Hu et al. 2022, https://arxiv.org/abs/2106.09685.

A layer's path is what its parameters' names begin with: "layer_0.attention.query".
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.layers import Dense

ADAPTER_LEAVES = ("lora_a", "lora_b")


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """Which layers have adapters, and of what kind.

    Attributes:
        rank: R.
        alpha: The adapters' output is scaled by alpha / R.
        targets: Regular expressions; a layer whose path one of them is found in has an
            adapter.

    Raises:
        UserError: If rank is no whole number above 0, alpha no number above 0, or a
            target is no pattern.
    """

    rank: int = 8
    alpha: float = 16.0
    targets: tuple[str, ...] = ("query", "value")

    def __post_init__(self) -> None:
        if type(self.rank) is not int:
            raise UserError.field(
                "lora_rank", expected="a whole number above 0", got=repr(self.rank)
            )
        for name, value in (("rank", self.rank), ("alpha", self.alpha)):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and 0 < value < math.inf):
                raise UserError.field(
                    f"lora_{name}", expected="a number above 0", got=repr(value)
                )
        for target in self.targets:
            try:
                re.compile(target)
            except re.error as error:
                raise UserError.field(
                    "lora_targets",
                    expected="regular expressions",
                    got=f"{target!r} ({error})",
                ) from error

    @property
    def scale(self) -> float:
        """alpha / R."""
        return self.alpha / self.rank

    def match(self, path: str) -> bool:
        """Whether the layer of this path has an adapter."""
        return any(re.search(target, path) for target in self.targets)


def attach(module: nnx.Module, adapters: Adapters) -> None:
    """Adds the parameters of adapters to the layers that they are meant for.

    Raises:
        UserError: If there is no such layer.
    """
    layers = dict(_dense_layers(module, ""))
    if not layers:
        raise UserError.field(
            "lora_targets",
            expected="an encoder with layers that are matrix products",
            got=f"a {type(module).__name__}, which has none",
            fix="train all of it instead",
        )
    chosen = [path for path in layers if adapters.match(path)]
    if not chosen:
        names = sorted({path.rpartition(".")[2] for path in layers})
        raise UserError.field(
            "lora_targets",
            expected=f"patterns found in the names of layers ({', '.join(names)})",
            got=" ".join(adapters.targets) or "none",
        )
    for path in chosen:
        layers[path].attach_adapter(rank=adapters.rank, scale=adapters.scale)


def initial_adapters(declared: Any, base: Any, *, seed: int) -> Any:
    """Parameters of an encoder with adapters that change nothing yet.

    A is uniform in +- 1 / sqrt(inputs), as PEFT has it (Kaiming's bound with slope
    sqrt(5)), B is 0.

    Args:
        declared: Shapes of all parameters, adapters included.
        base: Parameters without the adapters, or with them: those are kept.
        seed: Of A.
    """
    rng = np.random.default_rng(seed)

    def value(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        drawn = jnp.zeros(leaf.shape)
        if path[-1].key == "lora_a":
            bound = leaf.shape[0] ** -0.5
            drawn = jnp.asarray(rng.uniform(-bound, bound, leaf.shape), jnp.float32)
        inside = base
        for key in path:
            if key.key not in inside:
                assert key.key in ADAPTER_LEAVES, f"{key.key} comes from the encoder"
                return drawn
            inside = inside[key.key]
        return inside

    return jax.tree_util.tree_map_with_path(value, declared)


def merge_adapters(params: Any, *, scale: float) -> Any:
    """Parameters of the plain encoder that gives what the adapted one gives."""
    return _without_adapters(params, params, scale)


def unmerge_adapters(merged: Any, adapted: Any, *, scale: float) -> Any:
    """The inverse of `merge_adapters`, to rounding.

    Args:
        merged: Parameters without adapters.
        adapted: Parameters with the adapters that were merged in; their kernels are
            not read.
        scale: alpha / R.

    Returns:
        Parameters with adapters.
    """
    plain = _without_adapters(merged, adapted, -scale)

    def joined(base: Any, other: Any) -> Any:
        return {
            name: joined(base[name], value)
            if isinstance(value, dict)
            else base.get(name, value)
            for name, value in other.items()
        }

    return joined(plain, adapted)


def _without_adapters(params: Any, adapters: Any, scale: float) -> Any:
    """`params` less their adapters, with scale A B of `adapters` added to kernels."""
    result = {}
    for name, value in params.items():
        if name in ADAPTER_LEAVES:
            continue
        if isinstance(value, dict):
            result[name] = _without_adapters(value, adapters[name], scale)
        elif name == "kernel" and "lora_a" in adapters:
            low = jnp.dot(
                adapters["lora_a"],
                adapters["lora_b"],
                precision=jax.lax.Precision.HIGHEST,
            )
            result[name] = value + scale * low
        else:
            result[name] = value
    return result


def _dense_layers(module: nnx.Module, prefix: str) -> Iterator[tuple[str, Dense]]:
    for name, child in vars(module).items():
        if isinstance(child, Dense):
            yield prefix + name, child
        elif isinstance(child, nnx.Module):
            yield from _dense_layers(child, f"{prefix}{name}.")
