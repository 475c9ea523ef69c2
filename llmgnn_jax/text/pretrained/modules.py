"""What a sentence-transformers folder says comes after its encoder.

`modules.json` lists the modules of a pipeline, `1_Pooling/config.json` says how token
vectors become one. A run chooses its own pooling; whoever chooses another than the
checkpoint was trained with is told.
"""

import json
import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

MODULES = "modules.json"

# What vectors of unit length need no word about.
_KNOWN = ("Transformer", "Pooling", "Normalize")
_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
}


def warn_of_modules(folder: Path, *, pooling: str) -> None:
    """Says where a folder's own pipeline gives other vectors.

    Args:
        folder: Of an encoder; one without `modules.json` has nothing to say.
        pooling: What is used.
    """
    modules = _read(folder / MODULES)
    if not isinstance(modules, list):
        return
    kinds = {
        module["type"].rpartition(".")[2]: str(module.get("path", ""))
        for module in modules
        if isinstance(module, dict) and isinstance(module.get("type"), str)
    }
    if others := [kind for kind in kinds if kind not in _KNOWN]:
        logger.warning(
            "%s: its vectors go through %s, which is left out: they are the encoder's",
            folder,
            " and ".join(others),
        )
    said = _read(folder / kinds.get("Pooling", "1_Pooling") / "config.json")
    if not isinstance(said, dict):
        return
    chosen = [name for key, name in _POOLINGS.items() if said.get(key)]
    if len(chosen) == 1 and chosen[0] != pooling:
        logger.warning(
            "%s: it was trained with the pooling %s, and %s is used",
            folder,
            chosen[0],
            pooling,
        )


def _read(path: Path) -> Any:
    """Of a file that nothing depends on: None where it cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
