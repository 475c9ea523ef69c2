"""Exact full ranking: every user against every item, seen items masked, on device.

Users are ranked in chunks of one static shape, so that one program serves all chunks
and all later calls. The dense (chunk, items) scores exist for one chunk at a time and
on device only; what is seen goes there as (row, item) pairs.

Shape legend: `U` users that are ranked, `B` users of a chunk, `I` items, `W` >= I score
columns, `D` width, `S` seen pairs of a chunk.
"""

import functools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.top_k import BLOCK, top_k, uses_blocks

ScoreChunk = Callable[[Any, jax.Array], jax.Array]
"""(data, (B,) int32 users) -> (B, W) scores, a pure function that jax can trace."""

RankChunk = Callable[[np.ndarray, np.ndarray, np.ndarray], Any]
"""(B,) users, (S,) rows and (S,) items that are masked -> (B, k) items and scores."""

_MIN_CHUNK = 8
"""A product with one row takes another path on CPU and differs in the last bit."""

_CPU_CHUNK = 32
"""Users of a chunk below which reading the item vectors costs more than the product."""

_CPU_CHUNK_BYTES = 24 * 2**20
"""Temporaries above 32 MiB are mapped anew at each step on CPU, page by page."""

IN_FLIGHT = 2
"""Chunks that may be enqueued: the host prepares one while the device ranks one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rankings:
    """The best items of each user, best first.

    Attributes:
        users: (U,) int32 user indices, in the order asked for.
        items: (U, k) int32 item indices; -1 where the catalogue is exhausted.
        scores: (U, k) float32; -inf where items is -1.
    """

    users: np.ndarray
    items: np.ndarray
    scores: np.ndarray


def rank(
    score_chunk: ScoreChunk,
    data: Any,
    *,
    num_users: int,
    num_items: int,
    seen: Csr | None,
    k: int,
    candidates: np.ndarray | None = None,
    users: np.ndarray | None = None,
    memory_limit_mb: float = 256,
    chunk_size: int | None = None,
) -> Rankings:
    """The k best unseen items of each user, exactly; ties go to the lower item index.

    The program is compiled once for each combination of `score_chunk` (by identity:
    pass a function that lives on, not a new lambda a call), shapes of `data`, chunk
    size, `num_items`, `k` and number of seen pairs a chunk (rounded up to a power of
    two): calls in the middle of training cost no compilation after the first. On CPU
    the chunk size changes no bit of the result.

    Memory: the added device memory is at most `memory_limit_mb`, `data` and the
    temporaries of `score_chunk` itself not counted. A chunk of B users needs 8 B W
    bytes; from W = 8,192 on a little above 4 B W where W is a multiple of 64 (8 B W
    with `candidates`), else 12 B W. On CPU it is kept below 24 MiB where that leaves 32
    users, which is faster.
    The host holds the result, 8 U k bytes, and no (U, I) array.

    Args:
        score_chunk: (data, (B,) int32 users) -> (B, W) scores, W >= num_items. Columns
            from `num_items` on (padding) are never ranked; W a multiple of 64 is
            fastest. A score of -inf means "never recommend".
        data: Pytree of what it reads on device; passed as an argument, not captured.
        num_users: Number of users that exist.
        num_items: I.
        seen: (num_users x I) pairs that are masked, or None.
        k: Length of each ranking; may exceed I (the rest is -1).
        candidates: (I,) bool, which items may be ranked; None for all of them. Which
            ones they are compiles nothing anew.
        users: (U,) user indices to rank, repeats allowed; None ranks all.
        memory_limit_mb: Cap of the added device memory, in 2**20 bytes.
        chunk_size: Users a chunk, in place of what the cap allows; at least 8 are used.

    Returns:
        The rankings, on the host.

    Raises:
        UserError: If a score is NaN or +inf, or the cap is too small for 8 users.
        ValueError: If sizes do not fit together.
    """
    depth = min(k, num_items)
    width = num_items
    if chunk_size is None:
        user_spec = jax.ShapeDtypeStruct((_MIN_CHUNK,), np.int32)
        width = jax.eval_shape(score_chunk, data, user_spec).shape[1]

    allowed = None
    if candidates is not None:
        allowed = jnp.asarray(checked_candidates(candidates, num_items))

    def chunk(users_B: np.ndarray, rows_S: np.ndarray, items_S: np.ndarray) -> Any:
        return _rank_chunk(
            data, users_B, rows_S, items_S, allowed, score_chunk, num_items, depth
        )

    return ranked_in_chunks(
        chunk,
        width=width,
        num_users=num_users,
        num_items=num_items,
        seen=seen,
        k=k,
        users=users,
        memory_limit_mb=memory_limit_mb,
        chunk_size=chunk_size,
        masked=allowed is not None,
    )


def ranked_in_chunks(
    rank_chunk: RankChunk,
    *,
    width: int,
    num_users: int,
    num_items: int,
    seen: Csr | None,
    k: int,
    users: np.ndarray | None = None,
    memory_limit_mb: float = 256,
    chunk_size: int | None = None,
    in_flight: int = IN_FLIGHT,
    masked: bool = False,
) -> Rankings:
    """`rank` by any program that ranks a chunk.

    Args:
        rank_chunk: The program: min(k, I) items and scores of each row.
        width: W, score columns that a device has at a time; of no account where
            `chunk_size` is given.
        num_users: As in `rank`.
        num_items: Likewise.
        seen: Likewise.
        k: Likewise.
        users: Likewise.
        memory_limit_mb: Likewise.
        chunk_size: Likewise.
        in_flight: Chunks that may be enqueued while one is received.
        masked: Whether the program leaves items out, which takes memory.
    """
    users = checked_users(users, num_users)
    if k < 1 or num_items < 1:
        raise ValueError(f"k and num_items must be positive, got {k} and {num_items}")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size must be positive, got {chunk_size}")
    if seen is not None:
        check_seen(seen, num_users, num_items)
    depth = min(k, num_items)
    if chunk_size is None:
        chunk_size = _chunk_size(width, depth, memory_limit_mb, masked=masked)
    chunk = max(_MIN_CHUNK, min(chunk_size, -(-len(users) // _MIN_CHUNK) * _MIN_CHUNK))
    num_chunks = -(-len(users) // chunk)

    items = np.full((len(users), k), -1, np.int32)
    scores = np.full((len(users), k), -np.inf, np.float32)
    chunks = [users[i * chunk : (i + 1) * chunk] for i in range(num_chunks)]
    counts = np.zeros(num_users, np.int64) if seen is None else seen.counts()
    num_pairs = _padded_pairs(counts, chunks)
    pending: deque[tuple[int, tuple[jax.Array, jax.Array]]] = deque()

    def receive() -> None:
        i, (chunk_items, chunk_scores) = pending.popleft()
        rows = slice(i * chunk, i * chunk + len(chunks[i]))
        items[rows, :depth] = np.asarray(chunk_items)[: len(chunks[i])]
        scores[rows, :depth] = np.asarray(chunk_scores)[: len(chunks[i])]

    for i, members in enumerate(chunks):
        rows_S, items_S = _seen_pairs(seen, members, counts[members], num_pairs, chunk)
        # The last chunk is filled with a user that exists; its rows are dropped.
        users_B = np.pad(members, (0, chunk - len(members)), mode="edge")
        pending.append((i, rank_chunk(users_B, rows_S, items_S)))
        if len(pending) > in_flight:
            receive()
    while pending:
        receive()
    # Both rank first, so that one column tells of any.
    wrong = np.flatnonzero(np.isnan(scores[:, 0]) | np.isposinf(scores[:, 0]))
    if wrong.size:
        raise UserError.field(
            "scores",
            expected="finite numbers",
            got=f"NaN or infinity for user {users[wrong[0]]}",
            fix="the model diverged: lower the learning rate or use an earlier "
            "checkpoint",
        )
    return Rankings(users=users, items=items, scores=scores)


def inner_products(data: dict[str, jax.Array], users_B: jax.Array) -> jax.Array:
    """Scores (B, I) of `data["users"]` (U, D) with `data["items"]` (I, D)."""
    return jnp.matmul(
        data["users"][users_B],
        data["items"].T,
        precision=jax.lax.Precision.HIGHEST,
        preferred_element_type=jnp.float32,
    )


def checked_candidates(candidates: np.ndarray, num_items: int) -> np.ndarray:
    """(I,) bool, as it is.

    Raises:
        ValueError: If it is of another shape or type.
    """
    if candidates.shape != (num_items,) or candidates.dtype != np.bool_:
        raise ValueError(f"candidates: not ({num_items},) bool")
    return candidates


@functools.partial(jax.jit, static_argnums=(5, 6, 7))
def _rank_chunk(
    data: Any,
    users_B: jax.Array,
    rows_S: jax.Array,
    items_S: jax.Array,
    candidates_I: jax.Array | None,
    score_chunk: ScoreChunk,
    num_items: int,
    k: int,
) -> tuple[jax.Array, jax.Array]:
    """(B, k) items and scores of a chunk; k <= num_items."""
    scores_BW = score_chunk(data, users_B)
    num_rows = users_B.shape[0]
    if scores_BW.ndim != 2 or scores_BW.shape[0] != num_rows:
        raise ValueError(f"score_chunk gave {scores_BW.shape} for {num_rows} users")
    if scores_BW.shape[1] < num_items:
        raise ValueError(f"score_chunk gave {scores_BW.shape} for {num_items} items")
    scores_BW = scores_BW.astype(jnp.float32)
    # All masks write into the scores in place: no second (B, W) array.
    padding = scores_BW.shape[1] - num_items
    if candidates_I is None:
        padding_BP = jnp.full((num_rows, padding), -jnp.inf)
        scores_BW = jax.lax.dynamic_update_slice(scores_BW, padding_BP, (0, num_items))
    else:
        allowed_W = jnp.pad(candidates_I, (0, padding))
        scores_BW = jnp.where(allowed_W[None, :], scores_BW, -jnp.inf)
    scores_BW = scores_BW.at[rows_S, items_S].set(
        -jnp.inf, mode="drop", unique_indices=True, indices_are_sorted=True
    )
    top_scores, top_items = top_k(scores_BW, k)
    return jnp.where(top_scores == -jnp.inf, -1, top_items), top_scores


def _chunk_size(
    width: int, k: int, memory_limit_mb: float, *, masked: bool = False
) -> int:
    """Users a chunk under the cap, see `rank`."""
    bytes_a_user = _bytes_a_user(width, k, masked=masked)
    limit = int(memory_limit_mb * 2**20) // bytes_a_user
    if limit < _MIN_CHUNK:
        raise UserError.field(
            "memory_limit_mb",
            expected=f"at least {-(-_MIN_CHUNK * bytes_a_user // 2**20)} for "
            f"{width} items and k = {k}",
            got=memory_limit_mb,
            fix="raise it",
        )
    if jax.default_backend() == "cpu":
        limit = min(limit, max(_CPU_CHUNK, _CPU_CHUNK_BYTES // bytes_a_user))
    return limit // _MIN_CHUNK * _MIN_CHUNK


def _bytes_a_user(width: int, k: int, *, masked: bool = False) -> int:
    """What `_rank_chunk` allots for one user: copies of the scores, and more."""
    if not uses_blocks(width, k):
        return 8 * width
    # Padding is done once for each of its two readers.
    copies = 3 if width % BLOCK else 1 + masked
    maxima, candidates = 8 * (width // BLOCK + 1), 4 * (BLOCK + 2) * k
    return 4 * width * copies + maxima + candidates


def checked_users(users: np.ndarray | None, num_users: int) -> np.ndarray:
    """(U,) int32, contiguous.

    Raises:
        ValueError: If they are no numbers of users.
    """
    if users is None:
        return np.arange(num_users, dtype=np.int32)
    users = np.asarray(users)
    if users.ndim != 1 or (users.size and not np.issubdtype(users.dtype, np.integer)):
        raise ValueError(f"users: expected (U,) integers, got {users.dtype}")
    if users.size and (users.min() < 0 or users.max() >= num_users):
        raise ValueError(f"users must lie in [0, {num_users})")
    return np.array(users, np.int32, order="C")


def check_seen(seen: Csr, num_users: int, num_items: int) -> None:
    """Raises ValueError if pairs name other rows than users, or items that are none."""
    if seen.num_rows != num_users:
        raise ValueError(f"seen has {seen.num_rows} rows for {num_users} users")
    if seen.indices.size and seen.indices.max() >= num_items:
        raise ValueError(f"seen has item {seen.indices.max()} of {num_items}")


def _padded_pairs(counts: np.ndarray, chunks: list[np.ndarray]) -> int:
    """S: the most seen pairs of any chunk, rounded up to a power of two."""
    most = max((int(counts[members].sum()) for members in chunks), default=0)
    return 1 << max(7, (most - 1).bit_length())


def _seen_pairs(
    seen: Csr | None,
    members: np.ndarray,
    counts: np.ndarray,
    num_pairs: int,
    chunk: int,
) -> tuple[np.ndarray, np.ndarray]:
    """(S,) rows of the chunk and items, int32, sorted; padding rows lie outside it."""
    # Distinct, so that the scatter may rely on unique indices.
    rows = np.arange(chunk, chunk + num_pairs, dtype=np.int32)
    items = np.zeros(num_pairs, np.int32)
    if seen is not None:
        ends = np.cumsum(counts)
        total = int(counts.sum())
        rows[:total] = np.repeat(np.arange(len(members)), counts)
        shift = np.repeat(seen.indptr[members] - (ends - counts), counts)
        items[:total] = seen.indices[shift + np.arange(total)]
    return rows, items
