"""A run's data without its arrays: shapes of the graph, of texts, of train pairs."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jraph

from llmgnn_jax.config import Config
from llmgnn_jax.graph.node_layout import NodeLayout
from llmgnn_jax.graph.structure import InteractionGraph
from llmgnn_jax.models.features import TextFeatures
from llmgnn_jax.parallel.exchange import EdgeBlock, Exchange, Shares
from llmgnn_jax.parallel.popularity import Popularity
from llmgnn_jax.parallel.sampling import SharedTable
from llmgnn_jax.planning.cut import Cut
from llmgnn_jax.training.alias import AliasTable
from llmgnn_jax.training.known_items import KnownItems


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of the data.

    Attributes:
        users: How many.
        items: How many.
        interactions: M, different pairs.
        tokens: Of the longest text of an item.
    """

    users: int
    items: int
    interactions: int
    tokens: int

    def layout(self, config: Config, shares: int) -> NodeLayout:
        """Where they stand, dealt into as many groups as there are devices."""
        return NodeLayout.holding(
            users=self.users + config.graph.spare_users,
            items=self.items + config.graph.spare_items,
            groups=shares,
        )


def shape_of(*shape: int, dtype: Any = jnp.float32) -> Any:
    """Stands where an array does."""
    return jax.ShapeDtypeStruct(shape, dtype)


def ints(*shape: int) -> Any:
    return shape_of(*shape, dtype=jnp.int32)


def graph_of(
    config: Config,
    layout: NodeLayout,
    pieces: Cut,
    exchange: Exchange,
    popularity: Popularity,
) -> InteractionGraph:
    count, nodes = pieces.shares, layout.num_nodes
    plan: Any
    if config.graph.fanouts:
        plan = SharedTable(
            indptr=ints(nodes + count),
            neighbours=ints(count * pieces.edges),
            popularity=popularity,
        )
    else:
        plan = _shares(config, layout, pieces, exchange)
    return InteractionGraph(
        graph=jraph.GraphsTuple(
            nodes=None,
            edges=None,
            senders=None,
            receivers=None,
            globals=None,
            n_node=ints(2),
            n_edge=ints(2),
        ),
        plan=plan,
        degrees=shape_of(nodes),
        connected=shape_of(nodes, dtype=bool),
        num_users=ints(),
        num_items=ints(),
        layout=layout,
        self_loops=config.graph.layer == "gcn",
    )


def validation_graph(
    config: Config, layout: NodeLayout, pieces: Cut, exchange: Exchange
) -> Shares | None:
    """What a run that draws neighbours holds beside: validation hears all of them."""
    validates = not config.data.takes_valid_share or config.data.valid_share > 0
    if not config.graph.fanouts or not validates:
        return None
    return _shares(config, layout, pieces, exchange)


def _shares(
    config: Config, layout: NodeLayout, pieces: Cut, exchange: Exchange
) -> Shares:
    count, own = pieces.shares, layout.num_nodes // pieces.shares
    # A self-loop never leaves its device.
    loops = own if config.graph.layer == "gcn" else 0

    def block(*shape: int, pointers: bool = True) -> EdgeBlock:
        return EdgeBlock(
            own=ints(*shape),
            others=ints(*shape),
            weights=shape_of(*shape),
            indptr=ints(count, own + 1) if pointers else None,
        )

    if exchange == "all_gather":
        near, far, send = block(count, pieces.edges + loops), None, None
    elif exchange == "ring":
        near = block(count, count, pieces.block + loops, pointers=False)
        far, send = None, None
    else:
        near = block(count, pieces.near + loops)
        far, send = block(count, pieces.far), ints(count, count, pieces.halo)
    return Shares(near=near, far=far, send=send, exchange=exchange)


def texts_of(layout: NodeLayout, width: int) -> TextFeatures:
    users, items = layout.user_capacity, layout.item_capacity
    return TextFeatures(
        item_IT=shape_of(items, width),
        item_known_I=shape_of(items, dtype=bool),
        user_UT=shape_of(users, width),
        user_parts_U=ints(users),
        from_history_U=shape_of(users, dtype=bool),
    )


def pairs_of(
    config: Config, sizes: Sizes, layout: NodeLayout, pieces: Cut
) -> dict[str, Any]:
    """The train pairs, as `TrainData` has them."""
    count = pieces.shares
    examples = None
    if config.train.examples == "interactions":
        examples = ints(_up(sizes.interactions, count))
    popularity = None
    if config.train.negatives == "popularity":
        slots = layout.item_capacity
        popularity = AliasTable(
            accept_I=shape_of(slots),
            other_I=ints(slots),
            log_share_I=shape_of(slots),
            size=sizes.items,
        )
    return {
        "popularity": popularity,
        "users_E": examples,
        "items_E": examples,
        "known": KnownItems(
            indptr=ints(layout.user_capacity + count),
            indices=ints(count * pieces.pairs),
            bits=None,
            longest=pieces.most_items,
            num_items=layout.item_capacity,
            num_users=layout.user_capacity,
        ),
        "item_counts_I": shape_of(layout.item_capacity),
        "active_users_A": ints(_up(sizes.users, count)),
    }


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
