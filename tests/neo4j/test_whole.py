"""100,000 ratings there and back, trained on, and recommended: within three minutes."""

import json
import logging
import time

import numpy as np
import pytest

from llmgnn_jax.data import catalog
from llmgnn_jax.data.dataset import Dataset
from llmgnn_jax.data.sources.neo4j import write_dataset

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("workplace")]

logger = logging.getLogger(__name__)

LIMIT_S = 180
RATINGS, USERS, ITEMS, K = 100_000, 943, 1_682, 10


def ratings():
    """As many as MovieLens-100K has, of as many users and films."""
    rng = np.random.default_rng(0)
    chances = 1 / np.arange(10, 10 + ITEMS)
    pairs = rng.choice(
        USERS * ITEMS,
        RATINGS,
        replace=False,
        p=np.tile(chances / chances.sum() / USERS, USERS),
    )
    users, items = np.divmod(pairs, ITEMS)
    return Dataset(
        name="ratings",
        user_ids=tuple(map(str, range(USERS))),
        item_ids=tuple(f"film {n}" for n in range(ITEMS)),
        users=users,
        items=items,
        values=rng.integers(1, 6, RATINGS),
        timestamps=rng.integers(1, 2**31, RATINGS),
        item_titles=tuple(f"Film {n}" for n in range(ITEMS)),
        item_texts=tuple(f"Film {n}. Drama." for n in range(ITEMS)),
        item_numeric={"year": 1920.0 + np.arange(ITEMS) % 80},
    )


def test_there_and_back(server, llmgnn, tmp_path):
    began = time.monotonic()

    def spent(stage):
        logger.info("%s: %.1f s", stage, time.monotonic() - began)

    dataset = ratings()
    write_dataset(dataset, connection=server.connection)
    spent("written")
    document = tmp_path / "ratings.toml"
    document.write_text(
        server.toml(
            '[interactions]\nuser_label = "User"\nitem_label = "Item"\ntype = "RATED"\n'
            'value = "value"\ntime = "time"\n[users]\n[items]\ntitle = "title"\n'
            'text = "text"\nnumeric = "year"'
        ),
        "utf-8",
    )
    assert catalog.load(document).content_hash() == dataset.content_hash()
    spent("read")
    code, _, err = llmgnn(
        *("train", "ml-100k", "--data.source", document, "--out", "run"),
        *("--models", "graph", "--evaluation.baselines", "False"),
        *("--train.steps", 8, "--train.validate-every", 8),
        *("--train.checkpoint-every", 8),
    )
    assert code == 0, err
    spent("trained")
    command = ("write-back", "run", "--to", document, "--k", K, "--json")
    code, out, err = llmgnn(*command)
    assert code == 0, err
    spent("written back")
    first = json.loads(out)
    assert (first["users"], first["written"]) == (USERS, USERS * K)
    query = (
        "MATCH (u:User)-[r:RECOMMENDED]->(i:Item) RETURN u.id AS user_id, i.id AS "
        "item_id, r.rank AS place, r.score AS score, r.written_at AS written_at"
    )
    there = set(server.ask(query))
    assert len(there) == USERS * K
    code, out, err = llmgnn(*command)
    assert code == 0, err
    spent("written back again")
    again = json.loads(out)
    assert (again["written"], again["removed"]) == (0, 0)
    assert again["unchanged"] == USERS * K
    assert set(server.ask(query)) == there
    assert time.monotonic() - began < LIMIT_S
