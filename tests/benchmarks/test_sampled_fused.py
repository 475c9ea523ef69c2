"""The fused step on sampled neighbours: both sides agree, and draw uniformly."""

import numpy as np
import pytest
import scipy.stats

from benchmarks import fused_step, sampled_fused
from benchmarks.harness.system import Inputs
from tests.benchmarks.test_fused_step import pairs

ROWS = 64
SIZES = tuple(sampled_fused.SIZES.values())


@pytest.fixture(
    scope="module", params=[size.setting for size in SIZES], ids=["adam", "by rows"]
)
def case(request: pytest.FixtureRequest) -> tuple[dict, Inputs]:
    # Of 30 nodes with some 8 neighbours, so that slots are empty and nodes repeat.
    setting = {**request.param, "batch_size": ROWS, "fanouts": [6, 4]}
    return setting, fused_step.inputs_of(pairs, setting, text_width=16)()


def _peers(setting: dict) -> list[str]:
    """Those of the size with this optimizer; a loader draws nothing in the parity."""
    by_rows = "table_optimizer" in setting
    return [
        name
        for name in sampled_fused.PEERS
        if "compile" not in name and (not by_rows or name in sampled_fused.LARGE)
    ]


@pytest.mark.slow
def test_peers_compute_what_ours_does(
    case: tuple[dict, Inputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = pytest.importorskip("benchmarks.ours.fused_step")
    theirs = pytest.importorskip(
        "benchmarks.torch_baseline.sampled_fused", reason="PyTorch is absent"
    )
    pytest.importorskip("torch_geometric", reason="PyG is absent")
    # Trees are given in the parity: no loader is asked for one.
    monkeypatch.setattr(theirs.blocks, "block_loader", lambda **_: None)
    setting, inputs = case
    wanted = ours.setup(inputs, **setting, backend="csr").outputs()
    for peer in _peers(setting):
        options = {**setting, **sampled_fused.PEERS[peer]}
        got = theirs.setup(inputs, **options).outputs()
        assert got.keys() == wanted.keys(), peer
        for name, array in wanted.items():
            scale = np.abs(array).max()
            assert scale > 0, name
            assert np.abs(got[name] - array).max() <= 1e-4 * scale, (peer, name)


@pytest.mark.parametrize("replacement", ["with", "without"])
@pytest.mark.parametrize("fanout", [1, 3, 5])
def test_the_trees_of_the_peers_are_drawn_uniformly(
    replacement: str, fanout: int
) -> None:
    """Each neighbour as often as any other, by a chi-squared test of 20,000 draws."""
    neighbours = pytest.importorskip(
        "benchmarks.torch_baseline.neighbours", reason="PyTorch is absent"
    )
    import torch

    torch.manual_seed(0)
    # Node 0 hears 5..11, node 1 hears 2.
    rows = neighbours.Rows.of(
        torch.tensor([0, 7, *[8] * 12]), torch.tensor([*range(5, 12), 2])
    )
    count = 20_000
    drawn, mask = rows.draw(torch.zeros(count, dtype=torch.int64), fanout, replacement)
    assert mask is None or bool(mask.all())
    if replacement == "without":
        assert all(len(set(row)) == fanout for row in drawn[:500].tolist())
    counts = np.bincount(drawn.numpy().reshape(-1), minlength=12)
    assert counts[:5].sum() == 0
    assert scipy.stats.chisquare(counts[5:]).pvalue > 1e-3
    if replacement == "without" and fanout == 3:
        # Each of the 35 sets as often, too.
        keys = np.sort(drawn.numpy(), axis=1) @ np.array([144, 12, 1])
        _, of_sets = np.unique(keys, return_counts=True)
        assert len(of_sets) == 35
        assert scipy.stats.chisquare(of_sets).pvalue > 1e-3


@pytest.mark.parametrize("fanout", [3, 5])
def test_our_trees_are_drawn_uniformly(fanout: int) -> None:
    sampling = pytest.importorskip("llmgnn_jax.graph.sampling")
    import jax

    table = sampling.SampleTable.of_rows(
        np.array([0, 7, *[8] * 12], np.int32), np.array([*range(5, 12), 2], np.int32)
    )
    tree = sampling.sample_tree(
        jax.random.key(0), table, np.zeros(20_000, np.int32), fanouts=(fanout,)
    )
    counts = np.bincount(tree.hops[0].nodes.reshape(-1), minlength=12)
    assert counts[:5].sum() == 0
    assert scipy.stats.chisquare(counts[5:]).pvalue > 1e-3


def test_who_has_few_neighbours_gives_each_once() -> None:
    neighbours = pytest.importorskip(
        "benchmarks.torch_baseline.neighbours", reason="PyTorch is absent"
    )
    import torch

    rows = neighbours.Rows.of(torch.tensor([0, 3, 4, 4]), torch.tensor([0, 1, 2, 0]))
    drawn, mask = rows.draw(torch.tensor([0, 1, 2]), 4, "without")
    assert mask.tolist() == [[True] * 3 + [False], [True] + [False] * 3, [False] * 4]
    assert sorted(drawn[0, :3].tolist()) == [0, 1, 2]
    assert drawn[1, 0] == 0
    # What is empty names the parent.
    assert drawn[~mask].tolist() == [0, 1, 1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("replacement", ["with", "without"])
def test_a_tree_estimates_the_layers_of_the_whole_graph(replacement: str) -> None:
    """The mean over many trees of a node is what LightGCN gives it."""
    neighbours = pytest.importorskip(
        "benchmarks.torch_baseline.neighbours", reason="PyTorch is absent"
    )
    import torch

    torch.manual_seed(0)
    edges = pairs().edges()
    rows = neighbours.Rows.of(
        torch.from_numpy(edges.indptr), torch.from_numpy(edges.senders).long()
    )
    matrix = np.zeros((edges.num_nodes, edges.num_nodes))
    np.add.at(matrix, (edges.receivers, edges.senders), edges.weights)
    table = np.random.default_rng(0).standard_normal(edges.num_nodes)
    wanted = ((table + matrix @ table + matrix @ matrix @ table) / 3)[0]
    tree = rows.tree(torch.zeros(20_000, dtype=torch.int64), [3, 2], replacement)
    found = (tree.weights_RT.numpy() * table[tree.nodes_RT.numpy()]).sum(axis=1)
    error = found.std() / np.sqrt(len(found))
    assert abs(found.mean() - wanted) < 4 * error


def test_distinct_is_unique() -> None:
    neighbours = pytest.importorskip(
        "benchmarks.torch_baseline.neighbours", reason="PyTorch is absent"
    )
    import torch

    ids = torch.randint(50, (8, 9), generator=torch.Generator().manual_seed(0))
    found, places = neighbours.distinct(ids, 60)
    wanted, at = torch.unique(ids, return_inverse=True)
    assert torch.equal(found, wanted)
    assert torch.equal(places, at)


def test_rows_have_names_of_their_own() -> None:
    for size in SIZES:
        names = [system.name for system in sampled_fused.systems(size)]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("sums", ["in_place", "of_distinct", "plain", "bags"])
def test_what_peers_sum_up_has_the_gradient_of_the_tree(sums: str) -> None:
    """Against weights that are multiplied out, of a drawn tree with empty slots."""
    blocks = pytest.importorskip(
        "benchmarks.torch_baseline.sampled_blocks", reason="PyTorch is absent"
    )
    import torch

    from benchmarks.torch_baseline.neighbours import Rows

    if sums == "plain":
        pytest.importorskip("torch_geometric", reason="PyG is absent")
    torch.manual_seed(0)
    edges = pairs().edges()
    rows = Rows.of(
        torch.from_numpy(edges.indptr), torch.from_numpy(edges.senders).long()
    )
    seeds = torch.tensor([3, 5, 3, 50])
    first = rows.draw(seeds, 9, "without")
    second = rows.draw(first[0].reshape(-1), 12, "without")
    second = (second[0], second[1] & first[1].reshape(-1, 1))
    hops = [first, second]
    assert not all(bool(mask.all()) for _, mask in hops)
    tree = rows.weighed(seeds, hops)
    if sums == "in_place":
        drawn = blocks.in_place(tree)
    elif sums == "of_distinct":
        drawn = blocks.of_distinct(tree, edges.num_nodes)
    else:
        nodes, ends = blocks.block_of_hops(
            seeds.numpy(), [(n.numpy(), m.numpy()) for n, m in hops]
        )
        drawn = blocks.of_block(
            torch.from_numpy(nodes),
            torch.from_numpy(ends),
            len(seeds),
            scale_N=rows.scale,
            forward=sums,
        )

    def gradient_of(final: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(final.cos().sum() + own.square().sum(), table)[0]

    table = torch.randn(edges.num_nodes, 8, requires_grad=True)
    read = table if drawn.nodes_M is None else table[drawn.nodes_M]
    final, own = drawn.sums(read)
    wanted = (tree.weights_RT[:, :, None] * table[tree.nodes_RT]).sum(dim=1)
    torch.testing.assert_close(final, wanted)
    torch.testing.assert_close(
        gradient_of(final, own), gradient_of(wanted, table[seeds])
    )
