"""The C++ kernels: what they compute, the same on any threads."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from llmgnn_jax.graph.aggregate import native as kernels
from llmgnn_jax.graph.plan import plan_edges


def test_rows_that_repeat_are_added_up(native: None) -> None:
    nodes = jnp.asarray([4, 1, 4, 0, 4], jnp.int32)
    values = jnp.asarray(np.arange(15.0).reshape(5, 3), jnp.float32)
    slots, rows = kernels.compact_rows(nodes, values, 6)
    assert slots.tolist() == [2, 1, -1, -1, 0, -1]
    expected = [values[0] + values[2] + values[4], values[1], values[3]]
    np.testing.assert_array_equal(rows[:3], jnp.stack(expected))
    assert not rows[3:].any()


THREADS = """
import hashlib
import jax, jax.numpy as jnp, numpy as np
from llmgnn_jax.graph.aggregate import edge_softmax, maximum, sum_edges, weighted_sum
from llmgnn_jax.graph.chosen import lightgcn_of
from llmgnn_jax.graph.plan import plan_edges
rng = np.random.default_rng(0)
N, E = 5000, 120000
receivers = np.sort(np.floor(N * rng.random(E) ** 3).astype(int))
plan = plan_edges(rng.integers(0, N, E), receivers, N, weights=rng.normal(size=E))
nodes = jnp.asarray(rng.normal(size=(N, 43)), jnp.float32)
weights = jnp.asarray(rng.normal(size=E), jnp.float32)
chosen = jnp.asarray(rng.integers(0, N, 700), jnp.int32)
def loss(nodes, weights):
    shares = edge_softmax(weights, plan, backend="native")
    out = weighted_sum(nodes, shares, plan, backend="native")
    out = out + maximum(nodes, plan, backend="native")
    out = out + sum_edges(weights, plan, backend="native")[:, None]
    final, same = lightgcn_of(nodes, chosen, plan, num_layers=2, backend="native")
    return jnp.sin(out).sum() + (jnp.sin(final) * same).sum(), (out, final)
run = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
for _ in range(3):
    leaves = jax.tree.leaves(run(nodes, weights))
    print(hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in leaves)).hexdigest())
"""


@pytest.mark.slow
def test_the_same_bits_on_any_number_of_threads(native: None) -> None:
    found = set()
    for threads in ("1", "2", "7"):
        environment = os.environ | {"NPROC": threads, "JAX_PLATFORMS": "cpu"}
        result = subprocess.run(
            [sys.executable, "-c", THREADS],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
        )
        lines = result.stdout.split()
        assert len(lines) == 3
        found.update(lines)
    assert len(found) == 1


@pytest.mark.slow
def test_a_whole_process_without_a_compiler(tmp_path: Path) -> None:
    text = """
import jax.numpy as jnp, numpy as np
from llmgnn_jax.graph.aggregate import choice, usable_backend, weighted_sum
from llmgnn_jax.graph.plan import plan_edges
ring = np.arange(5)
plan = plan_edges(np.roll(ring, 1), ring, 5, weights=np.ones(5))
backend = usable_backend("native")
print(backend, *choice.candidates())
print(weighted_sum(jnp.arange(5.0)[:, None], None, plan, backend=backend)[0, 0])
try:
    weighted_sum(jnp.arange(5.0)[:, None], None, plan, backend="native")
