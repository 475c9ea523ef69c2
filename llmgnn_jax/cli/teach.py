"""`llmgnn teach`: a run learns to speak, and says how well."""

import argparse
import dataclasses
import logging
from typing import TYPE_CHECKING, Any

from llmgnn_jax.cli.output import print_json
from llmgnn_jax.errors import UserError

if TYPE_CHECKING:
    from llmgnn_jax.speaking.course import Course
    from llmgnn_jax.speaking.teach import Lecture


def teach(options: argparse.Namespace) -> int:
    """Teaches, and prints what came of it."""
    if options.show < 0:
        raise UserError.field("--show", expected="0 or more", got=options.show)
    if options.reviews < 0:
        raise UserError.field("--reviews", expected="0 or more", got=options.reviews)
    # How a run is loaded is of no interest here; how it learns is.
    logging.getLogger("llmgnn_jax").setLevel(logging.WARNING)
    logging.getLogger("llmgnn_jax.speaking").setLevel(logging.INFO)
    from llmgnn_jax.speaking.pupils import PupilOptions
    from llmgnn_jax.speaking.teach import results_of, teach
    from llmgnn_jax.training.reporting import progress

    course = _course(options)
    pupil = PupilOptions(
        decoder=options.decoder,
        words=options.words,
        told=options.told,
        soft_tokens=options.soft_tokens,
        dtype=options.dtype,
        seed=options.seed,
    )
    with progress("steps", total=course.steps) as update:
        lecture = teach(
            options.run,
            pupil,
            course=course,
            name=options.name,
            model=options.model,
            overwrite=options.overwrite,
            most_reviews=options.reviews,
            progress=update,
        )
    shown = _shown(lecture, options.show)
    if options.json:
        print_json(
            {
                "words": str(lecture.folder),
                **results_of(lecture, course),
                "reviews": shown,
            }
        )
        return 0
    _print(lecture, shown)
    return 0


def _course(options: argparse.Namespace) -> "Course":
    from llmgnn_jax.speaking.teach import COURSES

    asked = {
        "steps": options.steps,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "seed": options.seed,
    }
    changes = {name: value for name, value in asked.items() if value is not None}
    return dataclasses.replace(COURSES[options.decoder], **changes)


def _shown(lecture: "Lecture", count: int) -> list[dict[str, Any]]:
    """The first held-out reviews, and what is said in their place."""
    pairs = lecture.test.pairs[:count]
    if not pairs:
        return []
    taught = lecture.taught
    return [
        {"item": taught.known.names(pair)[1], "written": pair.review, "said": said}
        for pair, said in zip(pairs, taught.reviews(pairs), strict=True)
    ]


def _print(lecture: "Lecture", shown: list[dict[str, Any]]) -> None:
    untold = "without the adapter"
    if lecture.taught.options.decoder != "adapter":
        untold = "taught without vectors"
    held_out = f"{len(lecture.test.pairs)} held-out reviews"
    print(f"{held_out:26}  {'perplexity':>10}  {'bits a byte':>11}")
    for label, measured in (
        ("told of user and item", lecture.told),
        (untold, lecture.untold),
        ("told of another pair", lecture.others),
    ):
        values = f"{measured.perplexity:10.2f}  {measured.bits_per_byte:11.4f}"
        print(f"  {label:24}  {values}")
    outcome = lecture.outcome
    print(
        f"best at step {outcome.best_step} of {outcome.steps}, {outcome.seconds:.0f} s"
    )
    for one in shown:
        print(f"\n{one['item']}\n  written  {one['written']}\n  said     {one['said']}")
    print(f"\nwords   {lecture.folder}")
