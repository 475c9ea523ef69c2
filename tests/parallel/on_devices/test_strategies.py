"""The same run on one device, on meshes and under pmap: the same losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from llmgnn_jax.config import replace
from llmgnn_jax.parallel.mesh import AXES, DATA, MODEL
from llmgnn_jax.training import step
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.program import _norm
from llmgnn_jax.training.ranking import trainee_of
from llmgnn_jax.training.trained import set_up

LAYOUTS = {
    "one": {"parallel.data": 1},
    "mesh 1x4": {"parallel.data": 1, "parallel.model": 4},
    "mesh 2x2": {"parallel.data": 2, "parallel.model": 2},
    "mesh 4x1": {"parallel.data": 4, "parallel.model": 1},
    "pmap 4": {"parallel.data": 4, "parallel.strategy": "pmap"},
}
STEPS = 20


@pytest.fixture(scope="module")
def config(tiny_config):
    return replace(
        tiny_config,
        **{
            "models": ("fused",),
            "graph.backend": "segment",
            "parallel.groups": 8,
            "train.steps": STEPS,
            "train.steps_per_call": STEPS,
            "text.learning_rate": 1e-3,
            "text.texts_per_step": 10,
            "text.lora_rank": 2,
            "evaluation.baselines": False,
        },
    )


@pytest.fixture
def trainee(config, workplace):
    """(layout, fields changed) -> the model as the loop sees it, and its set-up."""

    def make(layout, **changes):
        prepared = prepare(replace(config, **LAYOUTS[layout], **changes))
        (name,) = prepared.config.models
        setup = set_up(name, prepared)
        return trainee_of(name, prepared, setup), setup

    return make


def losses(made, steps=STEPS):
    trainee, setup = made
    state, metrics = trainee.program(
        setup.snapshot.state, trainee.data, jnp.int32(steps)
    )
    jax.block_until_ready(state)
    return np.asarray(metrics.loss)[:steps], state


CASES = {
    "all": {},
    "in batch": {"train.negatives": "in_batch"},
    "uniform": {"train.negatives": "uniform", "train.num_negatives": 16},
    "bpr": {
        "train.negatives": "uniform",
        "train.num_negatives": 2,
        "train.loss": "bpr",
        "train.examples": "users",
    },
    "gcn": {"graph.layer": "gcn"},
    "temperature": {"graph.temperature": 0.2, "train.negatives": "in_batch"},
    "lora": {"text.mode": "lora", "train.negatives": "in_batch"},
    "full": {"text.mode": "full"},
    "attention": {
        "text.mode": "lora",
        "text.pooling": "attention",
        "text.learning_rate": 3e-2,
        "train.negatives": "in_batch",
    },
    "convolutional": {"text.mode": "full", "text.head": "convolutional"},
    "sampled": {
        "graph.fanouts": (3, 2),
        "train.negatives": "in_batch",
        "train.examples": "users",
        "parallel.slack": 16.0,
    },
    "sampled lora": {
        "graph.fanouts": (2, 2),
        "graph.layer": "gcn",
        "train.negatives": "uniform",
        "train.num_negatives": 16,
        "text.mode": "lora",
        "parallel.slack": 16.0,
    },
    "sampled row-wise": {
        "graph.fanouts": (3, 2),
        "train.negatives": "uniform",
        "train.num_negatives": 16,
        "train.table_optimizer": "rowwise_adagrad",
        "parallel.slack": 16.0,
    },
    "attributes": {"graph.relations": ("genre",), "graph.relation_weight": 0.5},
    "friends as links": {
        "data.source": "synthetic",
        "graph.relations": ("friends",),
        "train.negatives": "in_batch",
    },
    "people": {
        "data.source": "synthetic",
        "models": ("graph",),
        "data.target": "friends",
        "graph.relations": ("interactions",),
    },
    "in parts": {"train.accumulate": 4, "fusion.modality_dropout": 0.5},
    "contrast and alignment": {
        "train.negatives": "in_batch",
        "graph.contrast": 0.3,
        "fusion.alignment": 0.3,
        "graph.text_pull": 0.3,
    },
    "contrast and alignment, all": {"graph.contrast": 0.3, "fusion.alignment": 0.3},
    "contrast, sampled": {
        "graph.fanouts": (3, 2),
        "train.negatives": "in_batch",
        "graph.contrast": 0.3,
        "graph.text_pull": 0.3,
        "parallel.slack": 16.0,
    },
    "spectral": {"graph.init": "spectral"},
    "from texts": {"graph.init": "text"},
    "by popularity": {"train.negatives": "popularity", "train.num_negatives": 16},
    "hard": {
        "train.loss": "bpr",
        "train.negatives": "hard",
        "train.num_negatives": 4,
    },
    "alignment and uniformity": {
        "train.loss": "alignment_uniformity",
        "train.negatives": "in_batch",
    },
}


@pytest.mark.parametrize("case", CASES)
def test_losses_are_those_of_one_device(trainee, case):
    expected, _ = losses(trainee("one", **CASES[case]))
    assert len(set(expected.tolist())) == STEPS
    for layout in LAYOUTS:
        if layout == "one":
            continue
        got, _ = losses(trainee(layout, **CASES[case]))
        np.testing.assert_allclose(got, expected, rtol=1e-4, err_msg=layout)


@pytest.mark.parametrize("layout", ["mesh 2x2", "mesh 4x1", "pmap 4"])
def test_the_same_sums_in_the_same_order_are_the_same_bits(trainee, layout):
    """Of another layout or exchange they are taken in another order."""
    changes = CASES["in batch"]
    once, again = (losses(trainee(layout, **changes))[0] for _ in range(2))
    np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize("exchange", ["all_gather", "ring"])
def test_every_exchange_gives_them(trainee, exchange):
    expected, _ = losses(trainee("one"))
    got, _ = losses(trainee("mesh 2x2", **{"parallel.exchange": exchange}))
    np.testing.assert_allclose(got, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("layout", "optimizer", "count"),
    [
        # The table, two moments, two of texts.
        *((layout, "adam", 5) for layout in ("mesh 1x4", "mesh 2x2", "mesh 4x1")),
        ("mesh 2x2", "rowwise_adagrad", 4),  # A number a row in place of the moments.
    ],
)
def test_tables_and_their_moments_are_held_in_pieces(trainee, layout, optimizer, count):
    made = trainee(layout, **{"text.mode": "full", "train.table_optimizer": optimizer})
    _, state = losses(made, steps=2)
    pieces = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        held = {shard.data.nbytes for shard in leaf.addressable_shards}
        pieces[name] = held, leaf.nbytes
    tables = [
        name
        for name in pieces
        if name.endswith(("node_embedding", "item_IT", "user_UT"))
    ]
    assert len(tables) == count
    for name in tables:
        held, whole = pieces[name]
        assert held == {whole // 4}, name


FULL = {
    "text.mode": "full",
    "text.freeze": ("embeddings.positions", r"layer_0\.feed_forward"),
}


@pytest.mark.parametrize(
    ("layout", "remat"), [("mesh 4x1", "none"), ("mesh 2x2", "dots")]
)
def test_fully_sharded_parameters_give_the_same_losses(trainee, layout, remat):
    changes = {**FULL, "parallel.parameters": "fsdp", "text.remat": remat}
    expected, _ = losses(trainee("one", **FULL))
    made = trainee(layout, **changes)
    got, state = losses(made)
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    # Parameters, moments and what is frozen: a fourth of each matrix is on a device.
    encoder = state.params["text_encoder"]
    moments = [state.opt_state[0][0].mu, state.opt_state[0][0].nu]
    frozen = made[0].data.encoder.frozen
    held = [encoder, *(one["text_encoder"] for one in moments), frozen]
    for tree in held:
        matrices = [leaf for leaf in jax.tree.leaves(tree) if leaf.ndim > 1]
        assert matrices
        for leaf in matrices:
            assert {s.data.nbytes for s in leaf.addressable_shards} == {leaf.nbytes / 4}


def test_replicas_hold_all_of_it(trainee):
    _, state = losses(trainee("pmap 4"), steps=2)
    table = state.params["node_embedding"]
    assert {s.data.nbytes for s in table.addressable_shards} == {table.nbytes}
    assert len(table.addressable_shards) == 4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_program_is_compiled_once(trainee, layout, monkeypatch):
    traced, real = [], step.batch_loss

    def counted(*arguments, **options):
        traced.append(1)
        return real(*arguments, **options)

    monkeypatch.setattr(step, "batch_loss", counted)
    made, setup = trainee(layout)
    state, counts = setup.snapshot.state, []
    for count in (3, 1, 5):
        state, _ = made.program(state, made.data, jnp.int32(count))
        jax.block_until_ready(state)
        counts.append(len(traced))
    assert counts[0] == counts[-1] > 0


def test_a_table_comes_to_no_device(trainee):
    """Of what the whole step's program moves, nothing is as large as the table."""
    made, setup = trainee("mesh 4x1", **{"train.negatives": "uniform"})
    text = (
        made.program.lower(setup.snapshot.state, made.data, jnp.int32(1))
        .compile()
        .as_text()
    )
    table = setup.snapshot.state.params["node_embedding"]
    rows, width = table.shape
    gathered = [line for line in text.splitlines() if " all-gather" in line]
    assert not [line for line in gathered if f"[{rows},{width}]" in line]


