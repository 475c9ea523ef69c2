"""A `Dataset` as a `HeteroData`, nodes with labels as a `Data`.

`from_pyg` reads them to what has the same content hash.
"""

from typing import Any

import numpy as np
import scipy.sparse

from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.data.relations import SIDES, Relation
from llmgnn_jax.data.sources.pyg_nodes import MASKS
from llmgnn_jax.errors import UserError

INTERACTION = ("user", "interacts", "item")


def to_pyg(data: Dataset | NodeDataset | NodeSplit) -> Any:
    """A `HeteroData` of a `Dataset`, a `Data` of nodes with labels.

    Interactions are the edge type `INTERACTION` with `edge_weight`, `time` and, if
    there are any, `text` and `test`; `ToUndirected` adds the other direction. Of an
    undirected relation both directions are there. What PyTorch has no type for are
    lists of strings and mappings of columns, as `from_pyg` describes them.

    Raises:
        UserError: If PyTorch Geometric is not installed, or a relation of users with
            items is called as the interactions are.
    """
    try:
        import torch
        from torch_geometric.data import Data, HeteroData
    except ImportError:
        raise UserError.field(
            "torch_geometric",
            expected="the packages torch and torch-geometric",
            got="an installation without them",
            fix="pip install torch torch-geometric",
        ) from None

    def tensor(array: np.ndarray) -> Any:
        # A copy: tensors can be written to, and what we hold is read-only.
        return torch.from_numpy(np.array(array, order="C"))

    if isinstance(data, Dataset):
        return _hetero(HeteroData(), data, tensor)
    return _homogeneous(Data(), data, tensor)


def _hetero(made: Any, dataset: Dataset, tensor: Any) -> Any:
    made.filters = list(dataset.filters)
    for side in SIDES:
        store = made[side]
        store.num_nodes = len(dataset.ids[side])
        for field in ("title", "text"):
            texts = getattr(dataset, f"{side}_{field}s", None)
            if texts is not None:
                store[field] = list(texts)
        store["categorical"] = {
            name: [list(values) for values in column]
            for name, column in getattr(dataset, f"{side}_categorical").items()
        }
        store["numeric"] = {
            name: tensor(column)
            for name, column in getattr(dataset, f"{side}_numeric").items()
        }
    for kind, ids in dataset.ids.items():
        made[kind].num_nodes = len(ids)
        made[kind]["node_id"] = list(ids)
    edges = made[INTERACTION]
    edges.edge_index = tensor(np.stack([dataset.users, dataset.items]).astype(np.int64))
    edges.edge_weight = tensor(dataset.values)
    edges.time = tensor(dataset.timestamps)
    if dataset.interaction_texts is not None:
        edges["text"] = list(dataset.interaction_texts)
    if dataset.published_test is not None:
        edges["test"] = tensor(dataset.published_test)
    for name, relation in dataset.relations.items():
        edge_type = (relation.heads_of, name, relation.tails_of)
        if edge_type == INTERACTION:
            raise UserError.field(
                f"relations[{name!r}]",
                expected="another name than that of the interactions",
                got=repr(name),
            )
        _add_links(made, edge_type, relation, tensor)
    return made


def _add_links(
    made: Any, edge_type: tuple[str, str, str], relation: Relation, tensor: Any
) -> None:
    ends = np.stack([relation.heads, relation.tails]).astype(np.int64)
    weights = relation.weights
    if not relation.directed and relation.heads_of == relation.tails_of:
        ends = np.concatenate([ends, ends[::-1]], axis=1)
        weights = np.concatenate([weights, weights])
    elif not relation.directed:
        heads_of, name, tails_of = edge_type
        mirror = made[tails_of, f"rev_{name}", heads_of]
        mirror.edge_index = tensor(ends[::-1])
        mirror.edge_weight = tensor(weights)
    store = made[edge_type]
    store.edge_index, store.edge_weight = tensor(ends), tensor(weights)
    store.directed = relation.directed


def _homogeneous(made: Any, data: NodeDataset | NodeSplit, tensor: Any) -> Any:
    dataset = data.dataset if isinstance(data, NodeSplit) else data
    rows = dataset.features
    made.x = tensor(rows.toarray() if scipy.sparse.issparse(rows) else rows)
    both = np.concatenate([dataset.edges, dataset.edges[:, ::-1]]).astype(np.int64)
    made.edge_index = tensor(both.T)
    made.y = tensor(dataset.labels.astype(np.int64))
    made.class_names = list(dataset.class_names)
    if isinstance(data, NodeSplit):
        for part, field in MASKS.items():
            mask = np.zeros(dataset.num_nodes, bool)
            mask[getattr(data, part)] = True
            made[field] = tensor(mask)
    return made
