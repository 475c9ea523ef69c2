"""`llmgnn ask`: a question about a run, answered from it."""

import argparse
import dataclasses
import logging

from llmgnn_jax.cli.output import print_json


def ask(options: argparse.Namespace) -> int:
    """Prints the answer and what it cites."""
    logging.getLogger("llmgnn_jax").setLevel(logging.WARNING)
    from llmgnn_jax.serving.recommender import Recommender
    from llmgnn_jax.speaking.answerer import Answerer, check_count, check_question
    from llmgnn_jax.speaking.speakers import load_speaker

    # Before what takes seconds.
    check_question(options.question)
    check_count(options.k)
    recommender = Recommender.load(options.run, model=options.model)
    answerer = Answerer(recommender, generator=load_speaker(options.words), k=options.k)
    answer = answerer.ask(options.question)
    if options.json:
        print_json(
            {
                "answer": answer.text,
                "citations": [
                    {
                        "number": one.number,
                        "says": one.says,
                        "attribution": one.edge.attribution if one.edge else None,
                    }
                    for one in answer.citations
                ],
                "language": answer.language,
                "known": answer.known,
                "used": answer.used,
                "understood": dataclasses.asdict(answerer.understood(options.question)),
                "question": options.question,
                "words": options.words,
                "run": str(options.run),
                "model": recommender.model_name,
            }
        )
        return 0
    print(answer.text)
    if answer.citations:
        print()
    for one in answer.citations:
        print(f"[{one.number}] {one.says}")
    return 0
