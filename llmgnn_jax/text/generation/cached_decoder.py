"""The decoder-LLM family with a cache of keys and values, on every device.

Its parameters are those of `encoders.decoder`. On CPUs with our kernels the same is
computed faster from parameters laid out for it, see `panel_decoder`.

Shapes: B rows, L tokens of a prompt, P soft tokens, S tokens of a prefix, M places of
the cache, D width, n layers, H heads, G heads of keys and values, K width of a head, V
vocabulary.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders.attention import attend_to
from llmgnn_jax.text.encoders.decoder import Decoder
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.encoders.model import EncoderModel, Params
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.generation.model import PrefixState, Prompt
from llmgnn_jax.text.generation.prefix_attention import (
    after_prefix,
    attend_after,
    stacked,
)


class Cache(NamedTuple):
    """What each layer keeps of the tokens so far.

    Padding comes after a row's tokens, and the tokens that follow take its places: a
    row's keys are in its first `lengths_B` places, in their order.

    Attributes:
        keys: Of each layer (B, M, G, K), turned.
        values: Likewise.
        lengths_B: int32 tokens so far, soft ones among them.
    """

    keys: tuple[jax.Array, ...]
    values: tuple[jax.Array, ...]
    lengths_B: jax.Array


@dataclass(frozen=True, kw_only=True)
class CachedDecoder:
    """A `PrefixModel` of the decoder-LLM family.

    Attributes:
        graphdef: Of a `Decoder` with a head.
        config: Its shape.
        dtype: Operands of the products, as it was declared.
    """

    graphdef: nnx.GraphDef[Any]
    config: DecoderConfig
    dtype: ComputeDtype = "float32"

    @classmethod
    def of(cls, model: EncoderModel, *, dtype: ComputeDtype) -> "CachedDecoder":
        """The one that `model.params` are the parameters of."""
        assert isinstance(model.config, DecoderConfig)
        return cls(graphdef=model.graphdef, config=model.config, dtype=dtype)

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.config.vocab_size

    @property
    def max_tokens(self) -> int:
        """Most tokens of a row."""
        return self.config.max_position_embeddings

    def prefill(
        self, params: Params, prompt: Prompt, *, capacity: int
    ) -> tuple[jax.Array, Cache]:
        """Logits after each prompt (B, V), and the cache."""
        decoder = nnx.merge(self.graphdef, params)
        hidden_BMD, kept = _hidden(decoder, prompt)
        last_B1D = last_of(hidden_BMD, prompt)
        room = ((0, 0), (0, capacity), (0, 0), (0, 0))
        cache = Cache(
            keys=tuple(self._kept(key, room) for key, _ in kept),
            values=tuple(self._kept(value, room) for _, value in kept),
            lengths_B=prompt.num_before + prompt.lengths_B,
        )
        return decoder.logits(last_B1D)[:, 0], cache

    def read_prefix(self, params: Params, ids_BS: jax.Array) -> PrefixState:
        """Keys and values of what stands before prompts, in `dtype`."""
        _, kept = _hidden(nnx.merge(self.graphdef, params), Prompt.whole(ids_BS))
        return stacked(kept, dtype=self.dtype)

    def step(
        self, params: Params, state: Cache, ids_B: jax.Array
    ) -> tuple[jax.Array, Cache]:
        """Logits after one token more (B, V), and the cache with it."""
        # Of few rows XLA's products are the faster ones: ours lay matrices out anew.
        with kernels.left_out():
            return self._step(params, state, ids_B)

    def all_logits(self, params: Params, prompt: Prompt) -> jax.Array:
        """Logits after each token of the prompts: (B, L, V)."""
        decoder = nnx.merge(self.graphdef, params)
        hidden_BMD, _ = _hidden(decoder, prompt)
        return decoder.logits(hidden_BMD[:, -prompt.ids_BL.shape[1] :])

    def _step(
        self, params: Params, state: Cache, ids_B: jax.Array
    ) -> tuple[jax.Array, Cache]:
        decoder = nnx.merge(self.graphdef, params)
        places_B1 = state.lengths_B[:, None]
        turn = decoder.turn(places_B1)
        rows_B, length = jnp.arange(len(ids_B)), state.keys[0].shape[1]
        seen_B1M = (jnp.arange(length)[None, :] <= places_B1)[:, None]
        x_B1D = decoder.embed(ids_B[:, None])
        keys, values = [], []
        for layer, key_BMGK, value_BMGK in zip(
            decoder.layers, state.keys, state.values, strict=True
        ):
            query_B1HK, key_B1GK, value_B1GK = _split(layer, layer.joined(x_B1D, turn))
            written = []
            for cached_BMGK, new_B1GK in (
                (key_BMGK, key_B1GK),
                (value_BMGK, value_B1GK),
            ):
                new_BGK = new_B1GK[:, 0].astype(cached_BMGK.dtype)
                place = cached_BMGK.at[rows_B, state.lengths_B]
                written.append(place.set(new_BGK, mode="drop"))
            mixed_B1HK = attend_to(
                query_B1HK, *written, allowed_BLM=seen_B1M, dtype=self.dtype
            )
            x_B1D = layer.after(x_B1D, mixed_B1HK.reshape(*mixed_B1HK.shape[:2], -1))
            keys.append(written[0])
            values.append(written[1])
        cache = Cache(tuple(keys), tuple(values), state.lengths_B + 1)
        return decoder.logits(decoder.norm(x_B1D))[:, 0], cache

    def _kept(self, x_BLGK: jax.Array, room: tuple[tuple[int, int], ...]) -> jax.Array:
        return jnp.pad(x_BLGK.astype(self.dtype), room)


def _hidden(
    decoder: Decoder, prompt: Prompt
) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
    """(B, P + L, D) after the last norm, and each layer's keys and values.

    Those of the prefix among them, where there is one: (B, P + L or S + L, G, K).
    """
    rows, after = prompt_rows(prompt), prompt.after
    x_BMD = decoder.embed(prompt.ids_BL)
    if prompt.prefix_BPD is not None:
        x_BMD = jnp.concatenate([prompt.prefix_BPD, x_BMD], axis=1)
    turn, kept = decoder.turn(rows.places_BL), []
    for number, layer in enumerate(decoder.layers):
        joined_BMJ = layer.joined(x_BMD, turn)
        query, key, value = _split(layer, joined_BMJ)
        if after is None:
            mixed_BMF = layer.attention.mixed(joined_BMJ, rows)
        else:
            key, value = after_prefix(after, number, key, value)
            mixed_BMF = attend_after(query, key, value, dtype=decoder.dtype)
        kept.append((key, value))
        x_BMD = layer.after(x_BMD, mixed_BMF)
    return decoder.norm(x_BMD), kept


def last_of(hidden_BMD: jax.Array, prompt: Prompt) -> jax.Array:
    """(B, 1, D): of (B, P + L, D), that of each row's last token."""
    soft = hidden_BMD.shape[1] - prompt.ids_BL.shape[1]
    places_B11 = (soft + prompt.lengths_B - 1)[:, None, None]
    return jnp.take_along_axis(hidden_BMD, places_B11, axis=1)


def prompt_rows(prompt: Prompt) -> TokenRows:
    """Which places hold tokens, (B, P + L); ids of soft ones are 0.

    Behind a prefix that was read before, places count from its end on.
    """
    soft = 0 if prompt.prefix_BPD is None else prompt.prefix_BPD.shape[1]
    ids_BM = jnp.pad(prompt.ids_BL, ((0, 0), (soft, 0)))
    places_M = jnp.arange(ids_BM.shape[1], dtype=jnp.int32)
    before = 0 if prompt.after is None else prompt.after.num_tokens
    return TokenRows(
        ids_BL=ids_BM,
        mask_BL=places_M[None, :] < soft + prompt.lengths_B[:, None],
        positions_BL=(before + places_M)[None, :],
    )


def _split(layer: Any, joined_BLJ: jax.Array) -> tuple[jax.Array, ...]:
    """Queries (B, L, H, K), keys and values (B, L, G, K)."""
    attention = layer.attention
    heads, groups = attention.num_heads, attention.num_groups
    joined_BLNK = joined_BLJ.reshape(
        *joined_BLJ.shape[:2], heads + 2 * groups, attention.head_dim
    )
    return tuple(jnp.split(joined_BLNK, (heads, heads + groups), axis=2))
