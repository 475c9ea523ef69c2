"""Evidence made by hand, with names that are hard."""

from collections.abc import Callable

import pytest

from llmgnn_jax.evidence.explanation import (
    Entity,
    Evidence,
    EvidenceEdge,
    EvidencePath,
    TextOverlap,
)
from llmgnn_jax.speaking.names import Names, ValueName

TITLES = (
    "Fargo (1996)",
    "Godfather, The (1972)",
    "Godfather: Part II, The (1974)",
    "Alien (1979)",
    "Aliens (1986)",
    "Heat (1995)",
    "Sabrina (1995)",
    "Sabrina (1954)",
    "Postino, Il (1994)",
    "Seven (Se7en) (1995)",
    "That Thing You Do! (1996)",
    "Game, The (1997)",
    "Two Friends (1986)",
    "Show, The (1995)",
)
GENRES = ("Action", "Comedy", "Crime", "Drama", "Film-Noir", "Sci-Fi", "War")


@pytest.fixture(scope="session")
def titles() -> tuple[str, ...]:
    return TITLES


@pytest.fixture(scope="session")
def names() -> Names:
    """What a small catalogue calls things."""
    return Names(enumerate(TITLES), [ValueName("genre", one) for one in GENRES])


def item(slot: int, title: str | None = None) -> Entity:
    name = TITLES[slot] if title is None else title
    return Entity(kind="item", slot=slot, id=str(slot + 1), name=name)


@pytest.fixture(scope="session")
def evidence() -> Callable[..., Evidence]:
    """(target, (item, people, rating), ...) -> what a user's items say for it."""

    def made(
        target: int,
        *had: tuple[int, int, float],
        neighbours: int = 0,
        genre: str = "",
        words: tuple[str, ...] = (),
        called: dict[int, str] | None = None,
    ) -> Evidence:
        called = called or {}
        user = Entity(kind="user", slot=7, id="196")
        about = item(target, called.get(target))
        edges, paths = [], []

        def add(head: Entity, tail: Entity, relation: str, weight: float) -> int:
            number = len(edges) + 1
            edges.append(
                EvidenceEdge(
                    number=number,
                    head=head,
                    tail=tail,
                    relation=relation,
                    attribution=1.0 / number,
                    weight=weight,
                )
            )
            return number

        for slot, people, rating in had:
            number = add(user, item(slot, called.get(slot)), "interaction", rating)
            paths.append(
                EvidencePath(
                    edges=(number,), kind="liked item", share=0.3, people=people
                )
            )
        if neighbours:
            other = Entity(kind="user", slot=3, id="")
            number = add(other, about, "interaction", 4.0)
            paths.append(
                EvidencePath(
                    edges=(number,), kind="neighbour", share=0.1, people=neighbours
                )
            )
        if genre:
            of = Entity(
                kind="other", slot=0, id=genre, name=genre, relation_kind="genre"
            )
            number = add(about, of, "genre", 1.0)
            paths.append(EvidencePath(edges=(number,), kind="attribute", share=0.1))
        text = TextOverlap(score=0.1, words=words, from_history=True)
        return Evidence(
            user=user,
            item=about,
            score=1.0,
            score_without_edges=0.0,
            edges=tuple(edges),
            other_edges=0.1,
            text=text if words else None,
            paths=tuple(paths),
        )

    return made
