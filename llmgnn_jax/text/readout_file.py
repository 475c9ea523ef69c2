"""What a readout has learned, in a file beside the encoder's: readout.safetensors."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encoders.model import Params
from llmgnn_jax.text.parameters import flat, nested
from llmgnn_jax.text.pretrained.save import write_tensors
from llmgnn_jax.text.pretrained.tensors import open_files
from llmgnn_jax.text.readout import READOUT, Readout

READOUT_FILE = "readout.safetensors"


def save_readout(folder: Path, params: Params) -> None:
    """Writes the file; removes one that is there where nothing is learned.

    Args:
        folder: The encoder's.
        params: Under `READOUT`, as `Readout.initial` gives them; or {}.
    """
    if params:
        arrays = {name: np.asarray(leaf) for name, leaf in flat(params).items()}
        write_tensors(folder / READOUT_FILE, arrays)
    else:
        (folder / READOUT_FILE).unlink(missing_ok=True)


def load_readout(folder: Path, readout: Readout) -> Params | None:
    """What an encoder's folder holds for a readout.

    Returns:
        As `Readout.initial`; {} where nothing is learned, None where there is no file.

    Raises:
        UserError: If the file is unreadable, or of another readout.
    """
    if not readout.learned:
        return {}
    path = folder / READOUT_FILE
    if not path.is_file():
        return None
    wanted = {name: leaf.shape for name, leaf in flat(readout.declared()).items()}
    with open_files([path], named=path) as tensors:
        shapes = {name: tensors.shape(name) for name in tensors.files}
        if shapes != wanted:
            what = readout.pooling if readout.head == "dense" else readout.head
            raise UserError.field(
                str(path),
                expected=f"what {what} learned: {_listed(wanted)}",
                got=_listed(shapes),
                fix="give the pooling and head that the encoder was trained with",
            )
        return nested({name: jnp.asarray(tensors.read(name)) for name in wanted})


def _listed(shapes: dict[str, tuple[int, ...]]) -> str:
    """Names without what they share, and shapes."""
    return ", ".join(
        f"{name.removeprefix(READOUT + '.')} {shape}"
        for name, shape in sorted(shapes.items())
    )
