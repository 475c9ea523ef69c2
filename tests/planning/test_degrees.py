"""The law that stands in for a graph: its mean, its tail, and what it was fitted to."""

import numpy as np
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.planning.degrees import LAWS, DegreeLaw, Degrees, law_of


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize(("count", "edges"), [(1000, 20_000), (10**9, 10**10)])
def test_degrees_add_up(name, count, edges):
    for law in (LAWS[name].users, LAWS[name].items):
        degrees = Degrees(count=count, edges=edges, law=law)
        assert degrees.average(lambda d: d) == pytest.approx(edges / count, rel=0.01)
        if count == 1000:
            every = degrees.at(np.arange(count))
            assert every.sum() == pytest.approx(edges, rel=0.02)
            assert np.all(np.diff(every) <= 1e-9)


def test_beyond_the_last_point_it_is_a_power():
    law = DegreeLaw(shares=(1.0, 0.1, 0.01), multiples=(0.5, 2.0, 8.0))
    got = law.multiples_at(np.array([0.1, 0.01, 1e-3, 1e-5]))
    np.testing.assert_allclose(got, [2, 8, 32, 512], rtol=1e-9)


def test_no_node_has_more_than_all_edges():
    law = DegreeLaw(shares=(1.0, 0.1), multiples=(0.01, 10.0))
    assert Degrees(count=10**6, edges=100, law=law).at(np.array([0]))[0] <= 100


def test_it_is_that_of_gowalla(shared_data):
    lines = (shared_data("gowalla-lightgcn") / "train.txt").read_text().splitlines()
    items = [set(line.split()[1:]) for line in lines]
    users = np.array([len(one) for one in items])
    _, counts = np.unique([item for one in items for item in one], return_counts=True)
    gowalla = LAWS["gowalla"]
    shares = np.array([0.001, 0.01, 0.1, 0.25, 0.5, 0.75])
    for law, degrees in ((gowalla.users, users), (gowalla.items, counts)):
        fitted = Degrees(count=len(degrees), edges=int(degrees.sum()), law=law)
        ranks = (shares * len(degrees)).astype(int)
        found = np.sort(degrees)[::-1][ranks]
        np.testing.assert_allclose(fitted.at(ranks), found, rtol=0.1)
    share = len(users) / (len(users) + len(counts))
    assert gowalla.user_share == pytest.approx(share, abs=1e-3)


def test_an_unknown_law():
    with pytest.raises(UserError, match="--degrees: expected one of gowalla, even"):
        law_of("zipf")
