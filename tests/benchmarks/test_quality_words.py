"""The measurement of words: its controls, its comparisons, its table."""

from typing import Any

import numpy as np

from benchmarks.quality_words import METHOD, Bench, _without_user, words_table
from llmgnn_jax.speaking.measured import Measured


def measured(bits: float) -> Measured:
    bytes_N = np.full(40, 10)
    noise = np.random.default_rng(0).uniform(0.9, 1.1, 40)
    return Measured(
        nats_N=bits * np.log(2) * bytes_N * noise,
        tokens_N=np.full(40, 3),
        bytes_N=bytes_N,
    )


def test_bits_and_perplexity() -> None:
    found = measured(2.0)
    assert found.bits_per_byte == np.mean(found.bits_per_byte_N)
    assert abs(found.bits_per_byte - 2) < 0.1
    assert np.isclose(found.perplexity, 2 ** (found.bits_per_byte * 10 / 3))


def test_each_is_compared_with_its_controls() -> None:
    bench = Bench.__new__(Bench)
    bench.measured = {
        "lstm": measured(2.0),
        "lstm, shuffled": measured(2.2),
        "lstm, untold": measured(2.0),
        "smollm2": measured(3.0),
        "adapter": measured(1.5),
    }
    found = {(one["a"], one["b"]): one for one in bench.comparisons()}
    assert set(found) == {
        *(("adapter", name) for name in bench.measured if name != "adapter"),
        *(("lstm", name) for name in ("lstm, shuffled", "lstm, untold")),
    }
    assert {one["method"] for one in found.values()} == {METHOD}
    # More is better: the fewer bits, the higher.
    assert found["adapter", "smollm2"]["delta"] > 1
    assert found["adapter", "smollm2"]["p"] < 0.01
    assert found["lstm", "lstm, untold"]["p"] == 1


def test_without_the_user_the_item_stays() -> None:
    prompt = "Item: X\nThe user also has: Y; Z\nThe user's words: a\nThe user's review:"
    assert _without_user(prompt) == "Item: X\nThe user's review:"
    assert _without_user("Item: X\nThe user's review:") == "Item: X\nThe user's review:"


def test_the_table() -> None:
    def row(bits: float, *, taught: bool) -> dict[str, Any]:
        return {
            "test": {"bits_per_byte": bits, "perplexity": 9.0},
            "ci95": {"bits_per_byte": [bits - 0.1, bits + 0.1]},
            "trained_parameters": 1234 if taught else 0,
            "teach_seconds": 61.2 if taught else 0.0,
            "steps": 20 if taught else 0,
            "best_step": 10 if taught else 0,
            "peak_mb": 512.3,
        }

    document = {
        "models": {
            "smollm2": row(1.2, taught=False),
            "adapter": row(0.9, taught=True),
        },
        "comparisons": [{"a": "adapter", "b": "smollm2", "p": 0.0021}],
    }
    lines = words_table(document).splitlines()
    assert lines[2].startswith(
        "| adapter | 0.9000 | 0.8000 to 1.0000 | 9.00 |  | 1,234 |"
    )
    assert "| 61 s, step 10 | 512 |" in lines[2]
    assert lines[3].startswith("| smollm2 | 1.2000 |")
    assert "| 0.0021 |" in lines[3]
