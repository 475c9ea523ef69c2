"""A graph of texts as CANE has it: data.txt, group.txt and graph.txt.

    data.txt   line i: the text of node i, counted from 0
    group.txt  line i: its class, a name without spaces; empty where it has none
    graph.txt  two node numbers a line: an edge

Tu, Liu, Liu and Sun, "CANE: Context-Aware Network Embedding for Relation Modeling"
(2017). Edges are taken as undirected. Those from a node to itself, and those that are
said again, in the same direction or the other, are left out and counted in a warning;
so are nodes without a class, which stay and lie in no part of a split.
"""

import logging
from pathlib import Path

import numpy as np

from llmgnn_jax.data.node_dataset import UNLABELLED, NodeDataset
from llmgnn_jax.data.sources.files import open_file, unreadable
from llmgnn_jax.errors import UserError

logger = logging.getLogger(__name__)

FILES = ("data.txt", "group.txt", "graph.txt")


def read_cane(folder: Path | str, *, name: str | None = None) -> NodeDataset:
    """Reads a folder in CANE's layout.

    Classes are numbered by their names, whole numbers in their order, else by the
    alphabet. Nodes have texts and no other features.

    Args:
        folder: Holds the three files.
        name: The dataset's name; the folder's name if not given.

    Raises:
        UserError: For a file that is missing, no UTF-8 or empty, lines that do not
            match those of data.txt, or an edge that is no pair of node numbers.
    """
    folder = Path(folder)
    texts = [line.strip() for line in _lines(folder / "data.txt")]
    groups = [line.strip() for line in _lines(folder / "group.txt")]
    if len(groups) != len(texts):
        raise UserError.field(
            "group.txt",
            expected=f"a line for each of the {len(texts)} texts in data.txt",
            got=f"{len(groups)} lines",
            fix="leave the line of a node without a class empty, the last one with a "
            "newline too",
        )
    class_names = _class_names(groups)
    number_of = {one: number for number, one in enumerate(class_names)}
    edges, loops, repeats = _edges(folder / "graph.txt", len(texts))
    for count, what in (
        (texts.count(""), "nodes without a text"),
        (groups.count(""), "nodes without a class, which lie in no part"),
        (loops, "edges from a node to itself, left out"),
        (repeats, "edges that were said before, in one direction or the other"),
    ):
        if count:
            logger.warning("%s: %s: %d", folder, what, count)
    return NodeDataset(
        name=name or folder.name,
        features=np.zeros((len(texts), 0), np.float32),
        labels=np.array([number_of.get(one, UNLABELLED) for one in groups]),
        edges=edges,
        class_names=class_names,
        node_texts=tuple(texts),
    )


def _lines(path: Path) -> list[str]:
    """Its lines, without a last one that is empty."""
    try:
        # Not `splitlines`: a text may hold a form feed or a Unicode line separator.
        with open_file(path) as file:
            lines = file.read().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise UserError.field(path.name, expected="UTF-8", got=error) from None
    if not lines[-1]:
        del lines[-1]
    if not lines:
        raise UserError.field(path.name, expected="at least one line", got="none")
    return lines


def _class_names(groups: list[str]) -> tuple[str, ...]:
    for row, one in enumerate(groups):
        if len(one.split()) > 1:
            raise UserError.field(
                f"group.txt, line {row + 1}",
                expected="one class, or nothing",
                got=repr(one[:40]),
            )
    names = set(groups) - {""}
    if not names:
        raise UserError.field(
            "group.txt", expected="the class of at least one node", got="none"
        )
    if all(one.isdecimal() and len(one) <= 18 for one in names):
        return tuple(sorted(names, key=lambda one: (int(one), one)))
    return tuple(sorted(names))


def _edges(path: Path, num_nodes: int) -> tuple[np.ndarray, int, int]:
    """(M, 2) different edges, the smaller node first; self-loops and repeats."""
    pairs = []
    for row, line in enumerate(_lines(path)):
        words = line.split()
        # What `int` takes beside digits, such as 1_0, is no node number.
        if len(words) != 2 or not all(
            word.isascii() and word.isdigit() and len(word) <= 18 for word in words
        ):
            raise UserError.field(
                f"graph.txt, line {row + 1}",
                expected="two node numbers",
                got=repr(line.strip()[:40]),
            )
        pair = int(words[0]), int(words[1])
        if max(pair) >= num_nodes:
            raise UserError.field(
                f"graph.txt, line {row + 1}",
                expected=f"nodes 0 to {num_nodes - 1}, the lines of data.txt",
                got=max(pair),
            )
        pairs.append(pair)
    ends = np.sort(np.array(pairs, np.int64).reshape(-1, 2), axis=1)
    real = ends[ends[:, 0] < ends[:, 1]]
    distinct = np.unique(real, axis=0)
    return distinct, len(ends) - len(real), len(real) - len(distinct)
