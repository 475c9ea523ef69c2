"""What a unit of work is by the model, on sizes that can be counted by hand."""

import numpy as np
import pytest

from benchmarks import work
from benchmarks.bert_weights import Shape

SHAPE = Shape(
    vocab_size=100,
    hidden_size=4,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=16,
)
# A layer has four kernels of 4 x 4 and two of 4 x 16.
KERNELS = 2 * (4 * 16 + 2 * 64)


@pytest.mark.parametrize(("precision", "size"), [("float32", 4), ("bfloat16", 2)])
def test_a_propagation_reads_a_row_an_edge(precision: str, size: int) -> None:
    inputs = {"nodes": np.zeros((10, 8)), "senders": np.zeros(30)}
    found = work.of_propagation(inputs, precision=precision)
    assert found.flops == 2 * 30 * 8
    assert found.bytes == 30 * (8 * size + 8) + 10 * 8 * size


def test_a_step_propagates_both_ways_and_updates_all_nodes() -> None:
    inputs = {
        "table": np.zeros((10, 8)),
        "senders": np.zeros(30),
        "batch_keep": np.zeros((3, 5)),
    }
    found = work.of_lightgcn_step(inputs, num_layers=3)
    once = work.of_propagation({"nodes": np.zeros((10, 8)), "senders": np.zeros(30)})
    assert found.flops == 6 * once.flops + 30 * 5 * 8 + 12 * 80
    assert found.bytes == 6 * once.bytes + 4 * 12 * 5 * 8 + 28 * 80


def test_the_fused_step_is_mostly_its_scores_where_the_batch_is_large() -> None:
    inputs = {
        "weight.node_embedding": np.zeros((10, 2)),
        "weight.fusion.kernel": np.zeros((4, 8)),
        "weight.fusion.output_kernel": np.zeros((8, 4)),
        "item_texts": np.zeros((6, 3)),
        "senders": np.zeros(30),
        "batch_bias": np.zeros((1, 1000, 2000)),
    }
    found = work.of_fused_step(inputs, num_layers=1)
    # Vectors that are ranked by have twice the width; forward and two gradients.
    scores = 3 * 2 * 1000 * 2000 * 4
    assert scores < found.flops < 1.2 * scores


def test_ranking_multiplies_with_every_item() -> None:
    inputs = {
        "user_vectors": np.zeros((10, 8)),
        "item_vectors": np.zeros((50, 8)),
        "seen_items": np.zeros(20),
    }
    found = work.of_ranking(inputs, k=5)
    assert found.flops == 2 * 50 * 8
    assert found.bytes == (4 * 60 * 8 + 8 * 20 + 8 * 10 * 5) / 10


def test_a_text_costs_its_tokens_and_their_pairs() -> None:
    counts = np.array([3, 5])
    found = work.of_encoding(counts, SHAPE, precision="float32", batch_tokens=1_000_000)
    pairs = 4 * 2 * 4 * (9 + 25)
    assert found.flops == (2 * KERNELS * 8 + pairs) / 2
    more = work.of_encoding(counts, SHAPE, precision="float32", batch_tokens=4)
    assert more.flops == found.flops
    # The weights are read for each batch of four tokens.
    assert more.bytes - found.bytes == 4 * KERNELS / 2


def test_a_frozen_encoder_has_no_gradients_of_kernels() -> None:
    inputs = {"token_ends": np.array([3, 8]), "texts": np.asarray(2)}
    full, lora = (
        work.of_text_training(inputs, shape=SHAPE, full=full, per_token=False)
        for full in (True, False)
    )
    pairs = 3 * 4 * 2 * 4 * (9 + 25)
    update = 12 * (KERNELS + 100 * 4)
    assert full.flops == pytest.approx((6 * KERNELS * 8 + pairs + update) / 2)
    assert lora.flops == pytest.approx((4 * KERNELS * 8 + pairs) / 2)
    token = work.of_text_training(inputs, shape=SHAPE, full=True, per_token=True)
    assert 8 * token.flops == pytest.approx(2 * full.flops)
    assert 8 * token.bytes == pytest.approx(2 * full.bytes)
