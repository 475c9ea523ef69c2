"""CNN: convolutions of several widths over word vectors.

    y_t = max(0, b + sum_j x_(t + j - (W - 1) // 2) K_j),   j from 0 to W - 1

Kim 2014, https://arxiv.org/abs/1408.5882, with one vector a token; the maximum over
time that he takes of them belongs to the head (`llmgnn_jax.text.heads`).

Shapes: B rows, L tokens, D width, F filters, W width of a kernel, S values
of a span of tokens.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.layers import ComputeDtype, product
from llmgnn_jax.text.encoders.pieces import look_up
from llmgnn_jax.text.encoders.remat import Remat
from llmgnn_jax.text.encoders.rows import TokenRows
from llmgnn_jax.text.encoders.word_vectors import WordTableConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class CNNConfig(WordTableConfig):
    """The shape of a `CNN`, see `WordTableConfig`.

    Attributes:
        filters: F, filters of each width.
        widths: How many tokens the filters see.

    Raises:
        UserError: If a size is out of range or there are no widths.
    """

    FAMILY = "cnn"

    filters: int = 100
    widths: tuple[int, ...] = (3, 4, 5)
    family: Literal["cnn"] = "cnn"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths(self.widths)
        # JSON has lists; a shape is hashed.
        object.__setattr__(self, "widths", tuple(self.widths))

    @property
    def out_features(self) -> int:
        """Width of the token vectors: F of each width."""
        return self.filters * len(self.widths)


class Convolution(nnx.Module):
    """Filters of one width."""

    def __init__(self, inputs: int, filters: int, *, width: int) -> None:
        self.kernel = nnx.Param(jnp.zeros((width, inputs, filters)))
        self.bias = nnx.Param(jnp.zeros(filters))


class Convolutions(nnx.Module):
    """Filters of several widths side by side, with ReLU.

    Args:
        inputs: D.
        filters: F of each width.
        widths: Widths.
        dtype: Operands of the products.
    """

    def __init__(
        self,
        inputs: int,
        *,
        filters: int,
        widths: tuple[int, ...],
        dtype: ComputeDtype,
    ) -> None:
        self.widths = widths
        self.dtype = dtype
        for number, width in enumerate(widths):
            convolution = Convolution(inputs, filters, width=width)
            setattr(self, f"convolution_{number}", convolution)

    def __call__(
        self,
        x_BLD: jax.Array,
        mask_BL: jax.Array,
        segments_BL: jax.Array | None = None,
    ) -> jax.Array:
        """(B, L, F of each width) float32, see `convolve`."""
        parts = [getattr(self, f"convolution_{n}") for n in range(len(self.widths))]
        outputs = convolve(
            x_BLD,
            [part.kernel[...] for part in parts],
            mask_BL=mask_BL,
            segments_BL=segments_BL,
            dtype=self.dtype,
        )
        biased = [
            output_BLF + part.bias[...][None, None, :]
            for part, output_BLF in zip(parts, outputs, strict=True)
        ]
        return jax.nn.relu(jnp.concatenate(biased, axis=-1))


class CNN(nnx.Module):
    """Token ids to what filters find around each token.

    Args:
        config: The shape.
        dtype: Operands of the matrix products.
        scan: There is one layer: without effect, as is the next one.
        remat: Likewise.
    """

    def __init__(
        self,
        config: CNNConfig,
        *,
        dtype: ComputeDtype = "float32",
        scan: bool = False,
        remat: Remat = "none",
    ) -> None:
        self.words = nnx.Param(jnp.zeros((config.vocab_size, config.dim)))
        self.convolutions = Convolutions(
            config.dim, filters=config.filters, widths=config.widths, dtype=dtype
        )

    def __call__(self, rows: TokenRows) -> jax.Array:
        """Encodes rows of tokens.

        Returns:
            (B, L, F of each width) float32; what stands at padding means nothing. A
            filter sees 0 at padding, beyond the row and at other texts of it.
        """
        x_BLD = look_up(self.words[...], rows.ids_BL)
        return self.convolutions(x_BLD, rows.mask_BL, rows.segments_BL)


def convolve(
    x_BLD: jax.Array,
    kernels: Sequence[jax.Array],
    *,
    mask_BL: jax.Array,
    segments_BL: jax.Array | None = None,
    dtype: ComputeDtype,
) -> list[jax.Array]:
    """1-D convolutions (as networks have them: correlations) of the same length.

    One product for all kernels, each filled up with 0 to the span of them all, over
    rows in which each token stands beside its neighbours. That is a quarter more to
    multiply than needed for widths 3, 4 and 5, and on a CPU still faster, backwards
    above all, than a product for each kernel; and packed rows need no other path.

    Args:
        x_BLD: (B, L, D) float32.
        kernels: (W, D, F) each; of an even width the place in the middle is the left
            one of two, as PyTorch's padding "same" has it.
        mask_BL: bool; what stands where it is False counts as 0.
        segments_BL: int32, see `TokenRows`: tokens of another segment count as 0.
        dtype: Operands of the products.

    Returns:
        (B, L, F) float32 of each kernel.
    """
    x_BLD = jnp.where(mask_BL[:, :, None], x_BLD, 0.0)
    dim = x_BLD.shape[-1]
    left = max((len(kernel) - 1) // 2 for kernel in kernels)
    right = max(len(kernel) // 2 for kernel in kernels)
    beside = []
    for by in range(-left, right + 1):
        part_BLD = _shifted(x_BLD, by)
        if segments_BL is not None and by:
            same_BL = segments_BL == _shifted(segments_BL, by)
            part_BLD = jnp.where(same_BL[:, :, None], part_BLD, 0.0)
        beside.append(part_BLD)
    filled = []
    for kernel in kernels:
        before = left - (len(kernel) - 1) // 2
        after = right - len(kernel) // 2
        spanned = jnp.pad(kernel, ((before, after), (0, 0), (0, 0)))
        filled.append(spanned.reshape((left + right + 1) * dim, -1))
    y_BLF = product(
        "bls,sf->blf",
        jnp.concatenate(beside, axis=-1),
        jnp.concatenate(filled, axis=1),
        dtype=dtype,
    )
    ends = np.cumsum([kernel.shape[-1] for kernel in kernels])
    return jnp.split(y_BLF, ends[:-1], axis=-1)


def check_widths(widths: Sequence[int]) -> None:
    """Checks the widths of filters.

    Raises:
        UserError: If there are none or one is no whole number from 1.
    """
    numbers = list(widths) if isinstance(widths, Sequence) else []
    if not numbers or any(type(width) is not int or width < 1 for width in numbers):
        raise UserError.field(
            "widths", expected="one or more whole numbers from 1", got=repr(widths)
        )


def initial_cnn(
    name: str, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    """PyTorch's: kernels uniform in +- 1 / sqrt(W D), biases 0, words normal."""
    if name == "words":
        return rng.standard_normal(shape, np.float32)
    if name == "bias":
        return np.zeros(shape, np.float32)
    bound = (shape[0] * shape[1]) ** -0.5
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def _shifted(values: jax.Array, by: int) -> jax.Array:
    """values[:, t + by] at t, and 0 where there is none."""
    length = values.shape[1]
    if abs(by) >= length:
        return jnp.zeros_like(values)
    edges = [(0, 0), (max(-by, 0), max(by, 0)), *[(0, 0)] * (values.ndim - 2)]
    return jnp.pad(values, edges)[:, max(by, 0) : max(by, 0) + length]
