"""`InteractionGraph`: a `jraph.GraphsTuple` with its sorted/CSR plan and spare room.

Shapes: N node slots, E directed edge slots; `NodeLayout` says which node a user or an
item is. The last node is jraph's padding node: all spare edges go from it to itself
with weight 0, so `jraph.get_edge_padding_mask` and `jraph.get_node_padding_mask` hold,
and edges stay sorted by receiver.

The shapes do not change when users, items and edges are added within capacity, so
compiled programs are used again.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import jax
import jax.numpy as jnp
import jraph
import numpy as np

from llmgnn_jax.data.splits import TrainSplit
from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.node_layout import NodeLayout
from llmgnn_jax.graph.plan import EdgePlan, plan_edges


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["graph", "plan", "degrees", "connected", "num_users", "num_items"],
    meta_fields=["layout", "self_loops"],
)
@dataclass(frozen=True, kw_only=True)
class InteractionGraph:
    """Users, items and entities as nodes, interactions and links as edges both ways.

    Attributes:
        graph: `nodes` is None until a model fills in features (N, D); `edges` is
            {"weight": (E,) float32}, normalised, 0 on spare edges; `senders` and
            `receivers` (E,) int32, sorted by (receiver, sender).
        plan: The CSR plan of its edges.
        degrees: (N,) float32, sum of the raw weights of edges into a node, self-loops
            included; 0 for a node without edges.
        connected: (N,) bool, whether an edge from another node leads into it.
        num_users: () int32, user slots in use.
        num_items: () int32, item slots in use.
        layout: Which node each user and item slot is.
        self_loops: Whether each node in use has an edge to itself.
    """

    graph: jraph.GraphsTuple
    plan: EdgePlan
    degrees: jax.Array
    connected: jax.Array
    num_users: jax.Array
    num_items: jax.Array
    layout: NodeLayout
    self_loops: bool

    @property
    def user_capacity(self) -> int:
        """User slots."""
        return self.layout.user_capacity

    @property
    def item_capacity(self) -> int:
        """Item slots."""
        return self.layout.item_capacity

    @property
    def num_nodes(self) -> int:
        """N, the spare slots and the padding node included."""
        return self.layout.num_nodes

    @property
    def edge_capacity(self) -> int:
        """E, the spare edges included."""
        return self.graph.senders.shape[0]

    def split_nodes(self, nodes_ND: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Node vectors as (user_capacity, D) and (item_capacity, D)."""
        return self.layout.split(nodes_ND)

    def join_nodes(self, users_UD: jax.Array, items_ID: jax.Array) -> jax.Array:
        """(N, D) node vectors from both sides."""
        return self.layout.join(users_UD, items_ID)


@dataclass(frozen=True, kw_only=True, eq=False)
class SupportEdges:
    """What a new user or item is known by when it comes after training.

    A type of its own: held-out positives (`Csr`) and splits are not accepted where it
    is asked for.

    Attributes:
        users: (S,) int, user slots; those from `num_users` on are new.
        items: (S,) int, item slots likewise. Each pair has a new side.
    """

    users: np.ndarray
    items: np.ndarray


def build(
    train: TrainSplit,
    *,
    self_loops: bool = False,
    spare_users: int = 0,
    spare_items: int = 0,
    spare_edges: int = 0,
    groups: int = 1,
    buckets: bool = False,
    relations: Mapping[str, float] = MappingProxyType({}),
) -> InteractionGraph:
    """Builds the graph of a train split, symmetrically normalised.

    The weight of an edge from u to v is a_uv / sqrt(d_u d_v), with a_uv = 1 for an
    interaction and d the sum of a node's a, plus 1 with self-loops (Kipf and Welling
    2017, eq. 2; He et al. 2020, eq. 3). A repeated interaction counts once.

    Links of relations are edges like interactions; their a is the link's weight times
    that of its relation, and the sum of these where two nodes are linked in several
    ways. The weights are symmetric, so a directed link is heard both ways here;
    `relational.build_relational` keeps directions and relations apart.

    Args:
        train: The train part of a split; nothing else is accepted.
        self_loops: Whether each node in use has an edge to itself (GCN).
        spare_users: User slots to keep free.
        spare_items: Item slots to keep free.
        spare_edges: Directed edge slots to keep free.
        groups: Into how many blocks of one size the nodes are dealt.
        buckets: Whether to lay out what the backend `bucketed` reads.
        relations: Names of the train split's relations -> weight, above 0.

    Raises:
        TypeError: If `train` is not a `TrainSplit`.
    """
    if not isinstance(train, TrainSplit):
        raise TypeError(
            "build takes Split.training(), so that no held-out interaction can reach "
            f"the graph; got {type(train).__name__}"
        )
    kinds = linked_kinds(train, relations)
    layout = NodeLayout.holding(
        users=train.num_users + spare_users,
        items=train.num_items + spare_items,
        others=sum(train.num_entities[kind] for kind in kinds),
        groups=groups,
        people=train.people,
    )
    sender, receiver, raw = _edges(train, layout, relations, kinds)
    if self_loops:
        nodes = [
            layout.other_nodes(np.arange(sum(train.num_entities[k] for k in kinds))),
            layout.item_nodes(np.arange(train.num_items)),
        ]
        if not train.people:
            nodes.append(layout.user_nodes(np.arange(train.num_users)))
        loops = np.concatenate(nodes)
        sender, receiver = (np.concatenate([end, loops]) for end in (sender, receiver))
        raw = np.concatenate([raw, np.ones(len(loops))])
    degrees = np.bincount(receiver, weights=raw, minlength=layout.num_nodes)
    weights = raw / np.sqrt(degrees[sender] * degrees[receiver])
    return _assemble(
        sender,
        receiver,
        weights,
        degrees=degrees,
        # One at least: an empty CSR has no kernel on some backends.
        edge_capacity=len(sender) + max(spare_edges, 1),
        num_users=train.num_users,
        num_items=train.num_items,
        layout=layout,
        self_loops=self_loops,
        buckets=buckets,
    )


