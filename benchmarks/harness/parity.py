"""Whether systems compute the same, before any of them is timed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


class ParityError(AssertionError):
    """Two systems disagree: to time them would compare different things."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far a system is from the reference.

    Attributes:
        max_abs_error: Largest difference of any entry, each array divided by the
            largest entry of the reference: gradients of 1e-6 count like outputs of 1.
        worst: The array where it is.
    """

    max_abs_error: float
    worst: str


def compare(
    reference: Path, other: Path, *, names: tuple[str, str], tolerance: float
) -> Parity:
    """Compares the arrays in two folders.

    Args:
        reference: Folder of .npy files.
        other: Likewise.
        names: Of the two systems, for the message.
        tolerance: Largest share of an array's largest entry.

    Raises:
        ParityError: If arrays are missing, differ in shape, are not finite, are 0
            throughout in the reference, or differ by more than the tolerance.
    """
    here, there = _arrays(reference), _arrays(other)
    pair = f"{names[1]} against {names[0]}"
    if set(here) != set(there):
        raise ParityError(
            f"{pair}: expected the arrays {sorted(here)}, got {sorted(there)}"
        )
    if not here:
        raise ParityError(f"{pair}: no arrays to compare")
    worst, where = 0.0, ""
    for name, wanted in here.items():
        got = there[name]
        if wanted.shape != got.shape:
            raise ParityError(
                f"{pair}: {name}: expected the shape {wanted.shape}, got {got.shape}"
            )
        scale = float(np.abs(wanted).max(initial=0.0))
        if not (scale > 0 and np.isfinite(scale) and np.isfinite(got).all()):
            raise ParityError(f"{pair}: {name}: 0 throughout, or not finite")
        error = float(np.abs(wanted - got).max()) / scale
        if error > tolerance:
            raise ParityError(
                f"{pair}: {name} differs by {error:.2e} of its largest entry, "
                f"{scale:.2e}; the tolerance is {tolerance:.0e}. Nothing was timed."
            )
        if error >= worst:
            worst, where = error, name
    return Parity(max_abs_error=worst, worst=where)


def _arrays(folder: Path) -> Mapping[str, np.ndarray]:
    return {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
