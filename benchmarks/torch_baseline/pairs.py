"""LightGCN's files and its sampler as vectorised NumPy and PyTorch.

Shapes: U users, I items, P pairs, B draws.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.torch_baseline.device import DEVICE


def read_pairs(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(P,) int64 users and items of a file of lines `user item item ...`."""
    raw = path.read_bytes()
    numbers = np.fromstring(raw.decode("ascii"), np.int64, sep=" ")
    data = np.frombuffer(raw, np.uint8)
    blank = data <= ord(" ")
    starts = np.flatnonzero(~blank & np.concatenate([[True], blank[:-1]]))
    newlines = np.flatnonzero(data == ord("\n"))
    per_line = np.diff(np.searchsorted(starts, newlines), prepend=0, append=len(starts))
    # Of an empty line, or of what follows the last newline, nothing is left.
    per_line = per_line[per_line > 0]
    firsts = np.cumsum(per_line) - per_line
    is_item = np.ones(len(numbers), bool)
    is_item[firsts] = False
    return np.repeat(numbers[firsts], per_line - 1), numbers[is_item]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Different pairs, sorted by user, then item.

    Attributes:
        num_users: U.
        num_items: I.
        keys_P: (P,) int64, user * I + item, ascending.
        indptr: (U + 1,) int64, the pairs of user u are indptr[u]:indptr[u + 1].
        bits: (U I / 8,) uint8, bit k % 8 of byte k // 8 is 1 where key k is there:
            five times as fast as a binary search of the keys.
    """

    num_users: int
    num_items: int
    keys_P: torch.Tensor
    indptr: torch.Tensor
    bits: torch.Tensor

    @classmethod
    def of(
        cls, users: np.ndarray, items: np.ndarray, num_users: int, num_items: int
    ) -> "Pairs":
        """From (E,) users and items, which may repeat."""
        # Faster than torch.unique and np.unique.
        keys = np.sort(users * num_items + items)
        keys_P = torch.from_numpy(keys[np.diff(keys, prepend=-1) > 0]).to(DEVICE)
        counts = torch.bincount(keys_P // num_items, minlength=num_users)
        indptr = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
        bits = torch.zeros(
            num_users * num_items // 8 + 1, dtype=torch.uint8, device=DEVICE
        )
        # Keys differ, so that a sum of bits is their union.
        bits.index_add_(0, keys_P >> 3, _bit_of(keys_P))
        return cls(num_users, num_items, keys_P, indptr, bits)

    @property
    def users(self) -> np.ndarray:
        """(P,) int32."""
        return (self.keys_P // self.num_items).int().cpu().numpy()

    @property
    def items(self) -> np.ndarray:
        """(P,) int32."""
        return (self.keys_P % self.num_items).int().cpu().numpy()

    def contain(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Whether pairs are there; users and items broadcast."""
        keys = users * self.num_items + items
        return (self.bits[keys >> 3] & _bit_of(keys)) > 0


def _bit_of(keys: torch.Tensor) -> torch.Tensor:
    return torch.bitwise_left_shift(1, keys & 7).to(torch.uint8)


class Sampler:
    """A user drawn uniformly, one of its items, one item that it does not have.

    Args:
        pairs: What is known.
        seed: Of all draws.
    """

    def __init__(self, pairs: Pairs, *, seed: int) -> None:
        self._pairs = pairs
        self._counts_U = pairs.indptr.diff()
        self._active_A = torch.nonzero(self._counts_U)[:, 0]
        self._random = torch.Generator(device=DEVICE).manual_seed(seed)

    def draw(self, count: int) -> torch.Tensor:
        """(3, count) int64 users, positives and negatives, as nodes: items after users.

        Never ends if a user has every item.
        """
        pairs = self._pairs
        users_B = self._active_A[self._below(len(self._active_A), count)]
        counts_B = self._counts_U[users_B]
        shares_B = torch.rand(
            count, generator=self._random, device=DEVICE, dtype=torch.float64
        )
        places_B = pairs.indptr[users_B] + (shares_B * counts_B).long()
        positives_B = pairs.keys_P[places_B] - users_B * pairs.num_items
        negatives_B = self._below(pairs.num_items, count)
        known = pairs.contain(users_B, negatives_B).nonzero()[:, 0]
        while len(known):
            negatives_B[known] = self._below(pairs.num_items, len(known))
            known = known[pairs.contain(users_B[known], negatives_B[known])]
        items_2B = torch.stack([positives_B, negatives_B]) + pairs.num_users
        return torch.cat([users_B[None], items_2B])

    def _below(self, end: int, count: int) -> torch.Tensor:
        return torch.randint(end, (count,), generator=self._random, device=DEVICE)
