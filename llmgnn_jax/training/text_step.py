"""The text encoder inside a training step: some of its items, encoded anew.

Shapes: B rows, I item slots, P texts encoded in a step, L tokens of the longest text,
C places for the tokens of all P texts, T width of a text vector.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from llmgnn_jax.graph.placement import OneDevice, Placement
from llmgnn_jax.text.encoders.model import Params
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.readout import Readout, read_packed, read_rows
from llmgnn_jax.text.trainable import combine
from llmgnn_jax.training.draws import row_keys


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["frozen", "ids_IL", "counts_I"],
    meta_fields=[],
)
@dataclass(frozen=True, kw_only=True)
class EncoderInputs:
    """What the encoder reads in a step, on the device.

    Attributes:
        frozen: Parameters that are not trained.
        ids_IL: (I, L) int32 token ids of each item's text, filled up at the right.
        counts_I: (I,) int32, how many they are; 0 for an item without a text.
    """

    frozen: Params
    ids_IL: jax.Array
    counts_I: jax.Array


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """How the encoder runs in a step: hashable, fixed for a run.

    Attributes:
        graphdef: The encoder, adapters included.
        readout: How token vectors become one.
        texts: P, most texts of a step.
        places: C; 0: each text has a row of its own.
    """

    graphdef: nnx.GraphDef[Any]
    readout: Readout
    texts: int
    places: int

    @property
    def packs(self) -> bool:
        """Whether texts lie one after another in one row."""
        return self.places > 0


@dataclass(frozen=True, kw_only=True, eq=False)
class FreshTexts:
    """Texts that were encoded in this step.

    Attributes:
        items_P: (P,) int32 item slots.
        vectors_PT: (P, T) float32 of unit length.
        known_P: (P,) bool; where False nothing was encoded.
    """

    items_P: jax.Array
    vectors_PT: jax.Array
    known_P: jax.Array

    def put_into(self, stored_IT: jax.Array) -> jax.Array:
        """(I, T): the stored vectors, with the fresh ones in their places."""
        # What is not known goes beyond the last slot, and so nowhere.
        slots_P = jnp.where(self.known_P, self.items_P, len(stored_IT))
        return stored_IT.at[slots_P].set(self.vectors_PT, mode="drop")

    def instead_of(self, stored_RT: jax.Array, items_R: jax.Array) -> jax.Array:
        """(R, T): the stored vectors of some items, fresh ones instead where there are
        any."""
        # What is not known is no item's, and comes last.
        keys_P = jnp.where(self.known_P, self.items_P, jnp.iinfo(jnp.int32).max)
        order_P = jnp.argsort(keys_P)
        places_R = jnp.searchsorted(keys_P[order_P], items_R)
        found_R = order_P[jnp.minimum(places_R, len(keys_P) - 1)]
        fresh_R = keys_P[found_R] == items_R
        return jnp.where(fresh_R[:, None], self.vectors_PT[found_R], stored_RT)


def encode_some(
    spec: EncoderSpec,
    trained: Params,
    inputs: EncoderInputs,
    *,
    items_R: jax.Array,
    key: jax.Array,
    placement: Placement | None = None,
) -> FreshTexts:
    """Encodes the distinct items of a batch: P at most, drawn if there are more.

    Where several programs compute a batch, each encodes its share of all of its items.

    Args:
        spec: How.
        trained: The encoder's parameters that are trained.
        inputs: The others, and the tokens.
        items_R: (R,) int32 item slots that the batch names.
        key: Of the draw, which goes by item.
        placement: Where rows lie; by default all on one device.
    """
    placement = placement or OneDevice(backend="segment")  # No edge is summed here.
    num_items = len(inputs.counts_I)
    items_R = placement.everyones(items_R)
    distinct_R = jnp.unique(items_R, size=len(items_R), fill_value=num_items)
    there_R = distinct_R < num_items
    last_R = jnp.minimum(distinct_R, num_items - 1)
    there_R &= placement.take(inputs.counts_I, last_R) > 0
    bits_R = jax.vmap(lambda one: jax.random.bits(one, (), jnp.uint32))(
        row_keys(key, distinct_R)
    )
    # Their order is a shuffle; those that are none come last.
    order_R = jnp.lexsort((bits_R, ~there_R))[: spec.texts]
    items_P = jnp.minimum(distinct_R[order_R], num_items - 1)
    known_P = there_R[order_R]
    # As many for each program: none fill up.
    short = -len(items_P) % placement.programs
    items_P, known_P = (jnp.pad(array, (0, short)) for array in (items_P, known_P))
    own_P = placement.row_numbers(len(items_P))
    items_P, known_P = items_P[own_P], known_P[own_P]
    counts_P = jnp.where(known_P, placement.take(inputs.counts_I, items_P), 0)
    params = combine(trained, inputs.frozen)
    if spec.packs:
        known_P &= jnp.cumsum(counts_P) <= spec.places
        counts_P = jnp.where(known_P, counts_P, 0)
        starts_P = jnp.cumsum(counts_P) - counts_P
        rows = _packed_row(inputs, items_P, starts_P, counts_P, places=spec.places)
        vectors_PT = read_packed(
            spec.graphdef, spec.readout, params, rows, starts_P, counts_P
        )
    else:
        rows = _rows(placement.take(inputs.ids_IL, items_P), counts_P)
        vectors_PT = read_rows(spec.graphdef, spec.readout, params, rows)
    return FreshTexts(
        items_P=placement.everyones(items_P),
        vectors_PT=placement.everyones(vectors_PT),
        known_P=placement.everyones(known_P),
    )


def _rows(ids_PL: jax.Array, counts_P: jax.Array) -> TokenRows:
    places_1L = jnp.arange(ids_PL.shape[1])[None, :]
    return TokenRows(ids_BL=ids_PL, mask_BL=places_1L < counts_P[:, None])


def _packed_row(
    inputs: EncoderInputs,
    items_P: jax.Array,
    starts_P: jax.Array,
    counts_P: jax.Array,
    *,
    places: int,
) -> TokenRows:
    """One row of C places in which the texts follow one another."""
    ends_P = starts_P + counts_P
    place_C = jnp.arange(places, dtype=jnp.int32)
    text_C = jnp.searchsorted(ends_P, place_C, side="right")
    slot_C = jnp.minimum(text_C, len(ends_P) - 1).astype(jnp.int32)
    inside_C = jnp.clip(place_C - starts_P[slot_C], 0, inputs.ids_IL.shape[1] - 1)
    return TokenRows(
        ids_BL=inputs.ids_IL[items_P[slot_C], inside_C][None],
        mask_BL=(place_C < ends_P[-1])[None],
        segments_BL=slot_C[None],
        positions_BL=inside_C[None],
    )
