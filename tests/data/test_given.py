"""What is handed over in place of a graph in memory."""

from typing import Any

import networkx as nx
import pytest

from llmgnn_jax.data.sources.jraph_graph import from_jraph, nodes_from_jraph
from llmgnn_jax.data.sources.networkx_graph import from_networkx
from llmgnn_jax.data.sources.networkx_nodes import nodes_from_networkx
from llmgnn_jax.data.sources.pyg import from_pyg
from llmgnn_jax.errors import UserError

READERS = {
    from_networkx: {},
    nodes_from_networkx: {},
    from_jraph: {"num_users": 1},
    nodes_from_jraph: {},
    from_pyg: {},
}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a": 1}, "got a value of type dict"),
        (None, "got a value of type NoneType"),
        ([1, 2], "got a value of type list"),
        (nx.Graph, "got the class Graph; call it for a graph"),
    ],
)
@pytest.mark.parametrize("read", READERS)
def test_what_is_no_graph(read: Any, given: Any, said: str) -> None:
    with pytest.raises(UserError, match=f"^(graph|data): expected a .*{said}"):
        read(given, **READERS[read])
