"""Pretrained weights: Hugging Face's safetensors to our parameters, and back.

Only safetensors are read: a pickle (pytorch_model.bin) is never opened.
"""

import dataclasses
import json
import re
from collections.abc import Iterable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from llmgnn_jax.assets.digests import sha256_of
from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders import bert
from llmgnn_jax.text.encoders.bert import BertConfig, BertModel, ComputeDtype, Params

WEIGHTS = "model.safetensors"
CONFIG = "config.json"

# Our module -> Hugging Face's, and our parameter -> theirs. PyTorch keeps kernels as
# (outputs, inputs): ours are the transposes.
_EMBEDDINGS = {
    "words": "word_embeddings",
    "positions": "position_embeddings",
    "types": "token_type_embeddings",
}
_DENSE = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "intermediate": "intermediate.dense",
    "output": "output.dense",
}
_NORMS = {
    "attention_norm": "attention.output.LayerNorm",
    "output_norm": "output.LayerNorm",
}
# What checkpoints carry beside the encoder: a buffer, the pooler, heads of pretraining.
_IGNORED = re.compile(r"(embeddings\.position_ids|pooler\..*|cls\..*)\Z")
_FLOATS = ("F64", "F32", "F16", "BF16")


def bert_names(config: BertConfig) -> dict[str, str]:
    """The name table: our parameter's path, with dots -> Hugging Face's tensor.

    Where our path ends in "kernel", ours is the transpose.
    """
    table = {
        f"embeddings.{ours}": f"embeddings.{theirs}.weight"
        for ours, theirs in _EMBEDDINGS.items()
    }
    norms = {"embeddings.norm": "embeddings.LayerNorm"}
    for number in range(config.num_hidden_layers):
        layer, block = f"layer_{number}.", f"encoder.layer.{number}."
        for ours, theirs in _DENSE.items():
            table[f"{layer}{ours}.kernel"] = f"{block}{theirs}.weight"
            table[f"{layer}{ours}.bias"] = f"{block}{theirs}.bias"
        norms |= {layer + ours: block + theirs for ours, theirs in _NORMS.items()}
    for ours, theirs in norms.items():
        table[f"{ours}.scale"] = f"{theirs}.weight"
        table[f"{ours}.bias"] = f"{theirs}.bias"
    return table


def load_bert(folder: Path, *, dtype: ComputeDtype = "float32") -> BertModel:
    """Loads a BERT encoder.

    Args:
        folder: Holds config.json and model.safetensors in Hugging Face's layout; names
            may begin with "bert.", and the pooler and pretraining heads are left out.
        dtype: Operands of the matrix products; the parameters are float32 always.

    Returns:
        The definition, the parameters on the default device, and the config.

    Raises:
        UserError: If a file is missing or unreadable, or the tensors are not those that
            the config asks for: all that are missing, extra or misshapen, in one line.
    """
    config = BertConfig.from_json(folder / CONFIG)
    declared = bert.declare(config, dtype=dtype)
    shapes = {
        ".".join(key.key for key in path): leaf.shape
        for path, leaf in jax.tree_util.tree_flatten_with_path(declared.params)[0]
    }
    names = bert_names(config)
    assert names.keys() == shapes.keys(), "the table names each parameter"
    path = _weights_path(folder)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            stored = {_plain(name): name for name in file.keys()}  # noqa: SIM118
            problems = []
            for ours, theirs in names.items():
                if theirs not in stored:
                    problems.append(f"{theirs} is missing")
                    continue
                about = file.get_slice(stored[theirs])
                shape = tuple(about.get_shape())
                wanted = shapes[ours][::-1] if _is_kernel(ours) else shapes[ours]
                if shape != wanted:
                    problems.append(f"{theirs} is {shape}, not {wanted}")
                elif about.get_dtype() not in _FLOATS:
                    problems.append(f"{theirs} is {about.get_dtype()}, no float")
            extra = sorted(stored.keys() - set(names.values()))
            problems += [f"{x} is unknown" for x in extra if not _IGNORED.match(x)]
            if problems:
                raise UserError.field(
                    str(path),
                    expected=f"the tensors that {CONFIG} asks for",
                    got=f"{len(problems)} problems: {'; '.join(problems)}",
                )
            arrays = {
                ours: _ours(ours, file.get_tensor(stored[theirs]))
                for ours, theirs in names.items()
            }
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError.field(
            str(path),
            expected="a whole safetensors file",
            got=f"an unreadable or truncated one ({error})",
            fix="fetch it again",
        ) from error
    return BertModel(declared.graphdef, _nested(arrays), config)


def save_bert(folder: Path, *, params: Params, config: BertConfig) -> None:
    """Writes config.json and model.safetensors in Hugging Face's layout.

    Args:
        folder: Made if absent; the two files are replaced.
        params: The encoder's parameters.
        config: Its shape.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for ours, theirs in bert_names(config).items():
        leaf = params
        for key in ours.split("."):
            leaf = leaf[key]
        tensors[theirs] = _transposed(ours, np.asarray(leaf))
    safetensors.numpy.save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    values = {"model_type": "bert", **dataclasses.asdict(config)}
    (folder / CONFIG).write_text(json.dumps(values, indent=2) + "\n", "utf-8")


def weights_hash(folder: Path) -> str:
    """Sha256 (hex) of model.safetensors, byte for byte.

    Raises:
        UserError: If there is none.
    """
    return sha256_of(_weights_path(folder))


def _weights_path(folder: Path) -> Path:
    path = folder / WEIGHTS
    if path.is_file():
        return path
    pickles: Iterable[Path] = sorted(folder.glob("*.bin"))
    raise UserError.field(
        str(folder),
        expected=f"a file {WEIGHTS}",
        got=", ".join(p.name for p in pickles) or "none",
        fix="save the model as safetensors: pickles are never opened",
    )


def _plain(name: str) -> str:
    """A tensor's name without the prefix and the old TensorFlow endings."""
    name = name.removeprefix("bert.")
    if name.endswith(".gamma"):
        return f"{name.removesuffix('.gamma')}.weight"
    if name.endswith(".beta"):
        return f"{name.removesuffix('.beta')}.bias"
    return name


def _is_kernel(path: str) -> bool:
    return path.endswith(".kernel")


def _transposed(path: str, array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.T if _is_kernel(path) else array)


def _ours(path: str, tensor: np.ndarray) -> jax.Array:
    return jnp.asarray(_transposed(path, tensor.astype(np.float32, copy=False)))


def _nested(arrays: dict[str, jax.Array]) -> Params:
    nested: Params = {}
    for path, array in arrays.items():
        *modules, name = path.split(".")
        inside = nested
        for module in modules:
            inside = inside.setdefault(module, {})
        inside[name] = array
    return nested
