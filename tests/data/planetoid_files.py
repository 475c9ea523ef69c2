"""A small graph as Planetoid's graphs are published: arrays, and pickles of Python 2.

Node 507 lies between the tested ones and is in no file, as some of Citeseer are.
"""

import struct

import numpy as np
import scipy.sparse

KNOWN, TESTED, NUM_TRAIN = 506, 3, 4
PLACES = (509, 506, 508)


def graph() -> dict[str, np.ndarray]:
    """A small graph under the names of NAME.npz."""
    rng = np.random.default_rng(0)
    num_nodes = max(PLACES) + 1
    features = scipy.sparse.random_array(
        (num_nodes, 6), density=0.4, rng=rng, dtype=np.float32
    ).toarray()
    labels = rng.integers(0, 3, num_nodes)
    features[507], labels[507] = 0, -1
    ends = np.unique(np.sort(rng.integers(0, num_nodes, (900, 2)), axis=1), axis=0)
    sparse = scipy.sparse.csr_array(features)
    return {
        "x_indptr": sparse.indptr,
        "x_indices": sparse.indices,
        "x_data": sparse.data,
        "x_shape": np.array(sparse.shape),
        "y": labels,
        "edges": ends[ends[:, 0] < ends[:, 1]],
        "train_idx": np.arange(NUM_TRAIN),
        "val_idx": np.arange(NUM_TRAIN, NUM_TRAIN + 500),
        "test_idx": np.array(sorted(PLACES)),
    }


# As Python 2 and the NumPy and SciPy of 2016 write them, without a pickle's ends.
def pickled_text(word: str) -> bytes:
    return b"U" + struct.pack("<B", len(word)) + word.encode()


def pickled_number(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def pickled_array(array: np.ndarray, *, kind: str | None = None) -> bytes:
    raw = array.tobytes()
    shape = b"(" + b"".join(map(pickled_number, array.shape)) + b"t"
    kind = kind or array.dtype.str[1:]
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01"
        + shape
        + b"cnumpy\ndtype\n("
        + pickled_text(kind)
        + b"K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(raw))
        + raw
        + b"tb"
    )


def pickled_matrix(matrix: scipy.sparse.csr_array) -> bytes:
    parts = [
        pickled_text("_shape")
        + b"("
        + b"".join(map(pickled_number, matrix.shape))
        + b"t"
    ]
    parts += [
        pickled_text(name) + pickled_array(getattr(matrix, name))
        for name in ("indptr", "indices", "data")
    ]
    return b"cscipy.sparse.csr\ncsr_matrix\n)\x81}(" + b"".join(parts) + b"ub"


def pickled_neighbours(lists: dict[int, list[int]]) -> bytes:
    parts = [
        pickled_number(node) + b"](" + b"".join(map(pickled_number, near)) + b"e"
        for node, near in lists.items()
    ]
    start = b"ccollections\ndefaultdict\n(c__builtin__\nlist\ntR("
    return start + b"".join(parts) + b"u"


def pickled(content: bytes) -> bytes:
    """A pickle of protocol 2."""
    return b"\x80\x02" + content + b"."


def raw_files() -> dict[str, bytes]:
    """The graph as Planetoid would publish it."""
    said = graph()
    features = scipy.sparse.csr_array(
        (said["x_data"], said["x_indices"], said["x_indptr"]), said["x_shape"]
    )
    one_hot = np.eye(3, dtype=np.int32)[said["y"]]
    lists: dict[int, list[int]] = {node: [node] for node in range(len(said["y"]))}
    for one, other in said["edges"].tolist():
        lists[one] += [other, other]  # Planetoid's lists repeat themselves
        lists[other].append(one)
    parts = {
        "allx": pickled_matrix(features[:KNOWN]),
        "ally": pickled_array(one_hot[:KNOWN]),
        "tx": pickled_matrix(features[list(PLACES)]),
        "ty": pickled_array(one_hot[list(PLACES)]),
        "y": pickled_array(one_hot[:NUM_TRAIN]),
        "graph": pickled_neighbours(lists),
    }
    places = "".join(f"{place}\n" for place in PLACES)
    return {
        **{f"ind.tiny.{part}": pickled(content) for part, content in parts.items()},
        "ind.tiny.test.index": places.encode(),
    }
