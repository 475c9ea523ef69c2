"""BERT on texts that lie one after another, as ModernBERT runs: nothing pads a product.

Only attention is given rows of texts, padded to the longest. The layers are those of
transformers' model, adapters included.

Shapes: T tokens of all texts, B texts, L tokens of the longest, D width, H heads,
K width of a head.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.torch_baseline.device import tensor


class Tokens(NamedTuple):
    """Texts one after another, and where attention has their tokens.

    Attributes:
        ids_1T: (1, T) int64.
        positions_1T: (1, T) int64, within each text.
        texts_T: (T,) int64, which text.
        places_T: (T,) int64 of B L.
        bias_B11L: (B, 1, 1, L) float32: -inf at padding.
        counts_B1: (B, 1) float32, tokens of each text.
    """

    ids_1T: torch.Tensor
    positions_1T: torch.Tensor
    texts_T: torch.Tensor
    places_T: torch.Tensor
    bias_B11L: torch.Tensor
    counts_B1: torch.Tensor


def tokens_of(lists: Sequence[np.ndarray]) -> Tokens:
    """Texts on the device."""
    counts = np.array([len(ids) for ids in lists])
    longest = int(counts.max())
    texts = np.repeat(np.arange(len(lists)), counts)
    positions = np.concatenate([np.arange(count) for count in counts])
    padding = np.arange(longest)[None, :] >= counts[:, None]
    bias = np.where(padding, -np.inf, 0.0)[:, None, None, :]
    return Tokens(
        ids_1T=tensor(np.concatenate(lists), torch.int64)[None],
        positions_1T=tensor(positions, torch.int64)[None],
        texts_T=tensor(texts, torch.int64),
        places_T=tensor(texts * longest + positions, torch.int64),
        bias_B11L=tensor(bias, torch.float32),
        counts_B1=tensor(counts[:, None], torch.float32),
    )


def means_of(
    model: torch.nn.Module, tokens: Tokens, *, attention: Literal["sdpa", "eager"]
) -> torch.Tensor:
    """(B, D) float32 means over each text's tokens."""
    x_TD = model.embeddings(
        input_ids=tokens.ids_1T, position_ids=tokens.positions_1T
    ).squeeze(0)
    for layer in model.encoder.layer:
        of = layer.attention.self
        joined = torch.cat([of.query(x_TD), of.key(x_TD), of.value(x_TD)], dim=1)
        mixed_TD = _attend(joined, tokens, of.num_attention_heads, attention)
        x_TD = layer.attention.output(mixed_TD, x_TD)
        x_TD = layer.output(layer.intermediate(x_TD), x_TD)
    x_TD = x_TD.float()
    sums_BD = x_TD.new_zeros(len(tokens.counts_B1), x_TD.shape[1])
    return sums_BD.index_add(0, tokens.texts_T, x_TD) / tokens.counts_B1


def _attend(
    joined_TJ: torch.Tensor, tokens: Tokens, heads: int, attention: str
) -> torch.Tensor:
    """(T, D) of (T, 3 D) queries, keys and values."""
    rows, longest = len(tokens.bias_B11L), tokens.bias_B11L.shape[-1]
    padded = joined_TJ.new_zeros(rows * longest, joined_TJ.shape[1])
    padded = padded.index_copy(0, tokens.places_T, joined_TJ)
    query_BHLK, key_BHLK, value_BHLK = padded.view(rows, longest, 3, heads, -1).permute(
        2, 0, 3, 1, 4
    )
    bias = tokens.bias_B11L.to(joined_TJ.dtype)
    if attention == "sdpa":
        mixed_BHLK = F.scaled_dot_product_attention(
            query_BHLK, key_BHLK, value_BHLK, attn_mask=bias
        )
    else:
        scores_BHLL = query_BHLK @ key_BHLK.mT * query_BHLK.shape[-1] ** -0.5
        mixed_BHLK = (scores_BHLL + bias).softmax(-1) @ value_BHLK
    mixed = mixed_BHLK.transpose(1, 2).reshape(rows * longest, -1)
    return mixed.index_select(0, tokens.places_T)
