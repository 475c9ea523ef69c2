"""The fused step in PyTorch whose text encoder is trained: transformers' BERT within.

Shapes: S drawn batches, P texts that a step encodes, B of them in a part, K items that
rows are compared with, T width of a text vector.
"""

import itertools
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from transformers import BertModel

from benchmarks.bert_weights import for_parity, with_prefix, without_prefix
from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.device import DEVICE, numpy, peak_mb, tensor, wait
from benchmarks.torch_baseline.encoder import (
    Part,
    gradients_of,
    mean,
    part_of,
    set_up_for,
)
from benchmarks.torch_baseline.fused import Batch, FusedModel
from benchmarks.torch_baseline.fused_step import (
    FUSION_SCALE,
    batches_of,
    sums_of_users,
)
from benchmarks.torch_baseline.lightgcn import PROPAGATIONS
from benchmarks.torch_baseline.unpadded import Tokens, means_of, tokens_of
from llmgnn_jax import assets


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Which texts a step encodes, and who reads them.

    Attributes:
        parts: The texts; each part is computed at once.
        fresh_P: (P,) int64 places of the texts in the order in which they were drawn,
            among those of the parts.
        stored_M: Items whose stored vectors are read.
        vectors_K: (K,) int64, the vector of each item that rows are compared with:
            one of the parts', or after them of the stored ones.
    """

    parts: tuple[Part | Tokens, ...]
    fresh_P: torch.Tensor
    stored_M: torch.Tensor
    vectors_K: torch.Tensor


def setup(
    inputs: Inputs,
    *,
    encoder: str,
    mode: Literal["full", "lora"],
    propagation: str,
    num_layers: int,
    learning_rate: float,
    text_learning_rate: float,
    l2: float,
    anchor: float,
    alpha: float,
    parts: int | Literal["no padding"] = 1,
    attention: Literal["sdpa", "eager"] = "sdpa",
    adapters: Literal["written", "peft"] = "written",
    compiled: bool = False,
) -> Task:
    """One of `PROPAGATIONS`; texts in parts of like lengths, or one after another;
    torch.compile of the encoder and of all but the propagation."""
    weights = without_prefix(inputs, "weight.")
    propagate = PROPAGATIONS[propagation](inputs, num_layers)
    stored = {
        "item_texts": tensor(inputs["item_texts"]),
        "user_sums": tensor(sums_of_users(inputs)),
    }
    batches = list(zip(batches_of(inputs), texts_of(inputs, parts), strict=True))

    def start() -> tuple[FusedModel, Any, dict[str, Any], torch.optim.Optimizer]:
        model = FusedModel(weights, **stored).to(DEVICE)
        bert, trained = set_up_for(
            BertModel.from_pretrained(
                assets.fetch(encoder) if encoder in assets.ASSETS else encoder,
                add_pooling_layer=False,
                attn_implementation=attention,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
                dtype=torch.float32,
            ),
            without_prefix(inputs, "adapter."),
            mode=mode,
            adapters=adapters,
            alpha=alpha,
            numerics="float32",
        )
        groups = [
            *model.groups(learning_rate, fusion_scale=FUSION_SCALE),
            {"params": list(trained.values()), "lr": text_learning_rate},
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
        return model, bert, trained, optimizer

    def encode(bert: Any, part: Part | Tokens) -> torch.Tensor:
        if isinstance(part, Tokens):
            means = means_of(bert, part, attention=attention)
        else:
            hidden = bert(input_ids=part.ids_BL, attention_mask=part.mask_BL)
            means = mean(hidden.last_hidden_state, part.mask_BL)
        return F.normalize(means, dim=1)

    def dense(
        model: FusedModel,
        final: torch.Tensor,
        own: torch.Tensor,
        vectors: torch.Tensor,
        batch: Batch,
    ) -> torch.Tensor:
        return model.loss(final, own, batch, l2=l2, anchor=anchor, items_KT=vectors)

    if compiled:
        # Each batch has other lengths.
        encode_part = torch.compile(encode, dynamic=True)
        dense_part = torch.compile(dense)
    else:
        encode_part, dense_part = encode, dense

    def loss_function(
        model: FusedModel, bert: Any, batch: Batch, texts: Texts
    ) -> torch.Tensor:
        fresh = [encode_part(bert, part) for part in texts.parts]
        all_of_them = torch.cat([*fresh, model.item_texts[texts.stored_M]])
        vectors_KT = all_of_them.index_select(0, texts.vectors_K)
        final, own = propagate(model.table, batch.nodes_R)
        return dense_part(model, final, own, vectors_KT, batch)

    def step(
        model: FusedModel,
        bert: Any,
        optimizer: torch.optim.Optimizer,
        batch: tuple[Batch, Texts],
    ) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_function(model, bert, *batch)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def outputs() -> dict[str, np.ndarray]:
        model, bert, trained, optimizer = start()
        _, texts = batches[0]
        with torch.no_grad():
            nodes = torch.arange(len(model.table), device=DEVICE)
            users, items = model.vectors(propagate(model.table, nodes)[0])
            fresh = torch.cat([encode_part(bert, part) for part in texts.parts])
        loss_function(model, bert, *batches[0]).backward()
        of_encoder = for_parity(gradients_of(trained, mode), precision="float32")
        gradients = {**with_prefix(model.gradients(), "gradient."), **of_encoder}
        losses = [step(model, bert, optimizer, batch) for batch in batches]
        return {
            "user_vectors": numpy(users),
            "item_vectors": numpy(items),
            "text_vectors": numpy(fresh.index_select(0, texts.fresh_P)),
            **gradients,
            "losses": numpy(torch.stack(losses)),
        }

    model, bert, trained, optimizer = start()
    began = time.perf_counter()
    if compiled:
        loss_function(model, bert, *batches[0]).backward()
    compile_s = time.perf_counter() - began

    def run() -> None:
        # As many steps a turn as ours: the first after a pause is slower.
        for batch in batches:
            step(model, bert, optimizer, batch)
        wait()

    return Task(
        run=run,
        outputs=outputs,
        units=len(batches),
        compile_s=compile_s,
        notes={
            "matmul_precision": torch.get_float32_matmul_precision(),
            "padding": padding_of([texts for _, texts in batches]),
            "trained": sum(parameter.numel() for parameter in trained.values()),
        },
        device_peak_mb=peak_mb(),
    )


def texts_of(inputs: Inputs, parts: int | Literal["no padding"]) -> list[Texts]:
    """The texts of each drawn batch."""
    token_lists = np.split(
        np.asarray(inputs["token_ids"]), np.asarray(inputs["token_ends"])[:-1]
    )
    found = []
    for drawn, items in zip(
        np.asarray(inputs["batch_fresh"]), inputs["batch_positives"], strict=True
    ):
        fresh = drawn[drawn >= 0]
        order = np.arange(len(fresh))
        made: list[Part | Tokens]
        if parts == "no padding":
            made = [tokens_of([token_lists[item] for item in fresh])]
        else:
            if parts > 1:
                counts = [-len(token_lists[item]) for item in fresh]
                order = np.argsort(counts, kind="stable")
            made = [
                part_of([token_lists[item] for item in group])
                for group in np.array_split(fresh[order], parts)
            ]
        stored = np.setdiff1d(items, fresh)
        place = np.full(len(token_lists), -1)
        place[np.concatenate([fresh[order], stored])] = np.arange(
            len(fresh) + len(stored)
        )
        found.append(
            Texts(
                parts=tuple(made),
                fresh_P=tensor(np.argsort(order), torch.int64),
                stored_M=tensor(stored, torch.int64),
                vectors_K=tensor(place[items], torch.int64),
            )
        )
    return found


def padding_of(batches: list[Texts]) -> float:
    """The share of places that hold no token, of those that products are given."""
    places = tokens = 0
    for part in itertools.chain.from_iterable(texts.parts for texts in batches):
        if isinstance(part, Tokens):
            here, padding = part.ids_1T.numel(), 0
        else:
            here = part.ids_BL.numel()
            padding = 0 if part.mask_BL is None else int((part.mask_BL == 0).sum())
        places, tokens = places + here, tokens + here - padding
    return 1 - tokens / places
