"""`HostSampler`: the same trees, drawn on the host from arrays that no device holds.

Table and features may be memory-mapped: only what is sampled is read. A thread of its
own samples ahead and brings blocks to the device while it computes.
"""

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

import jax
import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.sampling.sample import sample_tree
from llmgnn_jax.graph.sampling.table import SampleTable
from llmgnn_jax.graph.sampling.tree import Fanout, SampledTree, gather_features


@dataclass(frozen=True, kw_only=True)
class SampleRequest:
    """What one block is sampled from; see `sample_tree`.

    Attributes:
        key: Of the step.
        seeds: (B,) node numbers.
        excluded_pairs: (B, 2), or None.
        rows: (B,) global row numbers, or None for 0, 1, ...
    """

    key: jax.Array
    seeds: np.ndarray
    excluded_pairs: np.ndarray | None = None
    rows: np.ndarray | None = None


class SampledBlock(NamedTuple):
    """A tree and what its nodes hold, (N, D); a pytree."""

    tree: SampledTree
    nodes: jax.Array


@dataclass(frozen=True, kw_only=True)
class HostSampler:
    """Samples on the host what `sample_tree` would on the device, bit for bit.

    Attributes:
        table: Of NumPy arrays: `sample_table(...)` or `SampleTable.open(folder)`.
        features: (N of the graph, D), an array or a memory map.
        fanouts: As for `sample_tree`.
        replace: Likewise.
        weighted: Likewise.

    Raises:
        UserError: If the table or the features are not NumPy's.
    """

    table: SampleTable
    features: np.ndarray
    fanouts: Sequence[int | Fanout]
    replace: bool = False
    weighted: bool = False

    def __post_init__(self) -> None:
        for name, fits, value in (
            ("table", self.table.on_host, self.table.indptr),
            ("features", isinstance(self.features, np.ndarray), self.features),
        ):
            if not fits:
                raise UserError.field(
                    name, expected="NumPy arrays", got=type(value).__name__
                )

    def sample(self, request: SampleRequest) -> SampledBlock:
        """One block, on the default device."""
        tree = sample_tree(
            request.key,
            self.table,
            request.seeds,
            fanouts=self.fanouts,
            replace=self.replace,
            weighted=self.weighted,
            excluded_pairs_B2=request.excluded_pairs,
            rows_B=request.rows,
        )
        block = SampledBlock(tree, gather_features(self.features, tree))
        return jax.device_put(block)

    def blocks(
        self, requests: Iterable[SampleRequest], *, ahead: int = 2
    ) -> "BlockStream":
        """Blocks in the order of the requests, sampled ahead by a thread.

        with sampler.blocks(requests) as blocks:
            for block in blocks: ...

        Args:
            requests: Read in the thread, as far ahead as blocks are made.
            ahead: Blocks that may wait to be taken.
        """
        return BlockStream(self, requests, ahead=ahead)


class BlockStream:
    """An iterator of blocks over a thread that ends with it.

    An error in the thread is raised where the block would have come. Leaving the `with`
    block, or `close`, stops the thread, whether all blocks were taken or not.
    """

    def __init__(
        self, sampler: HostSampler, requests: Iterable[SampleRequest], *, ahead: int
    ) -> None:
        if ahead < 1:
            raise UserError.field("ahead", expected="a number >= 1", got=ahead)
        self._sampler = sampler
        self._requests = requests
        # A block, an error, or None at the end.
        self._made: queue.Queue[SampledBlock | BaseException | None]
        self._made = queue.Queue(ahead)
        self._stop = threading.Event()
        self._ended = False
        self._thread = threading.Thread(
            target=self._work, name="host-sampler", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> "BlockStream":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[SampledBlock]:
        return self

    def __next__(self) -> SampledBlock:
        if self._ended:
            raise StopIteration
        made = self._made.get()
        if isinstance(made, SampledBlock):
            return made
        self.close()
        if made is None:
            raise StopIteration
        raise made

    def close(self) -> None:
        """Stops the thread and waits for it; may be called again."""
        self._ended = True
        self._stop.set()
        # The thread may wait for room: there is some now, and it sees that it is over.
        while not self._made.empty():
            self._made.get_nowait()
        self._thread.join()

    def _work(self) -> None:
        try:
            for request in self._requests:
                if self._stop.is_set():
                    return
                self._put(self._sampler.sample(request))
            self._put(None)
        except BaseException as error:  # handed to who waits for the block
            self._put(error)

    def _put(self, made: SampledBlock | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._made.put(made, timeout=0.1)
            except queue.Full:
                continue
            return
