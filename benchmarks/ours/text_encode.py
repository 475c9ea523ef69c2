"""`TextEncoder.encode`: strings to unit vectors.

    python -m benchmarks.ours.text_encode FOLDER ENCODER MAX_LENGTH

writes `reference` into a folder of inputs: the vectors in float32.
"""

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import peak_mb
from benchmarks.texts import mean_cosine, unpack_texts
from llmgnn_jax.native.memory import keep_freed_memory
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.layers import ComputeDtype


def setup(
    inputs: Inputs, *, encoder: str, max_length: int, dtype: ComputeDtype
) -> Task:
    """Loads the encoder and encodes the texts once, which compiles its programs."""
    keep_freed_memory()  # As `llmgnn encode` does.
    texts = unpack_texts(inputs)
    loaded = TextEncoder.load(encoder, max_length=max_length, dtype=dtype)
    vectors = np.zeros((len(texts), loaded.dim), np.float32)
    tokens = places = 0
    began = time.perf_counter()
    for batch in loaded.encode_batches(texts):
        vectors[batch.rows] = batch.vectors
        tokens, places = tokens + batch.tokens, places + batch.places
    cold_s = time.perf_counter() - began
    first = [vectors]
    notes = {
        "padding": 1 - tokens / places,
        "tokens_per_text": tokens / len(texts),
        "batch_tokens": loaded.batch_tokens,
        "compilations": loaded.num_compilations,
    }
    if "reference" in inputs:
        notes["cosine_to_float32"] = mean_cosine(vectors, inputs["reference"])
    return Task(
        run=lambda: loaded.encode(texts),
        # Handed over, not kept: memory is that of a pass.
        outputs=lambda: {"vectors": first.pop()},
        units=len(texts),
        cold_s=cold_s,
        notes=notes,
        device_peak_mb=peak_mb(),
    )


def _write_reference(folder: Path, encoder: str, max_length: int) -> None:
    inputs = {path.stem: np.load(path) for path in folder.glob("text_*.npy")}
    loaded = TextEncoder.load(encoder, max_length=max_length, dtype="float32")
    np.save(folder / "reference.npy", loaded.encode(unpack_texts(inputs)))


if __name__ == "__main__":
    _write_reference(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
