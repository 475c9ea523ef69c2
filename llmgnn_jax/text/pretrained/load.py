"""A folder in Hugging Face's layout, or a GGUF file, to an encoder."""

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.encoders.model import (
    EncoderConfig,
    EncoderModel,
    Params,
    declare,
)
from llmgnn_jax.text.parameters import flat, nested
from llmgnn_jax.text.pretrained.families import FAMILIES, GGUF, Family, family_of
from llmgnn_jax.text.pretrained.gguf import GgufFile, gguf_of
from llmgnn_jax.text.pretrained.tensors import (
    CONFIG,
    Tensors,
    open_tensors,
    weight_files,
)


def load_encoder(
    folder: Path, *, dtype: ComputeDtype = "float32", opened: GgufFile | None = None
) -> EncoderModel:
    """Loads an encoder.

    Args:
        folder: Holds config.json and model.safetensors, or several safetensors files
            and their index, in Hugging Face's layout; or one GGUF file and no
            config.json; or is a GGUF file. Heads are left out.
        dtype: Operands of the matrix products; the parameters are float32 always.
        opened: The folder's GGUF file, where it is open already (`gguf.gguf_of`).

    Returns:
        The definition, the parameters on the default device, and the config.

    Raises:
        UserError: If a file is missing or unreadable, the architecture is not
            supported, or the tensors are not those that the config asks for: all that
            are missing, extra or misshapen, in one line.
    """
    return _load(folder, dtype=dtype, with_head=False, opened=opened)


def load_language_model(
    folder: Path, *, dtype: ComputeDtype = "float32", opened: GgufFile | None = None
) -> EncoderModel:
    """Loads a decoder with its output head, for `decoder.logits`.

    Args:
        folder: As in `load_encoder`.
        dtype: Likewise.
        opened: Likewise.

    Raises:
        UserError: As `load_encoder`, or if it is no decoder or has no head.
    """
    return _load(folder, dtype=dtype, with_head=True, opened=opened)


def _load(
    folder: Path,
    *,
    dtype: ComputeDtype,
    with_head: bool,
    opened: GgufFile | None = None,
) -> EncoderModel:
    with contextlib.nullcontext(opened) if opened else gguf_of(folder) as file:
        if file is not None:
            declared = _declare(file.config, dtype=dtype, with_head=with_head)
            params = from_tensors(file.tensors, declared, where=file.path, family=GGUF)
            return declared._replace(params=params)
    declared = _declare(read_config(folder), dtype=dtype, with_head=with_head)
    with open_tensors(folder) as tensors:
        params = from_tensors(tensors, declared, where=weight_files(folder)[0])
    return declared._replace(params=params)


def _declare(
    config: EncoderConfig, *, dtype: ComputeDtype, with_head: bool
) -> EncoderModel:
    if with_head:
        if not isinstance(config, DecoderConfig):
            raise UserError.field(
                "model_type", expected="a decoder's", got=repr(config.family)
            )
        if config.head == "none":
            config = dataclasses.replace(config, head="own")
    return declare(config, dtype=dtype)


def read_config(folder: Path) -> EncoderConfig:
    """The shape of the encoder in a folder or GGUF file.

    Raises:
        UserError: If there is no config.json, it is no JSON object, or it describes
            what is not supported.
    """
    with gguf_of(folder) as file:
        if file is not None:
            return file.config
    path = folder / CONFIG
    values = read_json(
        path,
        expected="the encoder's config.json",
        fix="name a folder in Hugging Face's layout",
    )
    model_type = values.get("model_type")
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise UserError.field(
            f"{path}: model_type",
            expected=f"one of {', '.join(sorted(FAMILIES))}",
            got=repr(model_type),
        )
    try:
        return FAMILIES[model_type].read(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (TypeError, ValueError) as error:
        raise UserError.field(
            str(path), expected=f"the configuration of a {model_type}", got=str(error)
        ) from error


def read_json(path: Path, *, expected: str, fix: str) -> dict[str, Any]:
    """A JSON object from a file.

    Args:
        path: The file.
        expected: What it is, for the error where it cannot be read.
        fix: What to do then.

    Raises:
        UserError: If it cannot be read or is no JSON object.
    """
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError.field(
            str(path), expected=expected, got=error.strerror, fix=fix
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError.field(
            str(path), expected="JSON", got=f"text that is none ({error})"
        ) from error
    if not isinstance(values, dict):
        raise UserError.field(
            str(path), expected="a JSON object", got=type(values).__name__
        )
    return values


def from_tensors(
    tensors: Tensors,
    declared: EncoderModel,
    *,
    where: Path,
    family: Family | None = None,
) -> Params:
    """The parameters of a declared encoder, by the names of its family.

    Args:
        tensors: What is stored.
        declared: What there must be.
        where: Named in errors.
        family: How they are called; by the config if None.

    Raises:
        UserError: With all tensors that are missing, extra or misshapen, in one line.
    """
    family = family or family_of(declared.config)
    names = family.names(declared.config)
    shapes = {path: leaf.shape for path, leaf in flat(declared.params).items()}
    assert names.keys() == shapes.keys(), "the table names each parameter"
    stored = {
        plain: name
        for name in tensors.files
        if (plain := family.plain(name)) is not None
    }
    problems = []
    for ours, theirs in names.items():
        if theirs not in stored:
            problems.append(f"{theirs} is missing")
            continue
        name = stored[theirs]
        wanted = shapes[ours][::-1] if is_kernel(ours) else shapes[ours]
        if (shape := tensors.shape(name)) != wanted:
            problems.append(f"{theirs} is {shape}, not {wanted}")
        elif not tensors.is_float(name):
            problems.append(f"{theirs} is {tensors.dtype(name)}, no float")
    extra = sorted(stored.keys() - set(names.values()) - family.optional)
    problems += [f"{name} is unknown" for name in extra]
    if problems:
        raise UserError.field(
            str(where),
            expected="the tensors that its config asks for",
            got=f"{len(problems)} problems: {'; '.join(problems)}",
        )
    return nested(
        {
            ours: jnp.asarray(transposed(ours, tensors.read(stored[theirs])))
            for ours, theirs in names.items()
        }
    )


def is_kernel(path: str) -> bool:
    """Whether Hugging Face keeps the transpose of a parameter."""
    return path.endswith(".kernel")


def transposed(path: str, array: np.ndarray) -> np.ndarray:
    """A parameter from Hugging Face's layout to ours, or back."""
    return np.ascontiguousarray(array.T if is_kernel(path) else array)
