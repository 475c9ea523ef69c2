"""Rules that hold out the labels of some nodes; each gives a `NodeSplit`.

Shapes: N nodes, L of them with a label.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from llmgnn_jax.data.node_dataset import NodeDataset, NodeSplit
from llmgnn_jax.errors import UserError


@dataclass(frozen=True, kw_only=True)
class NodeSizes:
    """How many of the labelled nodes are in each part.

    Attributes:
        valid: A share below 1, or a number of nodes.
        test: Likewise.
        train_per_class: Nodes of each class to train on; 0: all of no other part.
    """

    valid: float = 0.2
    test: float = 0.2
    train_per_class: int = 0


def split_nodes(
    dataset: NodeDataset, *, seed: int, sizes: NodeSizes | None = None
) -> NodeSplit:
    """Deals the labelled nodes out at random.

    With `train_per_class` these are drawn first, then test and valid of all others, as
    Planetoid's 20 a class, 500 and 1,000; whoever is left over is in no part. Without
    it test and valid are drawn of all, and the others are trained on.

    A draw belongs to what is said of a node (`content_order`), not to its number.

    Args:
        dataset: What to split.
        seed: Of the draw.
        sizes: By default a fifth each for valid and test.

    Raises:
        UserError: If there are too few labelled nodes, of a class or at all.
    """
    sizes = NodeSizes() if sizes is None else sizes
    order = content_order(dataset)
    labelled = order[dataset.labels[order] >= 0]
    drawn = np.random.default_rng(seed).permutation(labelled)
    train = _of_each_class(dataset, drawn, sizes.train_per_class)
    rest = drawn[~np.isin(drawn, train)]
    test, valid = (_number(size, len(labelled)) for size in (sizes.test, sizes.valid))
    # Where all that is left is trained on, something has to be left.
    if test + valid + (not len(train)) > len(rest):
        raise UserError.field(
            "node.valid_size and node.test_size",
            expected=f"no more than {len(rest)} of the {len(labelled)} labelled nodes "
            + ("together" if len(train) else "together, one left to train on"),
            got=f"{valid} and {test}",
        )
    return NodeSplit(
        dataset=dataset,
        rule=_rule(sizes),
        train=train if len(train) else rest[test + valid :],
        valid=rest[test : test + valid],
        test=rest[:test],
        seed=seed,
    )


def content_order(dataset: NodeDataset) -> np.ndarray:
    """(N,) int64: the nodes by what is said of them, whatever their numbers are.

    By text, features and degree, then by the same of their neighbours (a round of
    Weisfeiler and Lehman's relabelling); not by classes, most of which are to be
    hidden. Nodes that are alike in all of it, such as two copies of a text without
    edges, stay in the order of their numbers.
    """
    ends = np.concatenate([dataset.edges, dataset.edges[:, ::-1]])
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    degrees = np.bincount(ends[:, 0], minlength=dataset.num_nodes)
    borders = np.concatenate([[0], np.cumsum(degrees)])
    own = _digests(dataset, degrees)
    keys = []
    for node, digest in enumerate(own):
        heard = ends[borders[node] : borders[node + 1], 1]
        around = sorted(own[other] for other in heard.tolist())
        keys.append(hashlib.sha256(b"".join([digest, *around])).digest())
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)


def _digests(dataset: NodeDataset, degrees: np.ndarray) -> list[bytes]:
    """Sha256 of what is said of each node alone."""
    features = scipy.sparse.csr_array(dataset.features)
    texts = dataset.node_texts or ("",) * dataset.num_nodes
    digests = []
    for node, text in enumerate(texts):
        stored = slice(features.indptr[node], features.indptr[node + 1])
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
        digest.update(b"\0%d " % degrees[node])
        digest.update(features.indices[stored].astype("<i4").tobytes())
        digest.update(features.data[stored].astype("<f4").tobytes())
        digests.append(digest.digest())
    return digests


def _of_each_class(dataset: NodeDataset, drawn: np.ndarray, number: int) -> np.ndarray:
    """The first nodes of each class, of a drawn order; none for 0."""
    if not number:
        return drawn[:0]
    classes = dataset.labels[drawn]
    counts = np.bincount(classes, minlength=dataset.num_classes)
    fewest = int(counts.argmin())
    if counts[fewest] < number:
        raise UserError.field(
            "node.train_per_class",
            expected=f"no more than the {counts[fewest]} nodes of class "
            f"{dataset.class_names[fewest]}",
            got=number,
        )
    return np.concatenate(
        [drawn[classes == one][:number] for one in range(dataset.num_classes)]
    )


def _number(size: float, labelled: int) -> int:
    # 0.29 * 100 is a little below 29.
    return int(size) if size >= 1 else int(size * labelled + 1e-9)


def _rule(sizes: NodeSizes) -> str:
    number = sizes.train_per_class
    train = f"{number} a class, " if number else ""
    return f"random {train}valid {sizes.valid:g}, test {sizes.test:g}"
