"""Worlds by what they are of, each made once."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.evidence.worlds import World, made_world


@pytest.fixture(scope="session")
def world() -> Callable[..., World]:
    """(sides=, layer=, ..., filter=, relations=, rating=) -> a `World`, made once."""
    made: dict[tuple[tuple[str, object], ...], World] = {}

    def get(**options: Any) -> World:
        key = tuple(sorted((name, str(one)) for name, one in options.items()))
        if key not in made:
            made[key] = made_world(**options)
        return made[key]

    return get
