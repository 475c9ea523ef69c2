"""Triples of MovieLens-100K: links mended by title, and what the runs differ in."""

import dataclasses
from pathlib import Path

from benchmarks.quality_triples import TABLES, configs, mended_links
from llmgnn_jax.data.synthetic import synthetic


def test_films_are_found_by_title_and_year() -> None:
    data = synthetic()
    empty = ("",) * (data.num_items - 4)
    here = ("Psycho (1960)", "Brazil (1985)", "Seven (Se7en) (1995)", "Psycho (1998)")
    there = ("Seven (a.k.a. Se7en) (1995)", "psycho (1998)", "Heat (1995)", "")
    numbers = mended_links(
        dataclasses.replace(data, item_titles=here + empty),
        dataclasses.replace(data, item_titles=there + empty),
    )
    ids = data.item_ids
    assert numbers == {ids[0]: ids[2], ids[1]: ids[3]}


def test_variants_differ_in_the_triples_and_the_filter_alone(tmp_path: Path) -> None:
    for model in TABLES:
        found = configs(model, tmp_path)
        [*_, last] = found.values()
        assert all(one.keys() == last.keys() for one in found.values())
        for variant, runs in found.items():
            for seed, run in runs.items():
                assert (run.models, str(run.seed)) == ((model,), seed)
                shipped = run.data.source == "ml-100k-recbole"
                assert shipped == ("as shipped" in variant)
                linked = run.graph.relations == ("all",)
                assert linked == (
                    "no triples" not in variant and variant != "no filter"
                )
        assert last["0"].graph.filter == "item_item"
