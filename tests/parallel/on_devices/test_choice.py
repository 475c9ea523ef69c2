"""`parallel.exchange auto`: measured once in the life of a run, and written down."""

import dataclasses
import json
from pathlib import Path

import pytest

from llmgnn_jax.config import replace, to_json
from llmgnn_jax.parallel import choice, processes
from llmgnn_jax.parallel.choice import choose_exchange
from llmgnn_jax.parallel.exchange import EXCHANGES
from llmgnn_jax.planning import plan as planning
from llmgnn_jax.training import prepare as preparing
from llmgnn_jax.training.prepare import prepare
from llmgnn_jax.training.run import evaluate, fit

FOUR = {"parallel.data": 4}


@pytest.fixture(scope="module")
def config(tiny_config):
    return replace(
        tiny_config,
        **{
            **FOUR,
            "models": ("graph",),
            "graph.backend": "segment",
            "train.negatives": "uniform",
            "train.steps": 4,
            "train.steps_per_call": 2,
            "train.validate_every": 4,
            "train.checkpoint_every": 2,
            "evaluation.baselines": False,
        },
    )


@pytest.fixture
def case(config, workplace, monkeypatch):
    """A graph that is large enough, its strategy, and the width."""
    prepared = prepare(config)
    monkeypatch.setattr(choice, "_TOO_SMALL", 0)
    return {
        "graph": prepared.graph,
        "strategy": prepared.strategy,
        "width": config.graph.embedding_dim,
    }


@pytest.fixture
def clock(monkeypatch):
    """(seconds by exchange) -> the exchanges in the order in which they are timed."""

    def started(seconds):
        names, order = {}, []
        real = choice._prepared

        def prepared(graph, strategy, width):
            run = real(graph, strategy, width)
            names[run] = strategy.exchange
            return run

        def seconds_of(run):
            run()
            order.append(names[run])
            return seconds[names[run]]

        monkeypatch.setattr(choice, "_prepared", prepared)
        monkeypatch.setattr(choice, "seconds_of", seconds_of)
        return order

    return started


@pytest.mark.parametrize("fastest", EXCHANGES)
def test_the_fastest_is_taken(case, clock, fastest):
    order = clock({name: 1.0 if name == fastest else 1.5 for name in EXCHANGES})
    assert choose_exchange(**case) == fastest
    # However long they take, three of each, in turn.
    assert order == [*EXCHANGES] * 3


def test_short_ones_are_repeated_in_turn_and_a_hopeless_one_is_not(case, clock):
    order = clock({"all_gather": 0.1, "ring": 0.11, "all_to_all": 0.5})
    assert choose_exchange(**case) == "all_gather"
    assert order[:3] == list(EXCHANGES)
    assert order[3:] == ["all_gather", "ring"] * max(choice._ROUNDS)


def test_all_go_by_the_first_process(case, clock, monkeypatch):
    """Two processes whose clocks disagree run the same and choose the same."""
    seconds = {"all_gather": 1.0, "ring": 0.2, "all_to_all": 0.3}
    told = []
    monkeypatch.setattr(
        processes, "numbers_of_first", lambda own: told.append(own) or own
    )
    with monkeypatch.context():
        order = clock(seconds)
        assert choose_exchange(**case) == "ring"
    monkeypatch.setattr(processes, "numbers_of_first", lambda own: told.pop(0))
    others = clock({"all_gather": 0.01, "ring": 9.0, "all_to_all": 9.0})
    assert choose_exchange(**case) == "ring"
    assert others == order
    assert not told


@pytest.mark.parametrize(
    ("room", "chosen"),
    [(("ring", "all_to_all"), "ring"), (("ring",), "ring"), ((), "ring")],
)
def test_what_does_not_fit_is_not_run(case, clock, monkeypatch, room, chosen):
    fits = iter([name in room for name in EXCHANGES])
    monkeypatch.setattr(choice, "_fits", lambda *_: next(fits))
    order = clock({"all_gather": 0.5, "ring": 2.0, "all_to_all": 2.5})
    assert choose_exchange(**case) == chosen
    assert "all_gather" not in order
    assert bool(order) == (len(room) > 1)


def test_another_process_has_no_room(case, clock, monkeypatch):
    answers = iter([True, False, False])
    monkeypatch.setattr(processes, "any_of_them", lambda own: next(answers) or own)
    clock({"all_gather": 0.5, "ring": 2.5, "all_to_all": 2.0})
    assert choose_exchange(**case) == "all_to_all"


