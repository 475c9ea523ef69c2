"""How often a decoder's own words hold, and how much of what is false is found.

    llmgnn train ml-100k --out runs/explained
    python -m benchmarks.spoken_explanations --run runs/explained --count 1000 \\
        --json docs/results/spoken-explanations.json

For users drawn at random, each with items that stand first in its list: the evidence,
told by a decoder, checked, and told again where the checker refused. Cited entities are
looked up by their ids in the evidence, which the checker has no part in. Accepted
sentences that are an example of the prompt with other names and numbers are counted:
the fewer, the more is a decoder's own. Then something false is planted into sentences
that were accepted (`benchmarks.planted`), and the checker is asked to find it; what
templates say it should let pass. Without `--run` the recipe is trained first, without
baselines.
"""

import argparse
import collections
import datetime
import itertools
import json
import logging
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.planted import KINDS, planted
from benchmarks.quality_tables import table
from llmgnn_jax.config import replace
from llmgnn_jax.evaluation.environment import device, environment
from llmgnn_jax.evaluation.results import write_atomically
from llmgnn_jax.evidence.explanation import Evidence
from llmgnn_jax.recipes import recipe
from llmgnn_jax.serving.recommender import Recommender
from llmgnn_jax.speaking.catalogue import Catalogue
from llmgnn_jax.speaking.narrator import Narrator, Told, by_template
from llmgnn_jax.speaking.prompts import turns
from llmgnn_jax.text.generation.generator import TextGenerator
from llmgnn_jax.training.run import fit

_QUOTED_AND_CITED = re.compile(r'"([^"]+)"((?: ?\[\d+\])+)')
_CITATION = re.compile(r"\[(\d+)\]")


def pairs(recommender: Recommender, *, count: int, seed: int) -> list[tuple[str, str]]:
    """(user, item) pairs: users at random, of each another place of its list."""
    users, rng = recommender.user_ids, np.random.default_rng(seed)
    rounds = (rng.permutation(len(users)).tolist() for _ in itertools.count())
    chosen: list[tuple[str, str]] = []
    for place, order in enumerate(rounds):
        wanted = [users[slot] for slot in order[: count - len(chosen)]]
        for user, found in recommender.lists(users=wanted, k=place + 1):
            if len(found) > place:
                chosen.append((user, found[place].id))
        if len(chosen) >= count or place >= 50:
            return chosen
    raise AssertionError("rounds do not end")


def cited_entities(evidence: Evidence, told: Told) -> Iterator[tuple[str, bool]]:
    """(what is cited, whether the evidence has it), by numbers and titles alone."""
    numbers = {edge.number: edge for edge in evidence.edges}
    for number in told.cited:
        yield f"[{number}]", number in numbers
    for match in _QUOTED_AND_CITED.finditer(told.text):
        ends = [
            end
            for number in map(int, _CITATION.findall(match[2]))
            if number in numbers
            for end in (numbers[number].head, numbers[number].tail)
        ]
        yield match[1], match[1] in {end.name.replace('"', "'") for end in ends}


def measured(
    recommender: Recommender,
    generator: TextGenerator,
    *,
    count: int,
    tries: int,
    plants: int,
    seed: int,
) -> dict[str, Any]:
    """All numbers of the benchmark."""
    catalogue = Catalogue(recommender)
    narrator = Narrator(
        names=catalogue.names,
        generator=generator,
        highest_rating=catalogue.highest_rating,
        tries=tries,
    )
    start = time.perf_counter()
    evidences = [
        recommender.explain(user=user, item=item)
        for user, item in pairs(recommender, count=count, seed=seed)
    ]
    explained = time.perf_counter()
    told = narrator.tell(
        evidences,
        seed=seed,
        progress=lambda done: print(f"{done} whole", file=sys.stderr),
    )
    spoken = time.perf_counter()
    by_decoder = [one for one in told if one.used == "decoder"]
    first = sum(one.tries == 1 for one in by_decoder)
    cited = [
        found
        for evidence, one in zip(evidences, told, strict=True)
        for found in cited_entities(evidence, one)
    ]
    refusals = collections.Counter(
        _kind(reason) for one in told for reason in one.refusals
    )
    return {
        "explanations": len(told),
        "accepted": {
            "first_try": first / len(told),
            "any_try": len(by_decoder) / len(told),
            "by_tries": dict(
                sorted(collections.Counter(one.tries for one in by_decoder).items())
            ),
        },
        "as_examples": _as_examples(narrator, evidences, told),
        "by_template": 1 - len(by_decoder) / len(told),
        "without_reasons": sum(not narrator.account(one).reasons for one in evidences),
        "refused_sentences": sum(refusals.values()),
        "refusals": dict(refusals.most_common()),
        "cited": {
            "entities": len(cited),
            "in_evidence": sum(there for _, there in cited) / max(len(cited), 1),
        },
        "seconds": {
            "evidence": explained - start,
            "words": spoken - explained,
            "words_each": (spoken - explained) / len(told),
        },
        "planted": _planted(
            narrator, evidences, told, catalogue, plants=plants, seed=seed
        ),
        "templates": _templates(narrator, evidences),
        "examples": [
            {"text": one.text, "used": one.used, "refusals": list(one.refusals)}
            for one in told[:8]
        ],
    }


