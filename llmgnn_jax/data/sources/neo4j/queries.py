"""Cypher with names that came from a user, quoted."""

from collections.abc import Sequence

from llmgnn_jax.errors import UserError


def quoted(name: str) -> str:
    """A label, type or property as Cypher has it, whatever its characters.

    Raises:
        UserError: If it is empty, or holds what some servers read as an escape.
    """
    # Neo4j 4 turns \uXXXX into a character before it looks for backticks.
    if not name or "\\u" in name or "\0" in name:
        raise UserError.field(
            "a label, type or property",
            expected="a name without \\u and not empty",
            got=repr(name),
        )
    return "`" + name.replace("`", "``") + "`"


def match_nodes(label: str, columns: Sequence[tuple[str, str]]) -> str:
    """Reads properties of all nodes of a label.

    Args:
        label: Of the nodes.
        columns: (property, column) of each that is read.
    """
    return f"MATCH (n:{quoted(label)}) RETURN {_returned('n', columns)}"


def match_links(
    head: tuple[str, Sequence[tuple[str, str]]],
    type_: str,
    tail: tuple[str, Sequence[tuple[str, str]]],
    columns: Sequence[tuple[str, str]],
) -> str:
    """Reads relationships between nodes of two labels, from head to tail.

    Args:
        head: Label, and (property, column) of each that is read.
        type_: Of the relationships.
        tail: As `head`.
        columns: Of the relationship.
    """
    parts = [_returned("h", head[1]), _returned("t", tail[1])]
    if columns:
        parts.append(_returned("r", columns))
    return f"MATCH {links(head[0], type_, tail[0])} RETURN {', '.join(parts)}"


def links(head_label: str, type_: str, tail_label: str) -> str:
    """The pattern of relationships r between nodes h and t."""
    head, tail = quoted(head_label), quoted(tail_label)
    return f"(h:{head})-[r:{quoted(type_)}]->(t:{tail})"


def _returned(variable: str, columns: Sequence[tuple[str, str]]) -> str:
    return ", ".join(
        f"{variable}.{quoted(property_)} AS {quoted(column)}"
        for property_, column in columns
    )
