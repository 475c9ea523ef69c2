"""NetworkX, which is an extra: only what makes graphs of it imports it."""

from types import ModuleType
from typing import Any

from llmgnn_jax.data.sources.given import check_given
from llmgnn_jax.errors import UserError


def networkx() -> ModuleType:
    """The module.

    Raises:
        UserError: If it is not installed.
    """
    try:
        import networkx as nx
    except ImportError:
        raise UserError.field(
            "networkx",
            expected="the package networkx",
            got="an installation without it",
            fix="pip install 'llmgnn-jax[networkx]'",
        ) from None
    return nx


def check_graph(graph: Any) -> None:
    """Passes only if something is a graph of NetworkX.

    Raises:
        UserError: If it is none.
    """
    check_given(
        graph,
        "graph",
        kind="a graph of NetworkX",
        having=("nodes", "edges", "graph", "is_directed"),
    )
