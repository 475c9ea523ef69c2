"""What many prompts begin with, read once.

A batch's rows are cut at one place, a multiple of 32 tokens: what stands before it is
read once for all rows that have it in common, now or in later calls, and the rest
behind it. Rows of one batch may have different prefixes. Where the cut lies is what
costs the fewest tokens.

16 prompts of a narrator's, 270 to 285 tokens that begin with one of two prefixes of
224, and 24 tokens after each by SmolLM2-135M: 4.4 s once the prefixes are kept, 16.2 s
read whole (medians of 4, in turn, 2 CPU cores, beside other work), the same tokens. Of
three kinds of reasons at once 12.7 s and 24.3 s (of 3): a batch's prefixes are at most
as long as its shortest prompt.

Shapes: B rows, S tokens of a prefix, n layers, G heads of keys and values, K width of a
head.
"""

import bisect
import collections
import functools
import threading
from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.text.generation.model import PrefixModel, PrefixState
from llmgnn_jax.text.length_buckets import row_lengths

Ids: TypeAlias = tuple[int, ...]

# Prefixes are as many tokens or a multiple of them: there are few shapes to compile.
_STEP = 32
# Tokens; for less it is not worth to compile for another shape.
_LEAST_GAIN = 128
# Of the last prompts: another one that begins as one of them did will not be the last.
_RECENT = 64
# What is kept between calls: so much memory, and so many to look through.
_KEPT_BYTES = 2**28
_KEPT = 32


class PrefixCache:
    """Prefixes that were read, the last ones used. Threads may share it.

    Args:
        model: Whose they are.
    """

    def __init__(self, model: PrefixModel) -> None:
        self._model = model
        self._params: Any = None
        self._kept: collections.OrderedDict[Ids, PrefixState] = (
            collections.OrderedDict()
        )
        self._recent: collections.deque[Ids] = collections.deque(maxlen=_RECENT)
        self._lock = threading.RLock()

    def reader(self, params: Any, prompts: Sequence[Sequence[int]]) -> "PrefixReader":
        """What cuts the batches of a call.

        Args:
            params: Of the model; where others are read, nothing of these is left.
            prompts: Tokens of all prompts of the call.
        """
        with self._lock:
            ordered = sorted([*self._recent, *map(tuple, prompts)])
            self._recent.extend(map(tuple, prompts[-_RECENT:]))
        return PrefixReader(self, params, ordered)

    def has(self, prefix: Ids, params: Any) -> bool:
        """Whether it was read, or a longer one that begins with it."""
        with self._lock:
            return params is self._params and any(
                ids[: len(prefix)] == prefix for ids in self._kept
            )

    def read(self, prefix: Ids, params: Any) -> PrefixState:
        """Its state, of one row."""
        with self._lock:
            # Calls with others may go on at the same time: each has its own.
            if params is not self._params:
                self._kept.clear()
                self._params = params
            for ids, state in self._kept.items():
                if ids[: len(prefix)] == prefix:
                    self._kept.move_to_end(ids)
                    return jax.tree.map(lambda x: x[:, :, : len(prefix)], state)
            state = _read(self._model, params, np.array([prefix], np.int32))
            self._kept[prefix] = state
            while len(self._kept) > 1 and self._is_full:
                self._kept.popitem(last=False)
            return state

    @property
    def _is_full(self) -> bool:
        leaves = jax.tree.leaves(list(self._kept.values()))
        num_bytes = sum(leaf.nbytes for leaf in leaves)
        return num_bytes > _KEPT_BYTES or len(self._kept) > _KEPT


class PrefixReader:
    """Cuts the batches of a call.

    Args:
        cache: Where prefixes are read.
        params: Of the model.
        ordered: Prompts that are or were asked for, in order.
    """

    def __init__(self, cache: PrefixCache, params: Any, ordered: Sequence[Ids]) -> None:
        self._cache = cache
        self._params = params
        self._ordered = ordered

    def before(
        self, prompts: Sequence[Sequence[int]], *, rows: int
    ) -> PrefixState | None:
        """What a batch's prompts begin with; None where that would save little.

        Args:
            prompts: Tokens of each.
            rows: B, as many or more: the others are padding, before which anything may
                stand.
        """
        length = self._length([tuple(prompt) for prompt in prompts], rows=rows)
        if length == 0:
            return None
        prefixes = [tuple(prompt[:length]) for prompt in prompts]
        prefixes += prefixes[:1] * (rows - len(prefixes))
        states = {
            prefix: self._cache.read(prefix, self._params)
            for prefix in dict.fromkeys(prefixes)
        }
        return jax.tree.map(
            lambda *rows: jnp.concatenate(rows, axis=1),
            *(states[prefix] for prefix in prefixes),
        )

    def _length(self, prompts: Sequence[Ids], *, rows: int) -> int:
        """S, by the tokens that it takes to read the batch; 0 for none."""
        longest = max(map(len, prompts))

        def cost(length: int) -> float:
            (own,) = row_lengths(np.array([longest - length])).tolist()
            found = collections.Counter(prompt[:length] for prompt in prompts)
            return rows * own + sum(map(self._share, found, found.values()))

        lengths = range(0, min(map(len, prompts)), _STEP)
        best = min(lengths, key=cost)
        return best if cost(0) - cost(best) >= _LEAST_GAIN else 0

    def _share(self, prefix: Ids, count: int) -> float:
        """What reading a prefix costs those of a batch that begin with it.

        All that begin with it bear a part, those of other batches and calls too.
        """
        if not prefix or self._cache.has(prefix, self._params):
            return 0.0
        start = bisect.bisect_left(self._ordered, prefix)
        end = bisect.bisect_left(self._ordered, (*prefix[:-1], prefix[-1] + 1))
        return len(prefix) * count / (end - start)


@functools.partial(jax.jit, static_argnames="model")
def _read(model: PrefixModel, params: Any, ids_BS: jax.Array) -> PrefixState:
    return model.read_prefix(params, ids_BS)