def frame(text: str) -> str:
    """A text without its citations, its names in quotes and its numbers."""
    bare = re.sub(r'"[^"]*"', '""', re.sub(r" ?\[\d+\]", "", text))
    return re.sub(r"\d+", "0", bare)


def _as_examples(
    narrator: Narrator, evidences: Sequence[Evidence], told: Sequence[Told]
) -> dict[str, Any]:
    """How many accepted sentences differ from the example in names and numbers alone.

    Names without quotes count as words of the decoder's own.
    """
    sentences = copied = 0
    for evidence, one in zip(evidences, told, strict=True):
        if one.used != "decoder":
            continue
        written = re.split(r"(?<=[.!]) ", frame(one.text))
        sentences += len(written)
        examples = [
            frame(turns(evidence.item, reason, place=place)[-2].text)
            for place, reason in enumerate(narrator.account(evidence).reasons)
        ]
        if len(written) == len(examples):
            copied += sum(map(str.__eq__, written, examples))
    return {"sentences": sentences, "share": copied / max(sentences, 1)}


def _planted(
    narrator: Narrator,
    evidences: Sequence[Evidence],
    told: Sequence[Told],
    catalogue: Catalogue,
    *,
    plants: int,
    seed: int,
) -> dict[str, Any]:
    """How much of what is planted into accepted sentences is found."""
    rows = [row for row, one in enumerate(told) if one.used == "decoder"]
    if not rows:
        return {"sentences": 0}
    fields = catalogue.dataset.item_categorical.values()
    made = planted(
        [re.sub(r" ?\[\d+\]", "", told[row].text) for row in rows],
        titles=[one for one in catalogue.item_titles if one],
        genres=sorted({value for column in fields for row in column for value in row}),
        count=plants,
        seed=seed,
    )
    found: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    missed = []
    for one in made:
        account = narrator.account(evidences[rows[one.source]])
        refused = narrator.checker.check(one.text, account).refusal
        found[one.kind].append(bool(refused))
        if not refused:
            missed.append(one.text)
    return {
        "sentences": len(made),
        "found": sum(map(sum, found.values())) / len(made),
        "by_kind": {kind: sum(one) / len(one) for kind, one in found.items() if one},
        "missed": missed,
    }


def _templates(narrator: Narrator, evidences: Sequence[Evidence]) -> dict[str, Any]:
    """How many sentences by template the checker lets pass, each by itself.

    In a template "it" is the item, whatever was named in the sentence before.
    """
    accounts = [narrator.account(one) for one in evidences]
    alone = [one.alone(reason) for one in accounts for reason in one.reasons]
    checked = [narrator.checker.check(by_template(one), one) for one in alone]
    passed = sum(not one.refusal for one in checked)
    refusals = collections.Counter(_kind(one.refusal) for one in checked if one.refusal)
    return {
        "sentences": len(checked),
        "accepted": passed / max(len(checked), 1),
        "refusals": dict(refusals),
    }


def _kind(reason: str) -> str:
    """A reason without what it is about."""
    return re.sub(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""", " ...", reason)


def markdown(document: Mapping[str, Any]) -> str:
    """Tables of what was accepted and of what was found."""
    accepted, planted_ = document["accepted"], document["planted"]
    rows = [
        ["accepted at the first try", _percent(accepted["first_try"])],
        ["accepted at any try", _percent(accepted["any_try"])],
        ["by template", _percent(document["by_template"])],
        [
            "accepted sentences that are the prompt's example with other names",
            _percent(document["as_examples"]["share"]),
        ],
        ["refused sentences", str(document["refused_sentences"])],
        ["cited entities in the evidence", _percent(document["cited"]["in_evidence"])],
        ["planted falsehoods found", _percent(planted_["found"])],
        ["template sentences accepted", _percent(document["templates"]["accepted"])],
        ["seconds of words each", f"{document['seconds']['words_each']:.2f}"],
    ]
    reasons = [[why, str(count)] for why, count in document["refusals"].items()]
    tables = [table([f"of {document['explanations']} explanations", ""], rows)]
    if reasons:
        tables.append(table(["refused because it", "sentences"], reasons))
    kinds = [[kind, _percent(one)] for kind, one in planted_["by_kind"].items()]
    tables.append(
        table([f"planted into {planted_['sentences']} sentences", "found"], kinds)
    )
    return "\n\n".join(tables)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, metavar="RUN")
    parser.add_argument("--words", default="smollm2-135m", metavar="NAME")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--tries", type=int, default=3)
    parser.add_argument("--plants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    command = "python -m benchmarks.spoken_explanations"
    with tempfile.TemporaryDirectory() as folder:
        run = options.run
        if run is None:
            run = Path(folder) / "run"
            config = replace(recipe("ml-100k"), **{"evaluation.baselines": False})
            fit(config, out=run, command="llmgnn train ml-100k")
        else:
            command += f" --run {run}"
        recommender = Recommender.load(run)
        found = measured(
            recommender,
            TextGenerator.load(options.words),
            count=options.count,
            tries=options.tries,
            plants=options.plants,
            seed=options.seed,
        )
    command += f" --count {options.count} --seed {options.seed} --json {options.json}"
    document = {
        "name": "spoken-explanations",
        "words": options.words,
        "tries": options.tries,
        **found,
        "model": recommender.model_name,
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": device(),
        "environment": environment(),
    }
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(
            options.json, json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        )
    print(markdown(document))


if __name__ == "__main__":
    main()
