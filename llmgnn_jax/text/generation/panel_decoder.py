"""The decoder-LLM family with its matrices in panels: what generates on CPUs.

It computes what `cached_decoder` does. A token more of each row is one call of a
kernel of ours, which takes about as long as it takes to read the parameters once; they
are laid out for that when they are loaded, see `panel_layout`.

Shapes: B rows, L tokens of a prompt, P soft tokens, T = B (P + L) of both, S tokens of
a prefix, M places of the cache, n layers, D width, F width of the feed-forward layer, H
heads, G heads of keys and values, K width of a head, J = (H + 2 G) K, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.native.calls import call_kernel
from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders.activations import ACTIVATIONS
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.encoders.model import Params
from llmgnn_jax.text.encoders.rope import rotate, rotation
from llmgnn_jax.text.generation.cached_decoder import last_of, prompt_rows
from llmgnn_jax.text.generation.model import PrefixState, Prompt
from llmgnn_jax.text.generation.panels import columns_of, panel_product
from llmgnn_jax.text.generation.prefix_attention import (
    after_prefix,
    attend_after,
    stacked,
)
from llmgnn_jax.text.kernel_calls import float32, like
from llmgnn_jax.text.native import library

# By the numbers of native/decode_step.cc.
KERNEL_ACTIVATIONS = {"silu": 0, "gelu_pytorch_tanh": 1, "gelu_new": 1}
# Places of the cache are a multiple of this, as the gate's and the other columns are
# in turn so many of each.
LANES = 16


class PanelCache(NamedTuple):
    """As `cached_decoder.Cache`, all layers' together.

    Attributes:
        keys_nBGKM: float32, turned.
        values_nBGMK: float32.
        lengths_B: int32 tokens so far.
    """

    keys_nBGKM: jax.Array
    values_nBGMK: jax.Array
    lengths_B: jax.Array


@dataclass(frozen=True, kw_only=True)
class PanelDecoder:
    """A `PrefixModel` of the decoder-LLM family, for CPUs with our kernels.

    Attributes:
        config: Its shape.
        dtype: What matrices are kept in; all else is float32.
    """

    config: DecoderConfig
    dtype: ComputeDtype = "float32"

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
    ) -> tuple[jax.Array, PanelCache]:
        """Logits after each prompt (B, V), and the cache."""
        hidden_BMD, kept = self._hidden(params, prompt)
        length = prompt.num_before + prompt.ids_BL.shape[1]
        room = -(-(length + capacity) // LANES) * LANES - length
        keys_nBGKM = jnp.stack([key.transpose(0, 2, 3, 1) for key, _ in kept])
        values_nBGMK = jnp.stack([value.swapaxes(1, 2) for _, value in kept])
        none, more = (0, 0), (0, room)
        cache = PanelCache(
            keys_nBGKM=jnp.pad(keys_nBGKM, (none, none, none, none, more)),
            values_nBGMK=jnp.pad(values_nBGMK, (none, none, none, more, none)),
            lengths_B=prompt.num_before + prompt.lengths_B,
        )
        return self._logits(params, last_of(hidden_BMD, prompt)[:, 0]), cache

    def read_prefix(self, params: Params, ids_BS: jax.Array) -> PrefixState:
        """Keys and values of what stands before prompts, float32."""
        _, kept = self._hidden(params, Prompt.whole(ids_BS))
        return stacked(kept, dtype="float32")

    def step(
        self, params: Params, state: PanelCache, ids_B: jax.Array
    ) -> tuple[jax.Array, PanelCache]:
        """Logits after one token more (B, V), and the cache with it."""
        library.require()
        config, layers = self.config, params["layers"]
        cosine, sine = rotation(
            state.lengths_B[:, None], config.rope, head_dim=config.head_dim
        )
        parts = ("joined", "output", "gated", "down")
        arguments = (
            self._embed(params, ids_B),
            state.lengths_B,
            *(cosine[:, 0, 0], sine[:, 0, 0]),
            *(state.keys_nBGKM, state.values_nBGMK),
            *(layers["norms"], layers["head_norms"], params["norm"]),
            *(layers[part][name] for part in parts for name in ("panels", "bias")),
            params["head"],
        )
        logits_BV, keys_nBGKM, values_nBGMK = call_kernel(
            "llmgnn_decode_step",
            (
                float32((len(ids_B), config.vocab_size)),
                like(state.keys_nBGKM),
                like(state.values_nBGMK),
            ),
            *arguments,
            in_place={4: 1, 5: 2},
            heads=np.int64(config.num_attention_heads),
            groups=np.int64(config.num_key_value_heads),
            activation=np.int64(KERNEL_ACTIVATIONS[config.hidden_act]),
            epsilon=np.float32(config.rms_norm_eps),
        )
        return logits_BV, PanelCache(keys_nBGKM, values_nBGMK, state.lengths_B + 1)

    def all_logits(self, params: Params, prompt: Prompt) -> jax.Array:
        """Logits after each token of the prompts: (B, L, V)."""
        hidden_BMD, _ = self._hidden(params, prompt)
        batch, length = prompt.ids_BL.shape
        hidden_BLD = hidden_BMD[:, hidden_BMD.shape[1] - length :]
        hidden_TD = hidden_BLD.reshape(batch * length, -1)
        return self._logits(params, hidden_TD).reshape(batch, length, -1)

    def _hidden(
        self, params: Params, prompt: Prompt
    ) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
        """(B, P + L, D) after the last norm, and each layer's keys and values.

        Those of the prefix among them, where there is one: (B, P + L or S + L, G, K).
        """
        config, layers, rows = self.config, params["layers"], prompt_rows(prompt)
        x_BMD = self._embed(params, prompt.ids_BL)
        if prompt.prefix_BPD is not None:
            x_BMD = jnp.concatenate([prompt.prefix_BPD, x_BMD], axis=1)
        turn = rotation(rows.places_BL, config.rope, head_dim=config.head_dim)
        texts_BM = jnp.where(rows.mask_BL, 0, -1)
        batch, length, width = x_BMD.shape
        x_TD, kept = x_BMD.reshape(batch * length, width), []
        for number in range(config.num_hidden_layers):
            norms_2D = layers["norms"][number]

            def part(name: str, x: jax.Array, number: int = number) -> jax.Array:
                of = layers[name]
                return panel_product(x, of["panels"], of["bias"], number)

            joined_TJ = part("joined", self._normed(x_TD, norms_2D[0]))
            joined_BMJ = joined_TJ.reshape(batch, length, -1)
            query, key, value = self._turned(
                joined_BMJ, turn, layers["head_norms"], number
            )
            if prompt.after is None:
                together = jnp.concatenate([query, key, value], axis=2)
                mixed_BMF = kernels.attend(
                    together.reshape(joined_BMJ.shape),
                    texts_BM,
                    config.num_attention_heads,
                    config.num_key_value_heads,
                    True,
                    self.dtype,
                )
            else:
                key, value = after_prefix(prompt.after, number, key, value)
                mixed_BMF = attend_after(query, key, value, dtype=self.dtype)
            kept.append((key, value))
            x_TD = x_TD + part("output", mixed_BMF.reshape(batch * length, -1))
            gated = part("gated", self._normed(x_TD, norms_2D[1]))
            pairs = gated.reshape(batch * length, -1, 2, LANES)
            act: Callable[[jax.Array], jax.Array] = ACTIVATIONS[config.hidden_act]
            inner = act(pairs[:, :, 0]) * pairs[:, :, 1]
            x_TD = x_TD + part("down", inner.reshape(batch * length, -1))
        hidden_TD = self._normed(x_TD, params["norm"])
        return hidden_TD.reshape(batch, length, width), kept

    def _turned(
        self,
        joined_BMJ: jax.Array,
        turn: tuple[jax.Array, jax.Array],
        norms: jax.Array,
        number: int,
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Queries (B, P + L, H, K), keys and values (B, P + L, G, K), turned."""
        config = self.config
        heads, groups = config.num_attention_heads, config.num_key_value_heads
        joined_BMNK = joined_BMJ.reshape(
            *joined_BMJ.shape[:2], heads + 2 * groups, config.head_dim
        )
        query, key, value = jnp.split(joined_BMNK, (heads, heads + groups), axis=2)
        if config.head_norms:
            query = self._normed(query, norms[number, 0])
            key = self._normed(key, norms[number, 1])
        return rotate(query, turn), rotate(key, turn), value

    def _normed(self, x: jax.Array, scale: jax.Array) -> jax.Array:
        mean = jnp.square(x).mean(axis=-1, keepdims=True)
        shaped = scale.reshape((1,) * (x.ndim - 1) + scale.shape)
        return x * jax.lax.rsqrt(mean + self.config.rms_norm_eps) * shaped

    def _embed(self, params: Params, ids: jax.Array) -> jax.Array:
        if "words" in params:
            words = params["words"][ids].astype(jnp.float32)
        else:
            words = columns_of(params["head"], ids)
        return words * self.config.embedding_scale

    def _logits(self, params: Params, hidden_TD: jax.Array) -> jax.Array:
        no_bias = jnp.zeros((1, self.vocab_size), jnp.float32)
        return panel_product(hidden_TD, params["head"][None], no_bias, 0)