except RuntimeError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", text],
        env=os.environ
        | {
            "PATH": str(tmp_path),
            "CXX": "",
            "LLMGNN_CACHE": str(tmp_path),
            "JAX_PLATFORMS": "cpu",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert result.stdout.splitlines() == [
        "csr csr bucketed segment",
        "4.0",
        "no C++ compiler: install g++ or clang++, or set CXX",
    ]


def test_several_tasks_of_a_kernel_cover_every_row(native: None) -> None:
    # As many rows without edges as with, and one row that is a task by itself.
    rng = np.random.default_rng(0)
    receivers = np.sort(
        np.concatenate([2 * rng.integers(0, 10_000, 40_000), np.full(30_000, 7777)])
    )
    plan = plan_edges(rng.integers(0, 20_001, 70_000), receivers, 20_001)
    ones = jnp.ones((70_000, 1))
    counts = np.bincount(receivers, minlength=20_001)
    sums = jax.jit(lambda e: kernels.row_sums(plan.incoming, e))(ones)
    np.testing.assert_array_equal(sums[:, 0], counts)
    highest = kernels.row_maxima(plan.incoming, ones)
    np.testing.assert_array_equal(highest[:, 0], np.where(counts, 1, -np.inf))


@pytest.mark.parametrize("number", [-1, 6])
def test_no_row_is_read_that_is_not_there(native: None, number: int) -> None:
    numbers = jnp.asarray([0, number, 5], jnp.int32)
    with pytest.raises(Exception, match="numbers: expected numbers of nodes"):
        jax.block_until_ready(kernels.gather_rows(jnp.ones((6, 3)), numbers))
    with pytest.raises(Exception, match="chosen: expected numbers of nodes"):
        jax.block_until_ready(kernels.compact_rows(numbers, jnp.ones((3, 2)), 6))
    plan = plan_edges(np.zeros(6, int), np.arange(6), 6, weights=np.ones(6))
    with pytest.raises(Exception, match="chosen: expected numbers of nodes"):
        jax.block_until_ready(
            kernels.chosen_row_sums(plan.incoming, jnp.ones((6, 2)), numbers)
        )
    ids, mask = numbers[None, :], jnp.ones((1, 3), bool)
    with pytest.raises(Exception, match="ids: expected numbers of rows of the table"):
        jax.block_until_ready(
            kernels.gathered_sums(jnp.ones((6, 3)), ids, jnp.ones((1, 3)), mask)
        )


# A row's bytes: those that have a loop of their own, and others.
@pytest.mark.parametrize("shape", [(), (1,), (2,), (4,), (8,), (3, 5)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.int32])
def test_rows_of_any_size_are_gathered(
    native: None, shape: tuple[int, ...], dtype: type
) -> None:
    nodes = jnp.arange(50 * np.prod(shape, dtype=int)).reshape(50, *shape).astype(dtype)
    # More than one task of a kernel.
    numbers = np.random.default_rng(0).integers(0, 50, 40_000).astype(np.int32)
    found = jax.jit(kernels.gather_rows)(nodes, numbers)
    np.testing.assert_array_equal(found, np.asarray(nodes)[numbers])


_NARROW = """
import jax, jax.numpy as jnp, numpy as np
from llmgnn_jax.graph.native import library
library.flags = (*library.flags, "-mno-avx512f")
assert library.available(), library.unavailable_because()
from llmgnn_jax.graph.aggregate import weighted_sum
from llmgnn_jax.graph.plan import plan_edges

random = np.random.default_rng(0)
receivers = np.sort(random.integers(0, 30, 400))
plan = plan_edges(random.integers(0, 30, 400), receivers, 30)
for dtype in (jnp.float32, jnp.bfloat16):
    nodes = jnp.asarray(random.normal(size=(30, 4, 16)), dtype)
    weights = jnp.asarray(random.normal(size=(400, 4)), jnp.float32)
    found = []
    for backend in ("native", "segment"):
        out, back = jax.vjp(
            lambda n, w: weighted_sum(n, w, plan, backend=backend), nodes, weights
        )
        found.append([np.asarray(x, np.float32) for x in (out, *back(nodes))])
    for one, wanted in zip(*found, strict=True):
        tolerance = 1e-5 if dtype == jnp.float32 else 1e-2
        np.testing.assert_allclose(one, wanted, rtol=tolerance, atol=10 * tolerance)
"""


@pytest.mark.slow
def test_without_wide_registers(native: None, tmp_path: Path) -> None:
    """What other processors compile."""
    if os.uname().machine != "x86_64":
        pytest.skip("not an x86-64 processor")
    subprocess.run(
        [sys.executable, "-c", _NARROW],
        check=True,
        env={**os.environ, "LLMGNN_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu"},
    )
