"""From the vectors of a text's tokens to the text's vector, learned or not.

    dense           pool(h_1 ... h_L), see `pooling`; "attention" has a learned query
    convolutional   max_t max(0, conv(h)_t), its filters are learned

These are the heads of `heads` without their last product, which is the model's own
projection of text vectors. What is learned stands beside the encoder's parameters,
under the name `READOUT`, and is trained, kept and saved with them.

    readout = Readout(pooling="attention", inputs=384)
    params = {**encoder.params, **readout.initial(seed=0)}
    vectors_BT = read_rows(encoder.graphdef, readout, params, rows)

Shapes: B rows, L tokens, D width of a token's vector, S texts of packed rows, T width
of a text's vector.
"""

import dataclasses
import functools
from typing import Any, get_args

import jax
from flax import nnx

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.cnn import Convolutions
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.encoders.model import Params, apply
from llmgnn_jax.text.encoders.pieces import whole
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.heads import Head, HeadConfig, first_weights
from llmgnn_jax.text.packed_pooling import (
    attend_packed,
    largest_packed,
    pool_packed,
)
from llmgnn_jax.text.pooling import (
    TEXT_POOLINGS,
    AttentionPooling,
    TextPooling,
    l2_normalise,
    largest,
    pool,
)

READOUT = "readout"
"""What the learned parameters are under, among those of an encoder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Readout:
    """How a text's vector is read off its tokens' vectors: hashable, no parameters.

    Attributes:
        head: "dense" or "convolutional".
        pooling: Of the dense one: "mean", "cls", "last" or "attention".
        inputs: D.
        dtype: Operands of the convolutional one's products.

    Raises:
        UserError: If a name is unknown.
    """

    head: Head = "dense"
    pooling: TextPooling = "mean"
    inputs: int
    dtype: ComputeDtype = "float32"

    def __post_init__(self) -> None:
        check_readout(head=self.head, pooling=self.pooling)

    @property
    def learned(self) -> bool:
        """Whether it has parameters."""
        return is_learned(head=self.head, pooling=self.pooling)

    @property
    def out_features(self) -> int:
        """T."""
        if self.head == "dense":
            return self.inputs
        shape = _convolutional(self)
        return shape.filters * len(shape.widths)

    def declared(self) -> Params:
        """Shapes of its parameters, under `READOUT`; {} where nothing is learned."""
        return {READOUT: _split(self)[1]} if self.learned else {}

    def initial(self, *, seed: int) -> Params:
        """First values of its parameters: a query of 0, which is the mean; random
        filters, as `heads` has them."""
        return first_weights(self.declared(), seed=seed)

    def of_rows(
        self, params: Params, hidden_BLD: jax.Array, mask_BL: jax.Array
    ) -> jax.Array:
        """(B, T) float32 of rows of one text each; 0 for a row without tokens.

        Args:
            params: With those of the readout, if it has any.
            hidden_BLD: (B, L, D) float32 token vectors.
            mask_BL: (B, L) bool, False at padding.
        """
        if self.head == "convolutional":
            found_BLF = self._module(params)(hidden_BLD, mask_BL)
            return largest(found_BLF, mask_BL)
        if self.pooling == "attention":
            return self._module(params)(hidden_BLD, mask_BL)
        return pool(hidden_BLD, mask_BL, pooling=self.pooling)

    def of_packed(
        self,
        params: Params,
        hidden_BLD: jax.Array,
        rows: TokenRows,
        starts_S: jax.Array,
        counts_S: jax.Array,
    ) -> jax.Array:
        """(S, T) float32, the same of rows of several texts.

        Args:
            params: As in `of_rows`.
            hidden_BLD: (B, L, D) float32 token vectors.
            rows: What the encoder read.
            starts_S: (S,) int32, where each text begins among the B L places.
            counts_S: (S,) int32, its tokens; 0 for none.
        """
        if self.head == "convolutional":
            found_BLF = self._module(params)(hidden_BLD, rows.mask_BL, rows.segments_BL)
            return largest_packed(found_BLF, starts_S, counts_S)
        if self.pooling == "attention":
            query_D = params[READOUT]["query"]
            return attend_packed(hidden_BLD, starts_S, counts_S, query_D=query_D)
        return pool_packed(hidden_BLD, starts_S, counts_S, pooling=self.pooling)

    def _module(self, params: Params) -> Any:
        learned = {READOUT: params[READOUT]}
        return nnx.merge(_split(self)[0], whole(learned)[READOUT])


def is_learned(*, head: Head, pooling: TextPooling) -> bool:
    """Whether such a readout has parameters."""
    return head == "convolutional" or pooling == "attention"


def check_readout(*, head: object, pooling: object) -> None:
    """Checks the names.

    Raises:
        UserError: If one is unknown.
    """
    known = (("head", head, get_args(Head)), ("pooling", pooling, TEXT_POOLINGS))
    for name, value, choices in known:
        if value not in choices:
            raise UserError.field(
                name, expected=f"one of {', '.join(choices)}", got=repr(value)
            )


def without_readout(params: Params) -> Params:
    """The encoder's own parameters."""
    return {name: value for name, value in params.items() if name != READOUT}


def read_rows(
    graphdef: nnx.GraphDef[Any], readout: Readout, params: Params, rows: TokenRows
) -> jax.Array:
    """(B, T) float32 vectors of unit length, of rows of one text each."""
    hidden_BLD = apply(graphdef, without_readout(params), rows)
    return l2_normalise(readout.of_rows(params, hidden_BLD, rows.mask_BL))


def read_packed(
    graphdef: nnx.GraphDef[Any],
    readout: Readout,
    params: Params,
    rows: TokenRows,
    starts_S: jax.Array,
    counts_S: jax.Array,
) -> jax.Array:
    """(S, T) float32 vectors of unit length, of rows of several texts."""
    hidden_BLD = apply(graphdef, without_readout(params), rows)
    return l2_normalise(readout.of_packed(params, hidden_BLD, rows, starts_S, counts_S))


def _convolutional(readout: Readout) -> HeadConfig:
    return HeadConfig(
        kind="convolutional", inputs=readout.inputs, outputs=readout.inputs
    )


@functools.cache
def _split(readout: Readout) -> tuple[nnx.GraphDef[Any], Params]:
    """What is learned, as a module without memory: its static half, and shapes."""

    def module() -> nnx.Module:
        if readout.head == "dense":
            return AttentionPooling(readout.inputs)
        shape = _convolutional(readout)
        return Convolutions(
            readout.inputs,
            filters=shape.filters,
            widths=shape.widths,
            dtype=readout.dtype,
        )

    graphdef, state, *rest = nnx.split(nnx.eval_shape(module), nnx.Param, ...)
    assert not jax.tree.leaves(rest), "modules hold parameters alone"
    return graphdef, nnx.to_pure_dict(state)
