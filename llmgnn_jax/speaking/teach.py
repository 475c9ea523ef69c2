"""Teaching a run to speak: from its reviews to `RUN/words/NAME`.

The reviews of the train part are taught, those of valid say when it is best, and those
of test are read once, at the end. Each is split with the interaction that it is about.

Shapes: N reviews, C width of what is told of a pair.
"""

import dataclasses
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax.assets.bucket import is_url
from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.config import ModelName
from llmgnn_jax.errors import UserError
from llmgnn_jax.speaking.course import Course, Outcome, teach_pupil
from llmgnn_jax.speaking.known import Known, Part, ReviewPair
from llmgnn_jax.speaking.measured import Measured, measure, of_others
from llmgnn_jax.speaking.pupil import Pupil
from llmgnn_jax.speaking.pupils import (
    DecoderName,
    PupilOptions,
    lessons_of,
    new_pupil,
)
from llmgnn_jax.speaking.taught import Taught

logger = logging.getLogger(__name__)

FOLDER = "words"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

COURSES: dict[DecoderName, Course] = {
    "adapter": Course(
        steps=300, batch_size=8, learning_rate=3e-3, validate_every=75, patience=2
    ),
    "lstm": Course(steps=600, batch_size=32, learning_rate=3e-3),
    "cnn": Course(steps=600, batch_size=32, learning_rate=2e-3),
    "transformer": Course(steps=600, batch_size=32, learning_rate=1e-3),
}
"""By default; how many steps are good is told by the validation part in the run."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reviews:
    """The reviews of a part of a run.

    Attributes:
        pairs: N reviews.
        vectors_NC: What is told of each pair.
    """

    pairs: Sequence[ReviewPair]
    vectors_NC: np.ndarray

    @classmethod
    def of(
        cls, known: Known, part: Part, options: PupilOptions, *, most: int = 0
    ) -> "Reviews":
        """Those of a part; a random draw of `most` of them where that is not 0."""
        pairs = known.pairs(part)
        if 0 < most < len(pairs):
            rng = np.random.default_rng(options.seed)
            chosen = np.sort(rng.choice(len(pairs), most, replace=False))
            pairs = [pairs[number] for number in chosen]
        vectors_NC = known.vectors_of(pairs, told=options.told)
        return cls(pairs=pairs, vectors_NC=vectors_NC)


@dataclass(frozen=True, kw_only=True, eq=False)
class Lecture:
    """What came of teaching a run.

    Attributes:
        folder: Where the words are.
        taught: Them, to be asked.
        outcome: Of the training.
        test: The reviews of the test part.
        told: How well those are foreseen.
        untold: And without what is told: by the language model without the adapter, or
            by a decoder of the same shape that was taught without vectors.
        others: And told the vectors of another pair.
    """

    folder: Path
    taught: Taught
    outcome: Outcome
    test: Reviews
    told: Measured
    untold: Measured
    others: Measured


def teach(
    run: str | Path,
    options: PupilOptions,
    *,
    course: Course | None = None,
    name: str | None = None,
    model: ModelName | None = None,
    overwrite: bool = False,
    most_reviews: int = 0,
    progress: Callable[[int, str], None] | None = None,
) -> Lecture:
    """Teaches a run to speak, and writes its words.

    Args:
        run: Its folder.
        options: Who is taught.
        course: How; by default what suits the decoder.
        name: Of the folder below `RUN/words`; the decoder's if None.
        model: Which of the run's models tells; by default the last one.
        overwrite: Whether words of that name are replaced.
        most_reviews: Of each part, a random draw; 0 for all of them.
        progress: Called with the number of each step, and the last validation.

    Raises:
        UserError: For a run or reviews that cannot be used, words that are there
            already, or a training that diverged. Nothing is written then.
    """
    folder = words_folder(run, name or options.decoder, overwrite=overwrite)
    known = Known.load(run, model=model)
    course = course or dataclasses.replace(COURSES[options.decoder], seed=options.seed)
    train, valid, test = (
        Reviews.of(known, part, options, most=most_reviews)
        for part in ("train", "valid", "test")
    )
    for part, reviews in (("train", train), ("valid", valid), ("test", test)):
        if not reviews.pairs:
            raise UserError.field(
                "reviews", expected=f"some in the {part} part", got="none"
            )
    pupil = new_pupil(options, known, train.pairs)
    outcome = taught_on(pupil, course, train=train, valid=valid, progress=progress)
    without = outcome.pupil.unadapted()
    if pupil.trains_decoder:
        logger.info("the same without vectors, to compare")
        without = taught_on(pupil.unadapted(), course, train=train, valid=valid).pupil
    rows = course.batch_size
    shuffled = of_others(test.vectors_NC, seed=course.seed)
    lecture = Lecture(
        folder=folder,
        taught=Taught(options=options, pupil=outcome.pupil, known=known),
        outcome=outcome,
        test=test,
        told=measure(outcome.pupil, test.pairs, test.vectors_NC, rows=rows),
        untold=measure(without, test.pairs, test.vectors_NC, rows=rows),
        others=measure(outcome.pupil, test.pairs, shuffled, rows=rows),
    )
    lecture.taught.save(folder, results_of(lecture, course))
    return lecture


def taught_on(
    pupil: Pupil,
    course: Course,
    *,
    train: Reviews,
    valid: Reviews,
    progress: Callable[[int, str], None] | None = None,
) -> Outcome:
    """Teaches a pupil some reviews, see `teach_pupil`."""
    lessons = lessons_of(pupil, train.pairs, train.vectors_NC, ends=True)
    return teach_pupil(
        pupil,
        course,
        train=lessons,
        valid=lessons_of(
            pupil,
            valid.pairs,
            valid.vectors_NC,
            ends=False,
            lengths=lessons.lengths,
        ),
        progress=progress,
    )


def results_of(lecture: Lecture, course: Course) -> dict[str, Any]:
    """What came of it, for `words.json` and for `--json`."""
    outcome = lecture.outcome
    rows = (
        ("told", lecture.told),
        ("untold", lecture.untold),
        ("vectors_of_others", lecture.others),
    )
    return {
        "course": dataclasses.asdict(course),
        "steps": outcome.steps,
        "best_step": outcome.best_step,
        "valid_nats_per_token": [list(one) for one in outcome.curve],
        "seconds": outcome.seconds,
        "test_reviews": len(lecture.test.pairs),
        "test": {
            name: {
                "perplexity": one.perplexity,
                "bits_per_byte": one.bits_per_byte,
            }
            for name, one in rows
        },
    }


def words_folder(run: str | Path, name: str, *, overwrite: bool) -> Path:
    """Where words of a name are written.

    Raises:
        UserError: If it is no name, the run lies in a bucket, or there are words of
            that name which may not be replaced.
    """
    if not _NAME.fullmatch(name):
        raise UserError.field(
            "name", expected="letters, digits, dots and dashes", got=repr(name)
        )
    if is_url(run):
        raise UserError.field(
            str(run), expected="a folder of this machine", got="a bucket's URL"
        )
    folder = named_path(Path(run) / FOLDER / name)
    if folder.exists() and not overwrite:
        raise UserError.field(
            str(folder),
            expected="no words of that name",
            got="some",
            fix="choose another --name, or replace them with --overwrite",
        )
    return folder
