"""`llmgnn explain`: why an item has its score for a user."""

import argparse
import dataclasses
import logging

from llmgnn_jax.assets.named_path import named_path
from llmgnn_jax.cli.output import print_json
from llmgnn_jax.cli.pictures import check_picture, write_picture


def explain(options: argparse.Namespace) -> int:
    """Prints the evidence and what it says; draws it if asked to."""
    out = None if options.out is None else named_path(options.out)
    if out is not None:
        check_picture(out, suffixes=(".svg", ".png", ".html"))
    logging.getLogger("llmgnn_jax").setLevel(logging.WARNING)
    from llmgnn_jax.evidence.document import document, listing
    from llmgnn_jax.evidence.drawing import drawing
    from llmgnn_jax.evidence.page import page
    from llmgnn_jax.evidence.template import sentence
    from llmgnn_jax.serving.recommender import Recommender

    recommender = Recommender.load(options.run, model=options.model)
    evidence = recommender.explain(
        user=options.user,
        item=options.item,
        most_edges=options.most_edges,
        show_ids=options.show_ids,
    )
    words = sentence(evidence, language=options.language)
    told = None
    if options.words is not None:
        from llmgnn_jax.speaking.answerer import Answerer
        from llmgnn_jax.speaking.speakers import load_speaker

        answerer = Answerer(recommender, generator=load_speaker(options.words))
        told = answerer.told(evidence, language=options.language)
    if out is not None:
        drawn = page if out.suffix.lower() == ".html" else drawing
        write_picture(out, drawn(evidence, language=options.language))
    if options.json:
        print_json(
            {
                "evidence": document(evidence),
                "sentence": words,
                **({} if told is None else {"words": dataclasses.asdict(told)}),
                "query": {"user": options.user, "item": options.item},
                "picture": options.out,
                "run": str(options.run),
                "model": recommender.model_name,
            }
        )
        return 0
    print(f"{listing(evidence, language=options.language)}\n\n{words}")
    if told is not None:
        print(f"\n{told.text}")
        if told.used == "template" and options.words != "none":
            silent = options.language == "zh" and not answerer.speaks_chinese
            why = "does not speak Chinese" if silent else "had nothing that holds"
            print(f"(by template: {options.words} {why})")
    if out is not None:
        print(f"\npicture  {out}")
    return 0
