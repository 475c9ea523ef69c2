"""Encoders by their name on the Hugging Face hub, such as "owner/model".

`huggingface_hub` fetches them into its own cache (`HF_HOME`), with the user's own token
for models that ask for one. What is whole in the cache is not asked for again: a run
that is repeated reads the same weights, and needs no network.
"""

import logging
import re
from pathlib import Path

from llmgnn_jax import assets
from llmgnn_jax.errors import UserError
from llmgnn_jax.text.pretrained.modules import MODULES
from llmgnn_jax.text.pretrained.tensors import CONFIG, weight_files

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
# A path with such an end is meant to be a file.
_FILES = (".gguf", ".safetensors", ".txt", ".vec", ".bin", ".json")

# What an encoder is read from; pickles are not even fetched.
_TOKENIZERS = ("tokenizer.json", "vocab.txt")
_PATTERNS = [
    CONFIG,
    *_TOKENIZERS,
    "tokenizer_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    # What a text's vector is read off by.
    "readout.safetensors",
    MODULES,
    f"*/{CONFIG}",
]


def is_hub_name(source: str) -> bool:
    """Whether a model of the hub may have this name; a local file may have it too."""
    return _NAME.fullmatch(source) is not None and not source.endswith(_FILES)


def fetch_from_hub(name: str) -> Path:
    """The folder of a model, fetched if it is not in the cache.

    With `LLMGNN_OFFLINE=1` or `HF_HUB_OFFLINE=1` only the cache is read.

    Args:
        name: "owner/model".

    Returns:
        A folder in Hugging Face's layout; do not write into it.

    Raises:
        UserError: If there is no such model, it cannot be reached, asks for consent
            that was not given, or has no safetensors.
    """
    # Takes a while to import, and no other source needs it.
    import huggingface_hub
    from huggingface_hub import constants, errors

    def snapshot(*, cached: bool) -> Path:
        return Path(
            huggingface_hub.snapshot_download(
                name, allow_patterns=_PATTERNS, local_files_only=cached
            )
        )

    try:
        folder = snapshot(cached=True)
        if not (absent := _absent(folder)):
            return folder
        found = f"one with {absent}"
    except errors.LocalEntryNotFoundError:
        found = "none that is whole"
    except errors.HFValidationError as error:
        raise UserError.field(
            "encoder", expected="a folder or a name of the hub", got=repr(name)
        ) from error
    for variable, offline in (
        ("LLMGNN_OFFLINE", assets.is_offline()),
        ("HF_HUB_OFFLINE", constants.HF_HUB_OFFLINE),
    ):
        if offline:
            raise UserError.field(
                name,
                expected="a folder, or a model in the cache of the Hugging Face hub "
                f"({constants.HF_HUB_CACHE})",
                got=found,
                fix=f"unset {variable} to fetch it, or name a folder",
            )
    logger.info("fetching %s from the Hugging Face hub", name)
    try:
        folder = snapshot(cached=False)
    except errors.GatedRepoError as error:
        raise UserError.field(
            name,
            expected="a model that you may read",
            got="one whose owner asks for consent first",
            fix="give it on the model's page, and log in with `hf auth login`",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError.field(
            name,
            expected="a folder, or a model of the Hugging Face hub",
            got="neither",
            fix="check the name; for a private model log in with `hf auth login`",
        ) from error
    except (OSError, errors.HTTPError) as error:
        raise UserError.field(
            name,
            expected="a folder, or a model that can be fetched from the Hugging Face "
            "hub",
            got=f"no such folder, and an error of the hub ({_told(error)})",
            fix="connect to the network, or name a folder",
        ) from error
    if absent := _absent(folder):
        raise UserError.field(
            name,
            expected=f"a model with {CONFIG}, a tokenizer and safetensors",
            got=f"one with {absent}",
            fix="pickles are never opened: choose a model that is saved as safetensors",
        )
    return folder


def _absent(folder: Path) -> str:
    """What a snapshot lacks, in words; "" if it is whole."""
    if not (folder / CONFIG).is_file():
        return f"no {CONFIG}"
    if not any((folder / file).is_file() for file in _TOKENIZERS):
        return f"no {' or '.join(_TOKENIZERS)}"
    try:
        weight_files(folder)
    except UserError:
        return "no safetensors, or not all of them"
    return ""


def _told(error: BaseException) -> str:
    """What first went wrong, in a line: clients wrap it several times."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
