"""What a unit of work is by the model: floating-point operations, and bytes.

It is the same for every system of a case, whatever that does in truth: one that saves
work has more FLOP/s by it, one that does more has fewer. A multiplication and an
addition are two. Bytes are of the arrays that the formulas name, each read or written
once wherever it stands, in the precision of the case; caches, and temporaries that a
kernel need not write, are left out. Nodes' rows are counted once for each edge that
reads them, as in `scale`: a cache that holds the table can be faster than memory.

Shapes: N nodes, E edges, D width, B rows of a batch, K items of each, T width of a
text, V words, L layers, F width of the feed-forward layer.
"""

import numpy as np

from benchmarks.bert_weights import Shape
from benchmarks.harness import Work
from benchmarks.harness.system import Inputs, Precision

_BYTES: dict[Precision, int] = {"float32": 4, "tf32": 4, "bfloat16": 2}
# Adam reads a gradient, a parameter and two moments and writes the latter three.
_ADAM_BYTES, _ADAM_FLOPS = 7 * 4, 12
# Of a parameter in a pass forward and backward: it is read twice, its gradient written.
_PASSES_BYTES = 3 * 4


def of_propagation(inputs: Inputs, *, precision: Precision = "float32") -> Work:
    """One product A X: a row, a number and a weight an edge, a row a node."""
    nodes, width = inputs["nodes"].shape
    return _products(1, nodes, len(inputs["senders"]), width, _BYTES[precision])


def of_lightgcn_step(inputs: Inputs, *, num_layers: int) -> Work:
    """Propagation forward and backward, BPR, Adam on all nodes."""
    nodes, width = inputs["table"].shape
    edges, rows = len(inputs["senders"]), inputs["batch_keep"].shape[1]
    spread = _products(2 * num_layers, nodes, edges, width, 4)
    # Three vectors a row, of layers and of the table, and their gradients.
    return Work(
        flops=spread.flops + 30 * rows * width + _ADAM_FLOPS * nodes * width,
        bytes=spread.bytes + 4 * 12 * rows * width + _ADAM_BYTES * nodes * width,
    )


def of_fused_step(inputs: Inputs, *, num_layers: int) -> Work:
    """Propagation, projection of texts, fusion, softmax, all backward, Adam."""
    nodes, width = inputs["weight.node_embedding"].shape
    text_width = inputs["item_texts"].shape[1]
    _, rows, items = inputs["batch_bias"].shape
    ends = rows + items
    spread = _products(2 * num_layers, nodes, len(inputs["senders"]), width, 4)
    fusion = inputs["weight.fusion.kernel"].size
    fusion += inputs["weight.fusion.output_kernel"].size
    projection = text_width * width
    # Of the stored texts no gradient is wanted: two products, not three.
    dense = 6 * ends * fusion + 4 * ends * projection + 6 * rows * items * 2 * width
    parameters = nodes * width + fusion + projection
    return Work(
        flops=spread.flops + dense + _ADAM_FLOPS * parameters,
        # Texts; scores, their bias and gradient; what the fusion keeps.
        bytes=spread.bytes
        + 4 * (ends * text_width + 4 * rows * items + 2 * 10 * ends * width)
        + _ADAM_BYTES * parameters,
    )


def of_ranking(inputs: Inputs, *, k: int) -> Work:
    """A user's products with all items; the vectors are read once, lists written."""
    users, width = inputs["user_vectors"].shape
    items = len(inputs["item_vectors"])
    read = 4 * (users + items) * width + 8 * len(inputs["seen_items"])
    return Work(flops=2.0 * items * width, bytes=(read + 8 * users * k) / users)


def of_encoding(
    counts: np.ndarray, shape: Shape, *, precision: Precision, batch_tokens: int
) -> Work:
    """A text's share of a forward pass.

    Args:
        counts: (N,) tokens of each text.
        shape: Of the encoder.
        precision: Of weights and of what is passed on.
        batch_tokens: Tokens for which the weights are read once.
    """
    size = _BYTES[precision]
    tokens = float(counts.sum())
    flops = 2 * _kernels(shape) * tokens + _attention(counts, shape)
    passed_on = 2 * tokens * _kept(shape)
    weights = _kernels(shape) * max(1.0, tokens / batch_tokens)
    return Work(
        flops=flops / len(counts), bytes=size * (passed_on + weights) / len(counts)
    )


def of_text_training(
    inputs: Inputs,
    *,
    shape: Shape,
    full: bool,
    per_token: bool,
    precision: Precision = "float32",
) -> Work:
    """A token's or a text's share of a step: forward, backward, AdamW.

    A third of the products is of the gradients of kernels, which a frozen encoder does
    not need. Adapters, which are small, are not counted.
    """
    counts = np.diff(inputs["token_ends"], prepend=0)
    texts = int(inputs["texts"])
    batches = len(counts) // texts
    tokens = counts.sum() / batches
    passes = 6 if full else 4
    flops = passes * _kernels(shape) * tokens + 3 * _attention(counts, shape) / batches
    # What a layer keeps is written and read forward, read backward, and its gradient.
    kept = 4 * tokens * _kept(shape) * _BYTES[precision]
    parameters = _kernels(shape) + shape.vocab_size * shape.hidden_size
    if full:
        flops += _ADAM_FLOPS * parameters
        kept += (_PASSES_BYTES + _ADAM_BYTES) * parameters
    else:
        kept += 2 * _BYTES[precision] * _kernels(shape)
    share = 1 / tokens if per_token else 1 / texts
    return Work(flops=float(flops * share), bytes=float(kept * share))


def _products(count: int, nodes: int, edges: int, width: int, size: int) -> Work:
    """`count` products A X; an edge's number and weight have 4 bytes each."""
    return Work(
        flops=2.0 * count * edges * width,
        bytes=float(count * (edges * (width * size + 8) + nodes * width * size)),
    )


def _kernels(shape: Shape) -> int:
    """Numbers in all kernels; a token costs two operations for each."""
    dim, wide = shape.hidden_size, shape.intermediate_size
    return shape.num_hidden_layers * (4 * dim * dim + 2 * dim * wide)


def _attention(counts: np.ndarray, shape: Shape) -> float:
    """Scores and sums of values: 4 L^2 D for each text and layer."""
    squares = float(np.square(counts, dtype=np.float64).sum())
    return 4 * shape.num_hidden_layers * shape.hidden_size * squares


def _kept(shape: Shape) -> int:
    """Numbers a token that the products of all layers read: x, q, k, v, h, x, inner."""
    return shape.num_hidden_layers * (6 * shape.hidden_size + shape.intermediate_size)
