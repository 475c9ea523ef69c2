"""What may be compared with what: parity of arrays, ratios of rows."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness import report
from benchmarks.harness.parity import ParityError, compare


def test_small_gradients_count_as_much_as_large_outputs(tmp_path: Path) -> None:
    for folder, gradient in (("a", 1e-6), ("b", 1.1e-6)):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "out.npy", np.ones(3))
        np.save(tmp_path / folder / "gradient.npy", np.full(3, gradient))
    with pytest.raises(ParityError, match=r"gradient differs by 1\.00e-01"):
        compare(tmp_path / "a", tmp_path / "b", names=("here", "there"), tolerance=1e-2)
    parity = compare(
        tmp_path / "a", tmp_path / "b", names=("here", "there"), tolerance=0.2
    )
    assert parity.worst == "gradient"
    assert parity.max_abs_error == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), "0 throughout"),
        (np.array([1.0, np.nan, 1.0]), "not finite"),
    ],
)
def test_parity_of_nothing_is_no_parity(
    tmp_path: Path, array: np.ndarray, message: str
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "out.npy", array)
    with pytest.raises(ParityError, match=message):
        compare(tmp_path / "a", tmp_path / "b", names=("a", "b"), tolerance=1e-2)


def row(of: str, **changes) -> dict:
    return {
        "system": of,
        "variant": "a",
        "precision": "float32",
        "size": "small",
        "unit": "ms",
        "median": 2.0,
        **changes,
    }


@pytest.mark.parametrize(
    "other", [{"precision": "bfloat16"}, {"size": "large"}, {"unit": "seeds/s"}]
)
def test_ratios_are_of_one_precision_and_one_size(other: dict) -> None:
    alike = report.ratios([row("llmgnn_jax"), row("peer", median=6.0)])
    assert [one["ratio"] for one in alike] == [3.0]
    assert report.ratios([row("llmgnn_jax"), row("peer", **other)]) == []
    assert report.ratios([row("peer"), row("jraph")]) == []
