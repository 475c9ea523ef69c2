"""`TokenRows`: what every encoder reads.

Shapes: B rows, L tokens.
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["ids_BL", "mask_BL", "segments_BL", "positions_BL", "type_ids_BL"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class TokenRows:
    """Rows of token ids of one fixed shape, filled up at the right.

    Attributes:
        ids_BL: (B, L) int32 token ids.
        mask_BL: (B, L) bool, False at padding.
        segments_BL: (B, L) int32, which of a row's texts a token belongs to, where
            several are packed into one: tokens see their own text alone. None: each
            row is one text.
        positions_BL: (B, L) int32, a token's place in its own text; None: in its row.
        type_ids_BL: (B, L) int32 token types of BERT; None: 0.
    """

    ids_BL: jax.Array
    mask_BL: jax.Array
    segments_BL: jax.Array | None = None
    positions_BL: jax.Array | None = None
    type_ids_BL: jax.Array | None = None

    @property
    def places_BL(self) -> jax.Array:
        """(B or 1, L) int32, a token's place in its own text."""
        if self.positions_BL is not None:
            return self.positions_BL
        return jnp.arange(self.ids_BL.shape[1], dtype=jnp.int32)[None, :]
