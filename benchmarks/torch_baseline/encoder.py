"""transformers' BERT as it is trained: what of it, in which numerics, on what rows.

Shapes: B rows of a part, L tokens, D width.
"""

import contextlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from transformers import BertModel

from benchmarks.bert_weights import with_prefix
from benchmarks.torch_baseline import adapters as lora
from benchmarks.torch_baseline.device import DEVICE, numpy, tensor

Numerics: TypeAlias = Literal["float32", "products", "autocast", "bfloat16"]
"""All float32; products alone bfloat16 (PyTorch's matmul precision "medium"); float32
weights under torch.autocast; bfloat16 weights, gradients and moments."""

Trained: TypeAlias = dict[str, torch.nn.Parameter]


class Part(NamedTuple):
    """Texts that are computed together, padded to the longest of them."""

    ids_BL: torch.Tensor
    # None where there is no padding: the fast path.
    mask_BL: torch.Tensor | None


def set_up_for(
    model: BertModel,
    arrays: Mapping[str, np.ndarray],
    *,
    mode: Literal["full", "lora"],
    adapters: Literal["written", "peft"],
    alpha: float,
    numerics: Numerics,
) -> tuple[torch.nn.Module, Trained]:
    """The encoder on the device, and the parameters to train.

    Args:
        model: All of it.
        arrays: Of the adapters, see `adapters.written`; none for "full".
        mode: All parameters, or adapters.
        adapters: By hand or by the library.
        alpha: Of the adapters.
        numerics: Of the encoder.
    """
    if numerics == "products":
        torch.set_float32_matmul_precision("medium")
    dtype = torch.bfloat16 if numerics == "bfloat16" else torch.float32
    model.train().to(DEVICE, dtype)
    if mode == "full":
        return model, dict(model.named_parameters())
    add = lora.by_peft if adapters == "peft" else lora.written
    adapted, found = add(model, arrays, alpha=alpha)
    adapted.to(DEVICE, dtype)
    trained = {id(p) for p in adapted.parameters() if p.requires_grad}
    assert trained == {id(parameter) for parameter in found.values()}
    return adapted, found


def part_of(lists: Sequence[np.ndarray]) -> Part:
    """Texts as rows, padded to the longest."""
    counts = np.array([len(ids) for ids in lists])
    ids_BL = np.zeros((len(lists), counts.max()), np.int64)
    mask_BL = np.arange(counts.max())[None, :] < counts[:, None]
    for row, ids in enumerate(lists):
        ids_BL[row, : len(ids)] = ids
    ragged = not mask_BL.all()
    return Part(tensor(ids_BL), tensor(mask_BL, torch.int64) if ragged else None)


def mean(hidden_BLD: torch.Tensor, mask_BL: torch.Tensor | None) -> torch.Tensor:
    """(B, D) means over the tokens of each row."""
    if mask_BL is None:
        return hidden_BLD.mean(dim=1)
    weights_BL1 = mask_BL[:, :, None].to(hidden_BLD.dtype)
    return (hidden_BLD * weights_BL1).sum(dim=1) / weights_BL1.sum(dim=1)


def gradients_of(trained: Trained, mode: str) -> dict[str, np.ndarray]:
    """Of the last backward pass; those of adapters as their arrays are laid out."""
    found = {}
    for name, parameter in trained.items():
        assert parameter.grad is not None, name
        # Copied: the next step writes where it is.
        found[name] = numpy(parameter.grad).copy()
    if mode == "full":
        return found
    return with_prefix({name: array.T for name, array in found.items()}, "adapter.")


def autocast(numerics: Numerics) -> AbstractContextManager[Any]:
    """What the encoder runs in."""
    if numerics == "autocast":
        return torch.autocast(DEVICE.type, torch.bfloat16)
    return contextlib.nullcontext()
