"""A fine-tuning step of transformers' BERT: forward, backward, AdamW.

Shapes: S batches, N texts of a batch, B rows of a part, L tokens, D width.
"""

import itertools
import time
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from transformers import BertConfig, BertModel

from benchmarks.bert_weights import for_parity, without_prefix
from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.device import DEVICE, numpy, peak_mb, tensor, wait
from benchmarks.torch_baseline.encoder import (
    Numerics,
    Part,
    autocast,
    gradients_of,
    mean,
    part_of,
    set_up_for,
)


class Batch(NamedTuple):
    """A batch's parts, and where the N texts are in their sequence."""

    parts: tuple[Part, ...]
    places_N: torch.Tensor | None


def setup(
    inputs: Inputs,
    *,
    mode: Literal["full", "lora"],
    unit: Literal["texts", "tokens"],
    shape: Mapping[str, int],
    learning_rate: float,
    weight_decay: float,
    temperature: float,
    alpha: float,
    numerics: Numerics = "float32",
    attention: Literal["sdpa", "eager"] = "sdpa",
    adapters: Literal["written", "peft"] = "written",
    compiled: bool = False,
    reduce_overhead: bool = False,
    parts: int = 1,
) -> Task:
    """The step in one mode and numerics, with or without torch.compile.

    `reduce_overhead` is its mode that replays CUDA graphs.
    """
    model, trained = set_up_for(
        _model(inputs, shape=shape, attention=attention),
        without_prefix(inputs, "adapter."),
        mode=mode,
        adapters=adapters,
        alpha=alpha,
        numerics=numerics,
    )
    batches = batches_of(inputs, parts=parts)

    def loss_of(batch: Batch) -> torch.Tensor:
        pooled = []
        for part in batch.parts:
            with autocast(numerics):
                hidden_BLD = model(
                    input_ids=part.ids_BL, attention_mask=part.mask_BL
                ).last_hidden_state
            pooled.append(mean(hidden_BLD.float(), part.mask_BL))
        means_ND = torch.cat(pooled)
        if batch.places_N is not None:
            means_ND = means_ND[batch.places_N]
        first, second = F.normalize(means_ND, dim=1).chunk(2)
        logits = first @ second.T / temperature
        return F.cross_entropy(logits, torch.arange(len(first), device=DEVICE))

    options = {"mode": "reduce-overhead"} if reduce_overhead else {}
    loss_function = torch.compile(loss_of, **options) if compiled else loss_of
    optimizer = torch.optim.AdamW(
        trained.values(), lr=learning_rate, weight_decay=weight_decay, fused=True
    )

    def step(batch: Batch) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_function(batch)
        loss.backward()
        optimizer.step()
        # A copy: a replay of a CUDA graph writes the loss to the same place.
        return loss.detach().clone()

    def outputs() -> dict[str, np.ndarray]:
        optimizer.zero_grad(set_to_none=True)
        loss_function(batches[0]).backward()
        gradients = for_parity(
            gradients_of(trained, mode),
            precision="float32" if numerics == "float32" else "bfloat16",
        )
        losses = [step(batch) for batch in batches[:3]]
        return {**gradients, "losses": numpy(torch.stack(losses))}

    began = time.perf_counter()
    if compiled:
        # Each shape that there will be.
        for batch in {_shape(batch): batch for batch in batches}.values():
            loss_function(batch).backward()
    compile_s = time.perf_counter() - began
    turns = itertools.cycle(batches)

    def run() -> None:
        step(next(turns))
        wait()

    texts, tokens = int(inputs["texts"]), len(inputs["token_ids"]) / len(batches)
    places = sum(part.ids_BL.numel() for batch in batches for part in batch.parts)
    return Task(
        run=run,
        outputs=outputs,
        units=texts if unit == "texts" else tokens,
        compile_s=compile_s,
        notes={
            "matmul_precision": torch.get_float32_matmul_precision(),
            "padding": 1 - len(inputs["token_ids"]) / places,
            "trained": sum(parameter.numel() for parameter in trained.values()),
        },
        device_peak_mb=peak_mb(),
    )


def batches_of(inputs: Inputs, *, parts: int = 1) -> list[Batch]:
    """The batches, each in so many parts of like lengths."""
    ends = np.asarray(inputs["token_ends"])
    token_lists = np.split(np.asarray(inputs["token_ids"]), ends[:-1])
    texts = int(inputs["texts"])
    found = []
    for start in range(0, len(token_lists), texts):
        lists = token_lists[start : start + texts]
        order = np.arange(texts)
        if parts > 1:
            order = np.argsort([-len(ids) for ids in lists], kind="stable")
        groups = np.array_split(order, parts)
        found.append(
            Batch(
                parts=tuple(part_of([lists[row] for row in group]) for group in groups),
                places_N=tensor(np.argsort(order)) if parts > 1 else None,
            )
        )
    return found


def _model(inputs: Inputs, *, shape: Mapping[str, int], attention: str) -> BertModel:
    """The encoder with the weights of the inputs."""
    config = BertConfig(
        **shape,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation=attention,
    )
    model = BertModel(config, add_pooling_layer=False)
    weights = without_prefix(inputs, "weight.")
    given = {name: tensor(array) for name, array in weights.items()}
    absent = model.load_state_dict(given, strict=False)
    assert not absent.unexpected_keys
    assert set(dict(model.named_parameters())) == set(given)
    return model


def _shape(batch: Batch) -> tuple[Any, ...]:
    return tuple((part.ids_BL.shape, part.mask_BL is None) for part in batch.parts)
