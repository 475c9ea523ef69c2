"""What is trained, what stays, and that scores are those of the decoder itself."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from llmgnn_jax.errors import UserError
from llmgnn_jax.speaking.course import Course, teach_pupil
from llmgnn_jax.speaking.known import ReviewPair
from llmgnn_jax.speaking.measured import measure, of_others
from llmgnn_jax.speaking.pupil import Pupil, step
from llmgnn_jax.speaking.pupils import (
    PupilOptions,
    language_model,
    lessons_of,
    small_decoder,
)
from llmgnn_jax.text.generation.small.config import SmallConfig
from llmgnn_jax.text.generation.small.pieces import learn_pieces

INPUTS = 6
TEXTS = ("good gift", "a bad card", "it is what it is, and more of it")
PAIRS = [
    ReviewPair(user=n % 4, item=n % 3, prompt=f"Item: {n % 3}", review=TEXTS[n % 3])
    for n in range(10)
]
VECTORS = np.random.default_rng(0).standard_normal((10, INPUTS)).astype(np.float32)


def small(kind: str = "cnn") -> Pupil:
    pieces = learn_pieces(TEXTS * 5, [*range(15)], vocab_size=300)
    config = SmallConfig(
        kind=kind,  # type: ignore[arg-type]
        vocab_size=pieces.vocab_size,
        dim=16,
        max_tokens=64,
    )
    options = PupilOptions(decoder=kind, hidden=8)  # type: ignore[arg-type]
    return small_decoder(options, config=config, pieces=pieces, inputs=INPUTS)


@pytest.fixture(scope="module")
def adapted(tiny_llama: Path) -> Pupil:
    options = PupilOptions(
        decoder="adapter", words=str(tiny_llama), hidden=8, soft_tokens=3
    )
    return language_model(options, inputs=INPUTS)


@pytest.mark.parametrize("kind", ["adapter", "lstm"])
def test_scores_are_the_decoders(kind: str, adapted: Pupil) -> None:
    pupil = adapted if kind == "adapter" else small(kind)
    lessons = lessons_of(pupil, PAIRS, VECTORS, ends=False)
    space = " " if kind == "adapter" else ""
    wanted = pupil.speaks().log_likelihoods(
        pupil.prompts([pair.prompt for pair in PAIRS]),
        [space + pair.review for pair in PAIRS],
        prefix_BPD=pupil.soft_tokens(VECTORS),
    )
    for rows in (3, 16):
        np.testing.assert_allclose(
            pupil.scores(lessons, rows=rows),
            [one.total for one in wanted],
            rtol=1e-5,
            atol=1e-3,
        )
    measured = measure(pupil, PAIRS, VECTORS, rows=4)
    assert measured.tokens_N.tolist() == [one.tokens for one in wanted]
    total = sum(len(pair.review.encode()) for pair in PAIRS)
    bits = -sum(one.total for one in wanted) / np.log(2) / total
    assert measured.bits_per_byte == pytest.approx(bits, rel=1e-4)


def test_the_language_model_stays(adapted: Pupil) -> None:
    before = jax.tree.map(np.array, adapted.generator.params)
    lessons = lessons_of(adapted, PAIRS, VECTORS, ends=True)
    course = Course(steps=8, batch_size=4, learning_rate=0.03, validate_every=4)
    outcome = teach_pupil(adapted, course, train=lessons, valid=lessons)
    jax.tree.map(np.testing.assert_array_equal, before, outcome.pupil.params)
    assert set(outcome.pupil.trained) == {"adapter"}
    assert min(value for _, value in outcome.curve) < outcome.curve[0][1] - 0.05
    # What it started from is still there.
    assert adapted.scores(lessons, rows=4).shape == (10,)


@pytest.mark.parametrize("kind", ["adapter", "cnn"])
def test_padding_changes_no_step(kind: str, adapted: Pupil) -> None:
    pupil = adapted if kind == "adapter" else small(kind)
    optimizer = optax.sgd(0.1)
    found = []
    for rows in (10, 14):
        lessons = lessons_of(pupil, PAIRS, VECTORS, ends=True, lengths=(56,))
        lesson = jax.tree.map(jnp.asarray, lessons.lesson(np.arange(10), rows=rows))
        trained = jax.tree.map(jnp.array, pupil.trained)
        frozen = None if pupil.trains_decoder else pupil.generator.params
        moments = optimizer.init(trained)
        stepped, _, loss = step(
            pupil.model, pupil.adapter, optimizer, trained, frozen, moments, lesson
        )
        found.append((stepped, float(loss)))
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-5)
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, atol=1e-5),
        found[0][0],
        found[1][0],
    )


def test_it_learns_whom_it_is_told_of() -> None:
    """What is said is decided by the vectors alone: told, a review is foreseen."""
    rng = np.random.default_rng(1)
    kinds = rng.integers(0, 3, 60)
    pairs = [
        ReviewPair(user=0, item=0, prompt="", review=TEXTS[kind]) for kind in kinds
    ]
    vectors = np.eye(3, INPUTS, dtype=np.float32)[kinds]
    pupil = small()
    train = lessons_of(pupil, pairs[:40], vectors[:40], ends=True)
    valid = lessons_of(pupil, pairs[40:], vectors[40:], ends=False)
    course = Course(steps=60, batch_size=20, learning_rate=0.02, validate_every=20)
    outcome = teach_pupil(pupil, course, train=train, valid=valid)
    told = measure(outcome.pupil, pairs[40:], vectors[40:], rows=20)
    others = measure(
        outcome.pupil, pairs[40:], np.roll(vectors[40:], 1, axis=1), rows=20
    )
    assert told.perplexity < 1.2
    assert others.perplexity > 1.5
    said = outcome.pupil.speaks().generate(
        [""] * 3,
        max_new_tokens=24,
        prefix_BPD=outcome.pupil.soft_tokens(np.eye(3, INPUTS, dtype=np.float32)),
    )
    assert [one.text for one in said] == list(TEXTS)
    assert {one.finished for one in said} == {"stop"}


def test_vectors_of_others_are_never_ones_own() -> None:
    vectors = np.arange(12, dtype=np.float32)[:, None]
    for seed in range(5):
        given = of_others(vectors, seed=seed)
        assert sorted(given[:, 0]) == list(range(12))
        assert (given != vectors).all()


def test_a_loss_that_is_no_number() -> None:
    pupil = small()
    lessons = lessons_of(pupil, PAIRS, VECTORS, ends=True)
    course = Course(steps=20, batch_size=10, learning_rate=1e30)
    with pytest.raises(UserError, match="learning_rate"):
        teach_pupil(pupil, course, train=lessons, valid=lessons)


@pytest.mark.parametrize(
    ("field", "value"),
    [("decoder", "gru"), ("told", "all"), ("soft_tokens", 0), ("dtype", "int8")],
)
def test_bad_options(field: str, value: object) -> None:
    with pytest.raises(UserError, match=field):
        PupilOptions(**{"decoder": "lstm", field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["steps", "batch_size", "learning_rate"])
def test_bad_courses(field: str) -> None:
    course = {"steps": 1, "batch_size": 1, "learning_rate": 0.1, field: 0}
    with pytest.raises(UserError, match=field):
        Course(**course)  # type: ignore[arg-type]


def test_texts_that_are_too_long() -> None:
    pupil = small()
    pair = ReviewPair(user=0, item=0, prompt="", review="q" * 200)
    with pytest.raises(UserError, match="at most 64 tokens"):
        lessons_of(pupil, [pair], VECTORS[:1], ends=True)
