"""sentence-transformers, and the same encoder in batches of like token counts.

Shapes: N texts, B texts of a batch, L tokens, D width.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from transformers import AutoTokenizer, BertModel

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.texts import mean_cosine, padding_of_batches, unpack_texts
from benchmarks.torch_baseline.device import DEVICE, numpy, peak_mb, wait
from llmgnn_jax import assets

Numerics: TypeAlias = Literal["float32", "bfloat16", "autocast"]
"""float32 throughout; bfloat16 weights; float32 weights under torch.autocast."""


def setup(
    inputs: Inputs,
    *,
    encoder: str,
    max_length: int,
    batch_size: int,
    numerics: Numerics = "float32",
    attention: Literal["sdpa", "eager"] = "sdpa",
    compiled: bool = False,
) -> Task:
    """`SentenceTransformer.encode`, which sorts by length and tokenises each batch."""
    texts = unpack_texts(inputs)
    model = sentence_transformer(
        _folder(encoder),
        max_length=max_length,
        dtype=_weights(numerics),
        attention=attention,
    )
    if compiled:
        model.compile(dynamic=True)

    def encode() -> np.ndarray:
        with _autocast(numerics):
            vectors = model.encode(
                texts, batch_size=batch_size, show_progress_bar=False
            )
        return np.asarray(vectors, np.float32)

    counts = _token_counts(model.tokenizer, texts, max_length)
    sizes = np.array([len(text) for text in texts])
    return _task(
        encode,
        inputs,
        padding=padding_of_batches(counts, sizes, batch_size=batch_size),
        token_counts=counts,
    )


def sentence_transformer(
    folder: Path, *, max_length: int, dtype: torch.dtype, attention: str = "sdpa"
) -> SentenceTransformer:
    """Encoder, mean and normalisation, as all-MiniLM-L6-v2 is published."""
    transformer = Transformer(
        str(folder),
        max_seq_length=max_length,
        model_kwargs={
            "dtype": dtype,
            "attn_implementation": attention,
            "local_files_only": True,
        },
        processor_kwargs={"local_files_only": True},
        config_kwargs={"local_files_only": True},
    )
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    return SentenceTransformer(
        modules=[transformer, pooling, Normalize()], device=str(DEVICE)
    )


def setup_by_tokens(
    inputs: Inputs,
    *,
    encoder: str,
    max_length: int,
    batch_tokens: int,
    numerics: Numerics = "float32",
) -> Task:
    """All texts tokenised at once, sorted by tokens, so many places a batch.

    Texts of one token count need no mask: the fastest path that we could write.
    """
    texts = unpack_texts(inputs)
    folder = _folder(encoder)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = BertModel.from_pretrained(
        folder,
        add_pooling_layer=False,
        dtype=_weights(numerics),
        local_files_only=True,
    )
    model.eval().to(DEVICE)

    @torch.inference_mode()
    def encode() -> np.ndarray:
        ids = _token_ids(tokenizer, texts, max_length)
        counts = np.array([len(one) for one in ids])
        vectors = np.empty((len(texts), model.config.hidden_size), np.float32)
        with _autocast(numerics):
            for rows in token_batches(counts, batch_tokens=batch_tokens):
                batch = [ids[row] for row in rows]
                vectors[rows] = numpy(_unit_vectors(model, batch))
        return vectors

    counts = _token_counts(tokenizer, texts, max_length)
    batches = token_batches(counts, batch_tokens=batch_tokens)
    places = sum(int(counts[rows].max()) * len(rows) for rows in batches)
    return _task(
        encode, inputs, padding=1 - int(counts.sum()) / places, token_counts=counts
    )


def token_batches(counts: np.ndarray, *, batch_tokens: int) -> list[np.ndarray]:
    """Rows of each batch, longest first; rows x longest is at most `batch_tokens`."""
    order = np.argsort(-counts, kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, batch_tokens // int(counts[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


def _unit_vectors(model: BertModel, batch: Sequence[Sequence[int]]) -> torch.Tensor:
    """(B, D) from token ids, padded to the longest."""
    lengths = [len(ids) for ids in batch]
    longest = max(lengths)
    ids_BL = np.zeros((len(batch), longest), np.int64)
    for row, ids in enumerate(batch):
        ids_BL[row, : len(ids)] = ids
    ragged = min(lengths) < longest
    mask_BL = torch.arange(longest)[None] < torch.tensor(lengths)[:, None]
    hidden_BLD = model(
        input_ids=torch.from_numpy(ids_BL).to(DEVICE),
        attention_mask=mask_BL.long().to(DEVICE) if ragged else None,
    ).last_hidden_state
    # The mean's divisor is nothing to a unit vector.
    weights_BL1 = mask_BL[:, :, None].to(DEVICE, hidden_BLD.dtype)
    return torch.nn.functional.normalize((hidden_BLD * weights_BL1).sum(dim=1), dim=1)


def _task(
    encode: Callable[[], np.ndarray],
    inputs: Inputs,
    *,
    padding: float,
    token_counts: np.ndarray,
) -> Task:
    began = time.perf_counter()
    first = [encode()]
    cold_s = time.perf_counter() - began
    notes: dict[str, Any] = {
        "padding": padding,
        "tokens_per_text": float(token_counts.mean()),
    }
    if "reference" in inputs:
        notes["cosine_to_float32"] = mean_cosine(first[0], inputs["reference"])

    def run() -> None:
        encode()
        wait()

    return Task(
        run=run,
        # Handed over, not kept: memory is that of a pass.
        outputs=lambda: {"vectors": first.pop()},
        units=len(token_counts),
        cold_s=cold_s,
        notes=notes,
        device_peak_mb=peak_mb(),
    )


def _token_ids(tokenizer: Any, texts: list[str], max_length: int) -> list[list[int]]:
    return tokenizer(
        texts,
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        return_token_type_ids=False,
    )["input_ids"]


def _token_counts(tokenizer: Any, texts: list[str], max_length: int) -> np.ndarray:
    ids = _token_ids(tokenizer, texts, max_length)
    return np.array([len(one) for one in ids])


def _weights(numerics: Numerics) -> torch.dtype:
    return torch.bfloat16 if numerics == "bfloat16" else torch.float32


def _autocast(numerics: Numerics) -> AbstractContextManager[Any]:
    if numerics == "autocast":
        return torch.autocast(DEVICE.type, torch.bfloat16)
    return contextlib.nullcontext()


def _folder(encoder: str) -> Path:
    return assets.fetch(encoder) if encoder in assets.ASSETS else Path(encoder)
