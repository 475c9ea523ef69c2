"""A text encoder taken apart: what a run trains of it, and what stays as it is."""

from dataclasses import dataclass
from typing import Any

from flax import nnx

from llmgnn_jax.config import Config
from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.model import Params, declare, with_adapters
from llmgnn_jax.text.interface import Encoder
from llmgnn_jax.text.lora import Adapters
from llmgnn_jax.text.trainable import partition, trainable


@dataclass(frozen=True, kw_only=True, eq=False)
class EncoderParts:
    """An encoder as it is trained.

    Attributes:
        graphdef: Its static half, adapters included.
        trained: Parameters that are trained, before the first step.
        frozen: The others. Both share the arrays of the encoder that they are from.
        scale: alpha / R of the adapters; None without adapters.
    """

    graphdef: nnx.GraphDef[Any]
    trained: Params
    frozen: Params
    scale: float | None


def take_apart(encoder: Encoder, config: Config) -> EncoderParts:
    """What `text.mode`, `text.lora_*` and `text.freeze` say of an encoder.

    Raises:
        UserError: If it cannot be trained, a pattern is none or matches nothing, or
            nothing is left to train.
    """
    text = config.text
    assert text.mode != "frozen"
    whole = trainable_encoder(encoder, config)
    model = whole.model
    scale = None
    try:
        if text.mode == "lora":
            adapters = Adapters(
                rank=text.lora_rank, alpha=text.lora_alpha, targets=text.lora_targets
            )
            model = with_adapters(
                model, adapters, seed=config.seed, dtype=text.dtype, remat=text.remat
            )
            scale = adapters.scale
        else:
            declared = declare(model.config, dtype=text.dtype, remat=text.remat)
            model = model._replace(graphdef=declared.graphdef)
        params = {**model.params, **whole.learned}
        mask = trainable(params, mode=text.mode, freeze=text.freeze)
    except UserError as error:
        # They name the field as the text room has it.
        raise UserError(f"text.{error}") from error
    trained, frozen = partition(params, mask)
    if not trained:
        raise UserError.field(
            "text.freeze",
            expected="patterns that leave something to train",
            got=" ".join(text.freeze),
            fix="choose --text.mode frozen to train nothing",
        )
    return EncoderParts(
        graphdef=model.graphdef, trained=trained, frozen=frozen, scale=scale
    )


def trainable_encoder(encoder: Encoder | None, config: Config) -> TextEncoder:
    """The encoder, if it is one that can be trained.

    Raises:
        UserError: If it is another.
    """
    if not isinstance(encoder, TextEncoder):
        raise UserError.field(
            "text.mode",
            expected=f"frozen with the encoder {config.text.encoder}",
            got=config.text.mode,
            fix="train another encoder, such as minilm-l6",
        )
    return encoder
