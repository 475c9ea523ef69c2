"""Exact full ranking of vectors that lie in pieces on a mesh: no device has them all.

Each device ranks the items of its piece for a chunk of users; the best of all pieces
are the best of those. Host and order of ties are those of `ranking.rank`.

Shapes: U user slots, I item slots, in S equal pieces of i; D width, B users of a chunk,
P seen pairs of a chunk.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from llmgnn_jax.data.csr import Csr
from llmgnn_jax.evaluation.ranking import IN_FLIGHT, Rankings, ranked_in_chunks
from llmgnn_jax.evaluation.top_k import top_k
from llmgnn_jax.parallel.mesh import AXES
from llmgnn_jax.parallel.placements import rows_of_holders
from llmgnn_jax.parallel.processes import put


def rank_pieces(
    user_vectors_UD: jax.Array,
    item_vectors_ID: jax.Array,
    *,
    mesh: Mesh,
    num_users: int,
    num_items: int,
    seen: Csr | None,
    k: int,
    candidates: np.ndarray | None = None,
    memory_limit_mb: float = 256,
) -> Rankings:
    """The k best unseen items of each user by inner products in float32, exactly.

    Args:
        user_vectors_UD: (U, D) on the mesh; U a multiple of its devices.
        item_vectors_ID: (I, D), likewise.
        mesh: The devices.
        num_users: Slots in use; the others are not ranked.
        num_items: Likewise.
        seen: (num_users x num_items) pairs that are masked, or None.
        k: Length of each ranking.
        candidates: (num_items,) bool, which items may be ranked; None for all of them.
        memory_limit_mb: Cap of the scores and their temporaries on a device.

    Returns:
        The rankings, on the host of every process.

    Raises:
        UserError: If a score is not finite, or the cap is too small.
    """
    depth = min(k, num_items)
    allowed_I = np.zeros(item_vectors_ID.shape[0], bool)
    allowed_I[:num_items] = True if candidates is None else candidates
    # Once, not with each chunk.
    there_I = put(allowed_I, NamedSharding(mesh, P(AXES)))

    def chunk(users_B: Any, rows_P: Any, items_P: Any) -> Any:
        vectors = (user_vectors_UD, item_vectors_ID)
        return _rank_chunk(*vectors, users_B, rows_P, items_P, there_I, mesh, depth)

    return ranked_in_chunks(
        chunk,
        width=item_vectors_ID.shape[0] // mesh.size,
        num_users=num_users,
        num_items=num_items,
        seen=seen,
        k=k,
        memory_limit_mb=memory_limit_mb,
        # Devices of one CPU share its cores: programs that exchange something and run
        # at once may each wait for threads that the other one holds.
        in_flight=0 if jax.default_backend() == "cpu" else IN_FLIGHT,
    )


@functools.partial(jax.jit, static_argnums=(6, 7))
def _rank_chunk(
    users_UD: jax.Array,
    items_ID: jax.Array,
    users_B: jax.Array,
    rows_P: jax.Array,
    items_P: jax.Array,
    allowed_I: jax.Array,
    mesh: Mesh,
    k: int,
) -> tuple[jax.Array, jax.Array]:
    """(B, k) items and scores of a chunk, on all devices."""

    def local(
        users_uD: jax.Array,
        items_iD: jax.Array,
        users_B: jax.Array,
        rows_P: jax.Array,
        items_P: jax.Array,
        allowed_i: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        share, size = jax.lax.axis_index(AXES), len(items_iD)
        scores_Bi = jnp.matmul(
            rows_of_holders(users_uD, users_B),
            items_iD.T,
            precision=jax.lax.Precision.HIGHEST,
            preferred_element_type=jnp.float32,
        )
        first = share * size
        scores_Bi = jnp.where(allowed_i[None, :], scores_Bi, -jnp.inf)
        # Items of other pieces go beyond the last column, and so nowhere.
        columns_P = items_P - first
        inside_P = (columns_P >= 0) & (columns_P < size)
        columns_P = jnp.where(inside_P, columns_P, size)
        scores_Bi = scores_Bi.at[rows_P, columns_P].set(-jnp.inf, mode="drop")
        best, columns = top_k(scores_Bi, min(k, size))
        # By piece and within it by rank: of equal scores the lower item comes first.
        scores, items = (
            jax.lax.all_gather(values, AXES, axis=1, tiled=True)
            for values in (best, first + columns)
        )
        top_scores, places = jax.lax.top_k(scores, k)
        top_items = jnp.take_along_axis(items, places, axis=1)
        return jnp.where(top_scores == -jnp.inf, -1, top_items), top_scores

    spread = jax.shard_map(
        local,
        mesh=mesh,
        in_specs=(P(AXES), P(AXES), P(), P(), P(), P(AXES)),
        out_specs=(P(), P()),
        check_vma=False,
    )
    return spread(users_UD, items_ID, users_B, rows_P, items_P, allowed_I)
