"""The loop that teaches a `Pupil`, and when it stops.

AdamW, the rate rising over the first twentieth of the steps and falling to 0 as a
cosine does; gradients are cut to length 1. Of all that was validated the best is kept.

Shapes: N reviews.
"""

import dataclasses
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

from llmgnn_jax.errors import UserError
from llmgnn_jax.speaking.lessons import Lessons
from llmgnn_jax.speaking.pupil import Pupil, step

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Course:
    """How something is taught.

    Attributes:
        steps: Steps at most, from 1.
        batch_size: Reviews of a step.
        learning_rate: The highest one.
        weight_decay: Of all trained parameters.
        validate_every: Steps between two validations.
        patience: Validations without a better one before it stops; 0: never.
        seed: Of the order of reviews and of first values.

    Raises:
        UserError: If one is out of range.
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    validate_every: int = 50
    patience: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "validate_every"):
            if getattr(self, name) < 1:
                raise UserError.field(
                    name, expected="1 or more", got=getattr(self, name)
                )
        if not 0 < self.learning_rate < float("inf"):
            raise UserError.field(
                "learning_rate", expected="above 0", got=self.learning_rate
            )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it.

    Attributes:
        pupil: As it was at the best validation.
        best_step: When that was; 0: before the first step.
        steps: Steps taken.
        curve: (step, mean loss of a validation token in nats) of each validation.
        seconds: All of it, with compiling and validating.
    """

    pupil: Pupil
    best_step: int
    steps: int
    curve: tuple[tuple[int, float], ...]
    seconds: float


def teach_pupil(
    pupil: Pupil,
    course: Course,
    *,
    train: Lessons,
    valid: Lessons,
    progress: Callable[[int, str], None] | None = None,
) -> Outcome:
    """Trains what is trained of a pupil.

    Args:
        pupil: As it starts.
        course: How.
        train: What it learns from.
        valid: What says which step was the best.
        progress: Called with the number of each step, and the last validation.

    Raises:
        UserError: If the loss is no finite number any more.
    """
    started = time.perf_counter()
    optimizer = _optimizer(course)
    trained = jax.tree.map(jnp.array, pupil.trained)
    frozen = None if pupil.trains_decoder else pupil.generator.params
    moments = optimizer.init(trained)
    tokens = sum(map(len, valid.reviews))

    def validated(pupil: Pupil) -> float:
        return float(-pupil.scores(valid, rows=course.batch_size).sum() / tokens)

    # At step 0 an adapter may be no better than none, and training may make it worse.
    best = Outcome(
        pupil=pupil.taught(jax.tree.map(jnp.array, trained)),
        best_step=0,
        steps=0,
        curve=((0, validated(pupil)),),
        seconds=0.0,
    )
    curve = list(best.curve)
    lowest, worse, number = curve[0][1], 0, 0
    lessons = train.endless(rows=course.batch_size, seed=course.seed)
    for number in range(1, course.steps + 1):
        trained, moments, loss = step(
            pupil.model,
            pupil.adapter,
            optimizer,
            trained,
            frozen,
            moments,
            next(lessons),
        )
        if progress is not None:
            progress(number, f"valid {curve[-1][1]:.3f}")
        if number % course.validate_every and number != course.steps:
            continue
        value = validated(pupil.taught(trained))
        curve.append((number, value))
        logger.info("step %d: train %.3f, valid %.3f", number, float(loss), value)
        if not (jnp.isfinite(loss) and jnp.isfinite(value)):
            raise UserError.field(
                "learning_rate",
                expected="one that training survives",
                got=f"{course.learning_rate}: the loss is {float(loss)} at {number}",
                fix="lower it",
            )
        if value < lowest:
            lowest, worse = value, 0
            # A copy: the step gives its arguments away.
            kept = pupil.taught(jax.tree.map(jnp.array, trained))
            best = dataclasses.replace(best, pupil=kept, best_step=number)
        else:
            worse += 1
            if worse == course.patience:
                break
    return dataclasses.replace(
        best,
        steps=number,
        curve=tuple(curve),
        seconds=time.perf_counter() - started,
    )


def _optimizer(course: Course) -> optax.GradientTransformation:
    rate = optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=course.learning_rate,
        warmup_steps=max(1, course.steps // 20),
        decay_steps=max(2, course.steps),
    )
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(rate, weight_decay=course.weight_decay),
    )
