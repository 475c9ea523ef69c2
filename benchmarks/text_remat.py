"""What each `text.remat` keeps and computes on a CPU, with our kernels and without.

    python -m benchmarks.text_remat

The gradient of MiniLM's shape (all parameters, 64 texts of 128 tokens, float32) is
compiled, and nothing is run: bytes of XLA's temporaries, what it counts of operations
(of kernels of ours it counts none), and how often each of our kernels is called.
"""

import re
import typing
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp

from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.model import apply, declare
from llmgnn_jax.text.encoders.remat import Remat
from llmgnn_jax.text.encoders.rows import TokenRows

MINILM = BertConfig(
    vocab_size=30522,
    hidden_size=384,
    num_hidden_layers=6,
    num_attention_heads=12,
    intermediate_size=1536,
    max_position_embeddings=512,
    type_vocab_size=2,
)
TEXTS, TOKENS = 64, 128


def compiled(remat: Remat) -> Any:
    """The gradient, of shapes alone."""
    model = declare(MINILM, remat=remat)

    def loss(params: Any, ids: jax.Array) -> jax.Array:
        rows = TokenRows(ids_BL=ids, mask_BL=jnp.ones(ids.shape, bool))
        return jnp.mean(jnp.square(apply(model.graphdef, params, rows)))

    ids = jax.ShapeDtypeStruct((TEXTS, TOKENS), jnp.int32)
    return jax.jit(jax.grad(loss)).lower(model.params, ids).compile()


def line(remat: Remat) -> str:
    """A row of the table."""
    program = compiled(remat)
    called = Counter(
        re.findall(r'custom_call_target="llmgnn_(\w+)"', program.as_text())
    )
    words = ", ".join(f"{name} {count}" for name, count in sorted(called.items()))
    memory = program.memory_analysis().temp_size_in_bytes / 2**20
    flops = program.cost_analysis()["flops"] / 1e9
    return f"| `{remat}` | {memory:.0f} MiB | {flops:.1f} G | {words or 'none'} |"


def main() -> None:
    """Prints the tables."""
    if kernels.usable():
        print("| with our kernels | temporaries | FLOPs | calls |\n|---|---:|---:|---|")
        for remat in typing.get_args(Remat):
            print(line(remat))
    print("| plain formulas | temporaries | FLOPs | calls |\n|---|---:|---:|---|")
    with kernels.left_out():
        for remat in typing.get_args(Remat):
            print(line(remat))


if __name__ == "__main__":
    main()
