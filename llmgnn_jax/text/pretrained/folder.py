"""Where a pretrained encoder is."""

from pathlib import Path

from llmgnn_jax import assets
from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.text.pretrained.hub import fetch_from_hub, is_hub_name


def folder_of(source: str | Path) -> Path:
    """Where an encoder is; fetched if it has to be.

    Args:
        source: An asset's name, a folder or file, or a name on the hub.

    Raises:
        UserError: If it is unknown or cannot be fetched.
    """
    name = str(source)
    if name not in assets.ASSETS:
        path = named_path(source)
        if isinstance(source, Path) or path.exists():
            return path
        if is_hub_name(name):
            return fetch_from_hub(name)
        if "/" in name:
            return path
    return assets.fetch(name)
