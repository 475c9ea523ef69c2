"""Neo4j over Bolt, with the official driver (the extra `neo4j`).

A database is mapped to a `Dataset` by a TOML document or by dataclasses:

    source = Neo4jSource(
        name="films",
        connection=Connection(uri="bolt://localhost:7687"),
        interactions=Interactions(
            user_label="User", item_label="Film", type="RATED", value="stars"
        ),
        items=Nodes(title="name", text="plot"),
    )
    dataset = read_source(source)

The password is read from $LLMGNN_NEO4J_PASSWORD and kept nowhere.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.neo4j.connection import Connection
from llmgnn_jax.data.sources.neo4j.document import load_source, source_of
from llmgnn_jax.data.sources.neo4j.mapping import (
    Interactions,
    Links,
    Neo4jSource,
    Nodes,
)
from llmgnn_jax.data.sources.neo4j.reading import read_source
from llmgnn_jax.data.sources.neo4j.writing import write_dataset

__all__ = [
    "Connection",
    "Interactions",
    "Links",
    "Neo4jSource",
    "Nodes",
    "load_source",
    "read_neo4j",
    "read_source",
    "write_dataset",
]


def read_neo4j(document: Mapping[str, Any], *, folder: Path) -> Dataset:
    """Reads what a TOML document with a table [neo4j] describes.

    Args:
        document: As read.
        folder: Where it lies.

    Raises:
        UserError: For a document that does not hold together, and as `read_source`.
    """
    return read_source(source_of(document, folder=folder))
