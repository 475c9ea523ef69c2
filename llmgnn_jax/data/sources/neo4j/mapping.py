"""Which labels, types and properties of a graph make up a dataset.

In Python these dataclasses, in a TOML document one table each (`document`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from llmgnn_jax.data.relations import SIDES
from llmgnn_jax.data.sources.neo4j.connection import Connection
from llmgnn_jax.errors import UserError

TimeUnit = Literal["s", "ms"]


@dataclass(frozen=True, kw_only=True)
class Interactions:
    """Relationships from users to items, or a query that returns them.

    Attributes:
        user_label: Of the nodes that are users.
        item_label: Of the nodes that are items.
        type: Of the relationships, which lead from users to items.
        user_id: The property that tells users apart.
        item_id: Likewise.
        value: The relationship's rating or weight; 1 for all where there is none.
        time: Its time: a number since 1970, or a temporal value.
        time_unit: Of times that are numbers.
        text: Its words (a review), which are held out with it.
        cypher: In place of `type`, `value`, `time` and `text`: a query that returns
            user_id and item_id, and value, time and text if it likes. Labels and id
            properties are then needed for what is written back alone.
    """

    user_label: str | None = None
    item_label: str | None = None
    type: str | None = None
    user_id: str = "id"
    item_id: str = "id"
    value: str | None = None
    time: str | None = None
    time_unit: TimeUnit = "s"
    text: str | None = None
    cypher: str | None = None

    def __post_init__(self) -> None:
        where = "interactions"
        if self.cypher is None:
            _required(self, where, ("user_label", "item_label", "type"))
        else:
            _replaced(self, where, ("type", "value", "time", "text"))
        if self.time_unit not in get_args(TimeUnit):
            raise UserError.field(
                f"{where}.time_unit", expected='"s" or "ms"', got=repr(self.time_unit)
            )


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """What is known of users or of items, those without interactions too.

    Attributes:
        label: Of the nodes; by default that of the interactions.
        id: The property that tells them apart; likewise.
        title: For people.
        text: Properties that are encoded, one after another. Without them the text of
            an item is its title and its categories.
        categorical: Properties that are a value or a list of values.
        numeric: Properties that are numbers.
        cypher: In place of `label`, `id`, `title` and `text`: a query that returns id,
            if it likes title and text, and the columns that `categorical` and `numeric`
            name.
    """

    label: str | None = None
    id: str | None = None
    title: str | None = None
    text: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    cypher: str | None = None

    def __post_init__(self) -> None:
        for name in ("text", "categorical", "numeric"):
            one = getattr(self, name)
            object.__setattr__(self, name, (one,) if isinstance(one, str) else one)
        if self.cypher is not None:
            _replaced(self, "items or users", ("label", "id", "title", "text"))


@dataclass(frozen=True, kw_only=True)
class Links:
    """Relationships beside the interactions, or a query that returns them.

    Attributes:
        heads_of: "user", "item", or a kind of its own, as "genre".
        tails_of: Likewise.
        type: Of the relationships, which lead from heads to tails.
        head_label: Of the heads; for users and items by default that of the
            interactions.
        head_id: The property that tells heads apart; likewise, else "id".
        tail_label: As for heads.
        tail_id: As for heads.
        weight: The relationship's weight, above 0; 1 for all where there is none.
        directed: Whether a link says something of its tail alone.
        cypher: In place of `type`, labels, ids and `weight`: a query that returns head
            and tail, and weight if it likes.
    """

    heads_of: str
    tails_of: str
    type: str | None = None
    head_label: str | None = None
    head_id: str | None = None
    tail_label: str | None = None
    tail_id: str | None = None
    weight: str | None = None
    directed: bool = False
    cypher: str | None = None


@dataclass(frozen=True, kw_only=True)
class Neo4jSource:
    """A dataset in a Neo4j database.

    Attributes:
        name: A label for people.
        connection: Where the database is.
        interactions: Who interacted with what.
        items: What is known of items; None reads those with interactions alone.
        users: Likewise.
        relations: Name -> links beside the interactions.

    Raises:
        UserError: For a mapping that is incomplete or contradicts itself.
    """

    name: str
    connection: Connection
    interactions: Interactions
    items: Nodes | None = None
    users: Nodes | None = None
    relations: Mapping[str, Links] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for side in SIDES:
            nodes = getattr(self, f"{side}s")
            if nodes is not None and nodes.cypher is None and not self._label(side):
                raise UserError.field(
                    f"{side}s.label", expected="a label", got="none", fix="or cypher"
                )
        if self.users is not None and self.users.title:
            raise UserError.field(
                "users.title", expected="nothing", got="a title", fix="put it into text"
            )
        for name, links in self.relations.items():
            where = f"relations.{name}"
            if links.cypher is not None:
                names = ("type", "head_label", "tail_label", "head_id", "tail_id")
                _replaced(links, where, (*names, "weight"))
                continue
            _required(links, where, ("type",))
            for end in ("head", "tail"):
                if self.end(links, end)[0] is None:
                    _required(links, where, (f"{end}_label",))

    def _label(self, side: str) -> str | None:
        nodes: Nodes | None = getattr(self, f"{side}s")
        own = nodes.label if nodes is not None else None
        return own or getattr(self.interactions, f"{side}_label")

    def nodes_of(self, side: str) -> tuple[str | None, str]:
        """The label (None where no table names one) and id property of a side."""
        nodes: Nodes | None = getattr(self, f"{side}s")
        own = nodes.id if nodes is not None else None
        return self._label(side), own or getattr(self.interactions, f"{side}_id")

    def end(self, links: Links, end: str) -> tuple[str | None, str]:
        """The label and id property of a relation's "head" or "tail"."""
        kind = getattr(links, f"{end}s_of")
        label, id_ = self.nodes_of(kind) if kind in SIDES else (None, "id")
        return (
            getattr(links, f"{end}_label") or label,
            getattr(links, f"{end}_id") or id_,
        )


def _required(mapping: Any, where: str, names: tuple[str, ...]) -> None:
    for name in names:
        if not getattr(mapping, name):
            raise UserError.field(
                f"{where}.{name}", expected="a name", got="none", fix="or give cypher"
            )


def _replaced(mapping: Any, where: str, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(mapping, name):
            raise UserError.field(
                f"{where}.{name}",
                expected="nothing beside cypher",
                got=repr(getattr(mapping, name)),
                fix=f"return it from the query, AS {name}",
            )