def test_room_is_what_the_device_tells(case):
    """Beside a propagation there are the table's gradient and moments."""

    class Device:
        process_index = 0

        def __init__(self, limit):
            self.limit = limit

        def memory_stats(self):
            if self.limit is None:
                return None
            # What is placed already has its room.
            return {"bytes_limit": self.limit, "bytes_in_use": 5}

    class Compiled:
        def memory_analysis(self):
            return type(
                "Used", (), {"argument_size_in_bytes": 100, "temp_size_in_bytes": 20}
            )

    class Devices:
        def __init__(self, limit):
            self.size = 4
            self.devices = type("Flat", (), {"flat": [Device(limit)] * 4})

    class Nodes:
        size, dtype = 40, type("Type", (), {"itemsize": 4})

    for limit, fits in ((None, True), (284, False), (285, True)):
        assert choice._fits(Compiled(), Devices(limit), Nodes()) is fits


def test_it_really_runs(case, caplog):
    with caplog.at_level("INFO", logger=choice.__name__):
        assert choose_exchange(**case) in EXCHANGES
    assert all(f"{name} " in caplog.text for name in EXCHANGES)


def written(folder: Path) -> str:
    return json.loads((folder / "config.json").read_text("utf-8"))["parallel"][
        "exchange"
    ]


@pytest.fixture
def asked(monkeypatch):
    """`auto` is `ring`; the width of each time that it was asked."""
    found = []

    def chosen(graph, *, strategy, width):
        assert strategy.devices == 4
        found.append(width)
        return "ring"

    monkeypatch.setattr(preparing, "choose_exchange", chosen)
    return found


def test_a_run_keeps_what_was_chosen(config, workplace, asked):
    folder, width = Path("run"), config.graph.embedding_dim
    first = fit(config, out=folder)
    assert asked == [width]
    assert written(folder) == "ring"
    # Neither judging nor going on measures anew, on as many devices or on others.
    again = evaluate(folder)
    assert (
        again.results["models"]["graph"]["test"]
        == (first.results["models"]["graph"]["test"])
    )
    fit(replace(config, **{"train.steps": 6}), out=folder, resume=True)
    fewer = {"train.steps": 8, "parallel.data": 2}
    fit(replace(config, **fewer), out=folder, resume=True)
    assert asked == [width]
    assert written(folder) == "ring"
    # What is asked for by name is another way to the same numbers.
    named = {"train.steps": 10, "parallel.exchange": "all_gather"}
    fit(replace(config, **named), out=folder, resume=True)
    assert asked == [width]
    assert written(folder) == "all_gather"


def test_what_began_on_one_device_is_measured_on_several(config, workplace, asked):
    folder = Path("run")
    fit(replace(config, **{"parallel.data": 1, "parallel.groups": 64}), out=folder)
    assert (asked, written(folder)) == ([], "auto")
    fit(replace(config, **{"train.steps": 6}), out=folder, resume=True)
    assert len(asked) == 1
    assert written(folder) == "ring"


def test_nothing_is_measured_where_nothing_is_propagated(config, workplace, asked):
    sampled = {"graph.fanouts": (2, 2), "graph.num_layers": 2}
    for changes in (sampled, {"models": ("text",)}):
        prepared = prepare(replace(config, **changes))
        assert prepared.config.parallel.exchange == "all_to_all"
        assert prepared.strategy.exchange == "all_to_all"
    replicas = {"parallel.strategy": "pmap"}
    prepare(replace(config, **replicas))
    assert asked == []


def test_a_small_graph_is_not_measured(config, workplace, monkeypatch):
    monkeypatch.setattr(choice, "_prepared", None)
    prepared = prepare(config)
    assert prepared.config.parallel.exchange == "all_to_all"
    assert dataclasses.asdict(prepared.config.parallel)["exchange"] == "all_to_all"


def test_a_plan_takes_the_ring_where_all_to_all_does_not_fit(config, monkeypatch):
    asked = replace(config, **{"parallel.data": 0, "train.examples": "users"})
    request = planning.Request(
        config=to_json(asked), topology="cpu:4", nodes=4000, edges=20_000
    )
    found = planning.plan(request)
    assert found["mode"] == "full graph, all_to_all"
    sent = found["cut"]["halo"] / found["cut"]["nodes"]
    assert found["exchange"].startswith(f"all_to_all, by auto: it sends {sent:.1%} of")
    real = planning.compiled

    def measured(step, *arguments, **options):
        taken = real(step, *arguments, **options)
        exchange = step.data.features.graph.plan.exchange
        return taken | {"fits": exchange != "all_to_all"}

    monkeypatch.setattr(planning, "compiled", measured)
    found = planning.plan(request)
    assert found["mode"] == "full graph, ring"
    assert found["exchange"] == (
        "ring, by auto: all_to_all, which would send less, does not fit"
    )
    assert "collective-permute" in found["collectives"]
    # What is asked for by name is planned, whether it fits or not.
    named = replace(asked, **{"parallel.exchange": "all_to_all"})
    found = planning.plan(dataclasses.replace(request, config=to_json(named)))
    assert (found["exchange"], found["fits"]) == ("all_to_all", False)
