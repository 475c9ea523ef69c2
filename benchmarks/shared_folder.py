"""Where data sets lie that are no assets: `LLMGNN_SHARED`, or beside the clone."""

import os
from pathlib import Path

from llmgnn_jax.errors import UserError

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_folder(name: str) -> Path:
    """The folder of a data set.

    Raises:
        UserError: If there is none.
    """
    folder = Path(os.environ.get("LLMGNN_SHARED") or _BESIDE).expanduser() / name
    if not folder.is_dir():
        raise UserError.field(
            name,
            expected=f"a folder {folder}",
            got="none",
            fix="set LLMGNN_SHARED to the folder that holds it",
        )
    return folder
