"""What a plan says beside what a run really takes, on 1 to 8 devices of this CPU.

    python -m benchmarks.plan_measured --json docs/results/plan-measured.json

A graph of 20,000 nodes and 200,000 interactions is drawn by Gowalla's degree law, a
run is prepared on it for a mesh of so many devices, and its step is compiled and run.
Beside each other: bytes of the arrays on one device, by kind; XLA's temporaries; what
is sent.
"""

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from llmgnn_jax import recipes
from llmgnn_jax.config import Config, replace, to_json
from llmgnn_jax.planning.degrees import LAWS, Degrees
from llmgnn_jax.planning.plan import Request
from llmgnn_jax.planning.process import plan_apart
from llmgnn_jax.planning.topology import environment, parse_topology

NODES, PAIRS = 20_000, 200_000
DEVICES = (1, 2, 4, 8)
MODES: dict[str, dict[str, Any]] = {
    "ring": {"parallel.exchange": "ring"},
    "all_to_all": {"parallel.exchange": "all_to_all"},
    "sampled 15 x 10": {"graph.fanouts": (15, 10), "parallel.slack": 4.0},
}


def configured(source: str, mode: str) -> Config:
    """The run: LightGCN of two layers, BPR."""
    return replace(
        recipes.recipe("gowalla-lightgcn"),
        **{
            "data.source": source,
            "graph.num_layers": 2,
            "graph.backend": "segment",
            "graph.spare_users": 0,
            "graph.spare_items": 0,
            "graph.spare_edges": 0,
            "train.batch_size": 512,
            "parallel.groups": max(DEVICES),
            **MODES[mode],
        },
    )


def draw(folder: Path) -> int:
    """Writes a graph in LightGCN's format; how many train pairs it has."""
    law, rng = LAWS["gowalla"], np.random.default_rng(0)
    users = round(NODES * law.user_share)
    sides = []
    for count, of in ((users, law.users), (NODES - users, law.items)):
        degrees = Degrees(count=count, edges=PAIRS, law=of).at(np.arange(count))
        sides.append(rng.choice(count, 2 * PAIRS, p=degrees / degrees.sum()))
    pairs = np.unique(np.stack(sides, 1), axis=0)
    pairs = pairs[np.sort(rng.permutation(len(pairs))[:PAIRS])]
    # Everyone is there, however few they have.
    missing_users = np.setdiff1d(np.arange(users), pairs[:, 0])
    missing_items = np.setdiff1d(np.arange(NODES - users), pairs[:, 1])
    more = [
        np.stack(
            [missing_users, rng.integers(0, NODES - users, len(missing_users))], 1
        ),
        np.stack([rng.integers(0, users, len(missing_items)), missing_items], 1),
    ]
    pairs = np.unique(np.concatenate([pairs, *more]), axis=0)
    lines, held_out = [], []
    for user in range(users):
        items = pairs[pairs[:, 0] == user, 1]
        lines.append(" ".join(map(str, [user, *items])))
        held_out.append(f"{user} {(items[0] + 1) % (NODES - users)}")
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    (folder / "test.txt").write_text("\n".join(held_out) + "\n")
    return len(pairs)


def real(config: Config) -> dict[str, Any]:
    """In a process that has so many devices: what the run's step takes."""
    import jax
    import jax.numpy as jnp

    from llmgnn_jax.planning import costs
    from llmgnn_jax.planning.exchanges import collectives
    from llmgnn_jax.planning.held import by_kind
    from llmgnn_jax.planning.shapes import PlannedStep
    from llmgnn_jax.training.prepare import prepare
    from llmgnn_jax.training.ranking import trainee_of
    from llmgnn_jax.training.trained import set_up

    prepared = prepare(replace(config, models=("graph",)))
    setup = set_up("graph", prepared)
    trainee = trainee_of("graph", prepared, setup)
    count = jax.device_count()
    state = setup.snapshot.state
    step = PlannedStep(program=trainee.program, state=state, data=trainee.data)
    arrays = by_kind(step)
    held = sum(
        leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(state.params)
    )
    assert held == arrays["parameters"], "what the places say is what is there"
    arguments = (state, trainee.data, jnp.int32(1))
    traced = trainee.program.trace(*arguments)  # type: ignore[attr-defined]
    compiled = traced.lower().compile()
    work = costs.work(traced.jaxpr, devices=count)
    moved = collectives(compiled.as_text(), devices=count, told=work)
    memory = compiled.memory_analysis()
    _, metrics = trainee.program(*arguments)
    return {
        "arrays": arrays,
        "temporaries": int(memory.temp_size_in_bytes),
        "sent": sum(one.bytes for one in moved.values()),
        "loss": float(metrics.loss[0]),
        "missed": float(metrics.missed[0]),
    }


def measured(source: str, pairs: int) -> list[dict[str, Any]]:
    """A row for each mode and number of devices."""
    rows = []
    for mode in MODES:
        config = to_json(configured(source, mode))
        for count in DEVICES:
            topology = parse_topology(f"cpu:{count}")
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.plan_measured", "--real"],
                input=config,
                env=environment(topology),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(done.stderr[-2000:])
            found = json.loads(done.stdout.splitlines()[-1])
            said = plan_apart(
                Request(
                    config=config, topology=f"cpu:{count}", nodes=NODES, edges=pairs
                )
            )
            rows.append({"mode": mode, "devices": count, "real": found, "plan": said})
            print(mode, count, flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, plan and run side by side."""
    lines = [
        "| step | devices | table, moments | edges | train pairs | temporaries | sent "
        "a step |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        said, found = row["plan"], row["real"]
        sent = sum(one["bytes"] for one in said["collectives"].values())
        cells = [
            _both(
                *(
                    one["arrays"]["parameters"] + one["arrays"]["optimizer"]
                    for one in (said, found)
                )
            ),
            *(
                _both(said["arrays"][kind], found["arrays"][kind])
                for kind in ("edges", "train pairs")
            ),
            _both(said["bytes"]["temporaries"], found["temporaries"]),
            _both(sent, found["sent"]),
        ]
        lines.append(
            f"| {row['mode']} | {row['devices']} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines)


def _both(planned: float, found: float) -> str:
    return f"{planned / 2**20:.2f}, {found / 2**20:.2f}"


def main() -> None:
    """Draws, plans and runs; or, with --real, runs what stdin says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--real", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.real:
        from llmgnn_jax.config import from_json

        print(json.dumps(real(from_json(sys.stdin.read()))))
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "drawn"
        source.mkdir()
        rows = measured(str(source), draw(source))
    if options.json:
        document = {
            "name": "plan_measured",
            "nodes": NODES,
            "interactions": PAIRS,
            "rows": rows,
            "command": f"python -m benchmarks.plan_measured --json {options.json}",
            "date": datetime.date.today().isoformat(),
        }
        text = json.dumps(document, indent=1) + "\n"
        options.json.write_text(text, "utf-8")
    print("\n" + table(rows) + "\n\nMiB on one device: planned, then found.")


if __name__ == "__main__":
    main()
