"""NetworkX, which is an extra: only what makes graphs of it imports it."""

from types import ModuleType

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