def linked_kinds(train: TrainSplit, relations: Mapping[str, float]) -> tuple[str, ...]:
    """The kinds of entities that some relations link, in the order of their nodes."""
    named = {kind for name in relations for kind in train.relations[name].kinds}
    return tuple(kind for kind in train.num_entities if kind in named)


def _edges(
    train: TrainSplit,
    layout: NodeLayout,
    relations: Mapping[str, float],
    kinds: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Senders, receivers and raw weights of all edges, both ways, each pair once."""
    pairs = train.csr()
    users, items = pairs.pairs()
    ends = [(layout.user_nodes(users), layout.item_nodes(items.astype(np.int64)))]
    raw = [np.ones(pairs.nnz)]
    if not relations and not train.people:
        (one, other), (weights,) = ends[0], raw
        return (
            np.concatenate([one, other]),
            np.concatenate([other, one]),
            np.concatenate([weights, weights]),
        )
    sizes = [train.num_entities[kind] for kind in kinds]
    firsts = dict(zip(kinds, np.cumsum([0, *sizes]).tolist(), strict=False))

    def nodes(kind: str, slots: np.ndarray) -> np.ndarray:
        slots = slots.astype(np.int64)
        if kind in firsts:
            return layout.other_nodes(slots + firsts[kind])
        return (layout.user_nodes if kind == "user" else layout.item_nodes)(slots)

    if train.people:
        # A link that is there in both directions is one edge.
        smaller, larger = np.unique(np.sort(np.stack(ends[0]), axis=0), axis=1)
        ends, raw = [(smaller, larger)], [np.ones(len(smaller))]
    for name, weight in relations.items():
        relation = train.relations[name]
        heads_of, tails_of = relation.kinds
        ends.append((nodes(heads_of, relation.heads), nodes(tails_of, relation.tails)))
        raw.append(weight * relation.weights.astype(np.float64))
    heads, tails = (np.concatenate(end) for end in zip(*ends, strict=True))
    sender, receiver = np.concatenate([heads, tails]), np.concatenate([tails, heads])
    # Two nodes may be linked in several ways: then there is one edge, of their sum.
    codes, places = np.unique(sender * layout.num_nodes + receiver, return_inverse=True)
    sums = np.bincount(places, weights=np.tile(np.concatenate(raw), 2))
    return codes // layout.num_nodes, codes % layout.num_nodes, sums


def extend(
    graph: InteractionGraph, support: SupportEdges, *, at_least_items: int = 0
) -> InteractionGraph:
    """Folds new users and items in by their edges, without a change of any shape.

    Edges lead into the new nodes only: a new user hears of its items, what was trained
    stays as it was. An edge from u to v has the weight 1 / sqrt(d_u d_v), d_u of a
    trained node as it was in training. Built with self-loops, each new node gets one.

    Args:
        graph: As built; may have been extended before.
        support: What the new ones are known by.
        at_least_items: How many item slots are in use then, if not more: a new item may
            have no edge yet.

    Returns:
        A graph of the same shapes with the slots up to the highest new one in use.

    Raises:
        TypeError: If `support` is not a `SupportEdges`.
        UserError: If a slot or an edge is beyond capacity (the fix names the field to
            raise), or both sides of a pair were trained.
    """
    if not isinstance(support, SupportEdges):
        raise TypeError(
            "extend takes SupportEdges: what a newcomer is known by, never held-out "
            f"targets; got {type(support).__name__}"
        )
    layout = graph.layout
    num_users, num_items = int(graph.num_users), int(graph.num_items)
    pairs = np.unique(
        np.stack([np.asarray(support.users), np.asarray(support.items)], 1).reshape(
            -1, 2
        ),
        axis=0,
    ).astype(np.int64)
    users, items = pairs[:, 0], pairs[:, 1]
    wanted_items = max(num_items, at_least_items)
    for name, slots, capacity in (
        ("users", users, layout.user_capacity),
        ("items", np.append(items, wanted_items - 1), layout.item_slots),
    ):
        if len(slots) and not (slots.min() >= 0 and slots.max() < capacity):
            raise UserError.field(
                f"support.{name}",
                expected=f"slots in [0, {capacity})",
                got=f"{slots.min()} to {slots.max()}",
                fix=f"train with more room, --graph.spare-{name}",
            )
    new_user, new_item = users >= num_users, items >= num_items
    if not (new_user | new_item).all():
        row = int(np.flatnonzero(~(new_user | new_item))[0])
        raise UserError.field(
            "support",
            expected="a new user or a new item in each pair",
            got=f"user slot {users[row]} with item slot {items[row]}, both trained",
            fix="train again to learn new interactions between known ones",
        )
    new_num_users = max(num_users, int(users.max(initial=-1)) + 1)
    new_num_items = max(num_items, int(items.max(initial=-1)) + 1, wanted_items)
    user_nodes, item_nodes = layout.user_nodes(users), layout.item_nodes(items)
    senders = [item_nodes[new_user], user_nodes[new_item]]
    receivers = [user_nodes[new_user], item_nodes[new_item]]
    if graph.self_loops:
        nodes = np.concatenate(
            [
                layout.user_nodes(np.arange(num_users, new_num_users)),
                layout.item_nodes(np.arange(num_items, new_num_items)),
            ]
        )
        senders.append(nodes)
        receivers.append(nodes)
    sender, receiver = np.concatenate(senders), np.concatenate(receivers)
    used = int(graph.plan.num_edges)
    old_sender = np.asarray(graph.graph.senders)[:used].astype(np.int64)
    old_receiver = np.asarray(graph.graph.receivers)[:used].astype(np.int64)
    old_weights = np.asarray(graph.graph.edges["weight"])[:used].astype(np.float64)
    if used + len(sender) >= graph.edge_capacity:
        raise UserError.field(
            "support",
            expected=f"at most {graph.edge_capacity - used - 1} more edges",
            got=len(sender),
            fix="train with more room, --graph.spare-edges",
        )
    degrees = np.asarray(graph.degrees, np.float64) + np.bincount(
        receiver, minlength=graph.num_nodes
    )
    weights = 1.0 / np.sqrt(np.maximum(degrees[sender], 1.0) * degrees[receiver])
    return _assemble(
        np.concatenate([old_sender, sender]),
        np.concatenate([old_receiver, receiver]),
        np.concatenate([old_weights, weights]),
        degrees=degrees,
        edge_capacity=graph.edge_capacity,
        num_users=new_num_users,
        num_items=new_num_items,
        layout=layout,
        self_loops=graph.self_loops,
        # Their shapes would change with the degrees: newcomers do without.
        buckets=False,
    )


def _assemble(
    senders: np.ndarray,
    receivers: np.ndarray,
    weights: np.ndarray,
    *,
    degrees: np.ndarray,
    edge_capacity: int,
    num_users: int,
    num_items: int,
    layout: NodeLayout,
    self_loops: bool,
    buckets: bool,
) -> InteractionGraph:
    """Sorts, pads to capacity and plans."""
    num_nodes = layout.num_nodes
    if max(num_nodes, edge_capacity) >= 2**31:
        raise UserError.field(
            "graph", expected="fewer than 2**31 nodes and edges", got=edge_capacity
        )
    used, spare = len(senders), edge_capacity - len(senders)
    connected = np.bincount(receivers[senders != receivers], minlength=num_nodes) > 0
    order = np.lexsort((senders, receivers))
    padding = np.full(spare, num_nodes - 1)
    senders = np.concatenate([senders[order], padding]).astype(np.int32)
    receivers = np.concatenate([receivers[order], padding]).astype(np.int32)
    weights = np.concatenate([weights[order], np.zeros(spare)]).astype(np.float32)
    plan = plan_edges(
        senders,
        receivers,
        num_nodes,
        weights=weights,
        num_edges=used,
        buckets=buckets,
    )
    graph = jraph.GraphsTuple(
        nodes=None,
        edges={"weight": plan.incoming.weights},
        senders=plan.incoming.others,
        receivers=plan.incoming.own,
        globals=None,
        n_node=jnp.asarray([num_nodes - 1, 1], jnp.int32),
        n_edge=jnp.asarray([used, spare], jnp.int32),
    )
    return InteractionGraph(
        graph=graph,
        plan=plan,
        degrees=jnp.asarray(degrees.astype(np.float32)),
        connected=jnp.asarray(connected),
        num_users=jnp.asarray(num_users, jnp.int32),
        num_items=jnp.asarray(num_items, jnp.int32),
        layout=layout,
        self_loops=self_loops,
    )