def test_no_gradient_comes_to_a_device_for_its_norm():
    mesh = Mesh(np.array(jax.devices()[:4]).reshape(2, 2), AXES)
    gradients, expected = {}, 0.0
    for number, spread in enumerate((P(None, DATA), P(*AXES), P((MODEL, DATA)))):
        values = np.random.default_rng(number).normal(size=(64, 32))
        place = NamedSharding(mesh, spread)
        gradients[str(number)] = jax.device_put(values.astype(np.float32), place)
        expected += np.sum(values**2)
    program = jax.jit(_norm).lower(gradients).compile()
    np.testing.assert_allclose(program(gradients), expected**0.5, rtol=1e-6)
    assert " all-gather" not in program.as_text()


def test_on_one_device_it_is_the_plain_step(trainee, config):
    """Nothing is exchanged, and nothing costs more than without any strategy."""
    changes = {"train.negatives": "uniform", "graph.fanouts": (2, 2)}
    made, setup = trainee("one", **changes)
    without = replace(config, **LAYOUTS["one"], **changes)
    plain = step.build_program(setup.definition, setup.optimizer, without)
    arguments = (setup.snapshot.state, made.data, jnp.int32(1))
    ours, theirs = (
        program.lower(*arguments).compile() for program in (made.program, plain)
    )
    assert ours.cost_analysis() == theirs.cost_analysis()
    exchanged = ("all-reduce", "all-gather", "all-to-all", "collective-permute")
    text = ours.as_text()
    assert not [kind for kind in exchanged if f" {kind}" in text]
