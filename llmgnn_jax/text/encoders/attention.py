"""Scaled dot-product attention with float32 softmax.

Shapes: B rows, L tokens that ask, M tokens that are asked, H heads, G heads of keys
and values (a divisor of H), R = H / G, K width of a head, J = (H + 2 G) K.

Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; grouped queries: Ainslie et al.
2023, https://arxiv.org/abs/2305.13245.
"""

import jax
import jax.numpy as jnp

from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders.layers import ComputeDtype, product
from llmgnn_jax.text.encoders.rows import TokenRows


def allowed_pairs(rows: TokenRows, *, causal: bool) -> jax.Array:
    """Which token may look at which.

    Returns:
        (B, 1 or L, L) bool: not at padding, not at another text of the row, and not at
        what comes later if `causal`.
    """
    allowed = rows.mask_BL[:, None, :]
    if rows.segments_BL is not None:
        segments = rows.segments_BL
        allowed = allowed & (segments[:, :, None] == segments[:, None, :])
    if causal:
        # Within a packed row later places are later in their own text, too.
        place = jnp.arange(rows.ids_BL.shape[1])
        allowed = allowed & (place[:, None] >= place[None, :])[None]
    return allowed


def attend(
    joined_BLJ: jax.Array,
    rows: TokenRows,
    *,
    heads: int,
    groups: int,
    causal: bool,
    dtype: ComputeDtype,
    bias_HLL: jax.Array | None = None,
) -> jax.Array:
    """softmax(q k^T / sqrt(K) + bias) v of the tokens of each text.

    On a CPU it runs in a kernel of ours that computes neither padding nor other texts
    of a packed row, unless there is a bias, and without an (L, L) array; on a GPU with
    bfloat16 operands in cuDNN's flash kernel where that takes the shape, which is given
    the mask as one (L, L) array for all heads of a row.

    Args:
        joined_BLJ: (B, L, (H + 2 G) K), each token's queries, keys and values.
        rows: Where padding is, after the texts, and which text a token belongs to.
        heads: H.
        groups: G, a divisor of H; each group of H / G query heads shares a key.
        causal: Whether tokens see only what comes before them, and themselves.
        dtype: Operands of the products.
        bias_HLL: Added to the scores of each head, or None.

    Returns:
        (B, L, H K) float32; what stands at padding means nothing.
    """
    if bias_HLL is None and kernels.usable():
        texts_BL = jnp.where(
            rows.mask_BL, 0 if rows.segments_BL is None else rows.segments_BL, -1
        )
        return kernels.attend(joined_BLJ, texts_BL, heads, groups, causal, dtype)
    batch, length = joined_BLJ.shape[:2]
    joined_BLNK = joined_BLJ.reshape(batch, length, heads + 2 * groups, -1)
    query_BLHK, key_BLGK, value_BLGK = jnp.split(
        joined_BLNK, (heads, heads + groups), axis=2
    )
    mixed_BLHK = attend_to(
        query_BLHK,
        key_BLGK,
        value_BLGK,
        allowed_BLM=allowed_pairs(rows, causal=causal),
        dtype=dtype,
        bias_HLM=bias_HLL,
    )
    return mixed_BLHK.reshape(batch, length, -1)


def _flash_takes(width: int, queries: int, keys: int) -> bool:
    """Whether cuDNN's kernel takes such heads and lengths on every GPU that has it.

    Newer GPUs take wider heads too; what it refuses is an error and no slower path.
    """
    return width % 8 == 0 and width <= 128 and queries % 2 == 0 and keys % 2 == 0


def attend_to(
    query_BLHK: jax.Array,
    key_BMGK: jax.Array,
    value_BMGK: jax.Array,
    *,
    allowed_BLM: jax.Array,
    dtype: ComputeDtype,
    bias_HLM: jax.Array | None = None,
) -> jax.Array:
    """softmax(q k^T / sqrt(K) + bias) v, over the tokens that are allowed.

    Args:
        query_BLHK: Queries.
        key_BMGK: Keys; each group of R query heads shares one.
        value_BMGK: Values.
        allowed_BLM: (B or 1, 1 or L, M) bool; a row with nothing allowed gives a mean.
        dtype: Operands of the products.
        bias_HLM: Added to the scores of each head, or None.

    Returns:
        (B, L, H, K) float32.
    """
    batch, length, heads, width = query_BLHK.shape
    flash = _flash_takes(width, length, allowed_BLM.shape[-1])
    if flash and dtype == "bfloat16" and jax.default_backend() == "gpu":
        return jax.nn.dot_product_attention(
            query_BLHK.astype(dtype),
            key_BMGK.astype(dtype),
            value_BMGK.astype(dtype),
            bias=None if bias_HLM is None else bias_HLM[None].astype(dtype),
            mask=jnp.broadcast_to(
                allowed_BLM[:, None], (batch, 1, length, allowed_BLM.shape[-1])
            ),
            implementation="cudnn",
        ).astype(jnp.float32)
    groups = key_BMGK.shape[2]
    query_BLGRK = (query_BLHK * width**-0.5).reshape(
        batch, length, groups, heads // groups, width
    )
    scores_BGRLM = product("blgrk,bmgk->bgrlm", query_BLGRK, key_BMGK, dtype=dtype)
    if bias_HLM is not None:
        scores_BGRLM = scores_BGRLM + bias_HLM.reshape(
            1, groups, heads // groups, *bias_HLM.shape[1:]
        )
    # The lowest finite number, not -inf: rows of padding alone must not give NaN.
    scores_BGRLM = jnp.where(
        allowed_BLM[:, None, None], scores_BGRLM, jnp.finfo(jnp.float32).min
    )
    # Softmax in float32; dividing after the product saves a pass over L x M.
    largest = jax.lax.stop_gradient(scores_BGRLM.max(axis=-1, keepdims=True))
    weights_BGRLM = jnp.exp(scores_BGRLM - largest)
    mixed_BGRLK = product("bgrlm,bmgk->bgrlk", weights_BGRLM, value_BMGK, dtype=dtype)
    mixed_BGRLK = mixed_BGRLK / weights_BGRLM.sum(axis=-1, keepdims=True)
    return mixed_BGRLK.transpose(0, 3, 1, 2, 4).reshape(query_BLHK.shape)
