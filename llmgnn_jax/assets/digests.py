"""Hashes of files, and of what a model folder says however its files are laid out."""

import hashlib
import json
import mmap
from pathlib import Path

from llmgnn_jax.errors import UserError


def sha256_of(path: Path) -> str:
    """Sha256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_safetensors_model(folder: Path) -> str:
    """Sha256 (hex) of a model's weights and tokenizer.

    Covers each tensor of model.safetensors in the order of the names (name, dtype,
    shape, bytes), and tokenizer.json as JSON with sorted keys and no spaces; so neither
    the order of tensors in the file, nor its metadata, nor the layout of the JSON
    matters. The format: https://github.com/huggingface/safetensors.

    Raises:
        UserError: If a file is missing or malformed.
    """
    digest = hashlib.sha256(b"safetensors-model-1\n")
    weights, tokenizer = folder / "model.safetensors", folder / "tokenizer.json"
    try:
        with (
            weights.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        ):
            header_size = int.from_bytes(mapped[:8], "little")
            tensors = json.loads(mapped[8 : 8 + header_size])
            tensors.pop("__metadata__", None)
            with memoryview(mapped) as view:
                for name, tensor in sorted(tensors.items()):
                    begin, end = tensor["data_offsets"]
                    about = json.dumps([name, tensor["dtype"], tensor["shape"]])
                    digest.update(f"{about}\n{end - begin}\n".encode())
                    with view[8 + header_size :][begin:end] as data:
                        if len(data) != end - begin:
                            raise ValueError(f"tensor {name} is cut off")
                        digest.update(data)
        rules = json.loads(tokenizer.read_bytes())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError.field(
            str(folder),
            expected="model.safetensors and tokenizer.json, whole",
            got=str(error) or type(error).__name__,
        ) from error
    canonical = json.dumps(rules, sort_keys=True, separators=(",", ":"))
    digest.update(hashlib.sha256(canonical.encode("ascii")).digest())
    return digest.hexdigest()


def digest_gguf_model(folder: Path) -> str:
    """Sha256 (hex) of the one GGUF file in a folder, which holds all of a model.

    Raises:
        UserError: If there is none, or more than one.
    """
    found = sorted(folder.glob("*.gguf"))
    if len(found) != 1:
        raise UserError.field(
            str(folder), expected="one GGUF file", got=f"{len(found)} of them"
        )
    return sha256_of(found[0])
