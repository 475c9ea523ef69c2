"""Data sets and weights by name, fetched from several mirrors, checked by content.

    folder = assets.fetch("ml-100k")

Environment: `LLMGNN_CACHE` (where to keep them), `LLMGNN_MIRROR` (a folder to look in
first: `<mirror>/<name>/...`), `LLMGNN_SHARED` (another one, of data sets under names of
their own: `<shared>/gowalla-lightgcn/...`), `LLMGNN_OFFLINE=1` (never open a socket).
"""

from llmgnn_jax.assets.cache import cache_root
from llmgnn_jax.assets.digests import digest_safetensors_model
from llmgnn_jax.assets.fetching import AssetStatus, fetch, is_offline, listing, where
from llmgnn_jax.assets.mirrors import (
    Archive,
    Files,
    HubRepository,
    Member,
    WheelMember,
)
from llmgnn_jax.assets.registry import ASSETS, Asset

__all__ = [
    "ASSETS",
    "Archive",
    "Asset",
    "AssetStatus",
    "Files",
    "HubRepository",
    "Member",
    "WheelMember",
    "cache_root",
    "digest_safetensors_model",
    "fetch",
    "is_offline",
    "listing",
    "where",
]
