"""A folder in Hugging Face's layout, or a GGUF file, to a decoder that generates."""

from pathlib import Path
from typing import Any, Literal, TypeAlias

from llmgnn_jax.text import kernels
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.encoders.model import with_kernels_in
from llmgnn_jax.text.generation.cached_decoder import CachedDecoder
from llmgnn_jax.text.generation.panel_decoder import PanelDecoder
from llmgnn_jax.text.generation.panel_layout import laid_out, takes
from llmgnn_jax.text.pretrained.gguf import GgufFile
from llmgnn_jax.text.pretrained.load import load_language_model

Layout: TypeAlias = Literal["auto", "rows"]


def load_decoder(
    folder: Path,
    *,
    dtype: ComputeDtype = "float32",
    layout: Layout = "auto",
    opened: GgufFile | None = None,
) -> tuple[CachedDecoder | PanelDecoder, Any]:
    """Loads a decoder with its head.

    Args:
        folder: As in `load_encoder`.
        dtype: What matrices are kept in.
        layout: How they lie in memory: "rows" as in `encoders.decoder`; "auto" in
            panels where our kernels for CPUs run, else in rows.
        opened: The folder's GGUF file, where it is open already.

    Returns:
        The decoder and its parameters.

    Raises:
        UserError: As `load_language_model`.
    """
    model = load_language_model(folder, dtype=dtype, opened=opened)
    assert isinstance(model.config, DecoderConfig)
    if layout == "auto" and kernels.usable() and takes(model.config):
        return laid_out(model, dtype=dtype)
    return CachedDecoder.of(model, dtype=dtype), with_kernels_in(dtype, model.params)
