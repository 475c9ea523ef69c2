"""Which backend a run uses: as configured, or the fastest on its graph and device."""

import functools
import logging
import time

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.errors import UserError
from llmgnn_jax.graph.aggregate.backends import BACKENDS, Backend
from llmgnn_jax.graph.aggregate.canary import scatter_canary
from llmgnn_jax.graph.aggregate.operations import weighted_sum
from llmgnn_jax.graph.native import library
from llmgnn_jax.graph.plan import EdgePlan, with_buckets

logger = logging.getLogger(__name__)

# Below this every backend costs less than measuring them, and noise would choose.
_TOO_SMALL = 50_000
_REPEATS = 5
# A backend this many times slower than the best so far is not run again.
_HOPELESS = 4.0


def default_backend() -> Backend:
    """What needs no measurement: right on any graph, the fastest on a small one."""
    return "csr" if jax.default_backend() == "cpu" else "segment"


def usable_backend(backend: Backend) -> Backend:
    """The backend itself, or what stands in for `native` where it cannot be had.

    All are equal to rounding, so a run that was trained elsewhere is served all the
    same.
    """
    if backend != "native":
        return backend
    reason = library.unavailable_because()
    if reason is None:
        return backend
    instead = default_backend()
    logger.warning(
        "graph.backend native: %s; %s is used instead, equal to rounding",
        reason,
        instead,
    )
    return instead


def candidates() -> tuple[Backend, ...]:
    """What `auto` chooses from on this device, the likely winner first."""
    if jax.default_backend() == "cpu":
        if library.available():
            # The others take ten times as long as CSR there, and seconds to compile.
            return ("native", "csr")
        return ("csr", "bucketed", "segment")
    if jax.config.read("jax_bcoo_cusparse_lowering"):
        return ("csr", "segment", "bucketed")
    return ("segment", "bucketed")


def resolve_backend(name: str, plan: EdgePlan, *, width: int) -> Backend:
    """The backend behind a configured name: "auto" is measured on the plan's edges.

    Also lets the canary look at a GPU: what training scatters besides is slow where
    XLA's scatter is.

    Raises:
        UserError: If there is none of that name.
    """
    if jax.default_backend() == "gpu":
        scatter_canary()
    if name != "auto":
        return usable_backend(checked_backend(name))
    return choose_backend(plan, width=width)


def choose_backend(plan: EdgePlan, *, width: int) -> Backend:
    """Measures a forward and a backward pass of each candidate on the graph itself.

    Args:
        plan: The edges, with constant weights.
        width: D of the node vectors.

    Returns:
        The one with the least median time; a graph of few edges is not measured.
    """
    if plan.incoming.own.shape[0] < _TOO_SMALL:
        return default_backend()
    names = candidates()
    if "bucketed" in names and plan.incoming.buckets is None:
        plan = with_buckets(plan)
    times: dict[Backend, float] = {}
    for name in names:
        times[name] = measure_backend(
            plan, width=width, backend=name, best=min(times.values(), default=np.inf)
        )
    chosen = min(times, key=times.__getitem__)
    logger.info(
        "graph.backend auto: %s (%s)",
        chosen,
        ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in times.items()),
    )
    return chosen


def measure_backend(
    plan: EdgePlan, *, width: int, backend: Backend, best: float = np.inf
) -> float:
    """Median seconds of one weighted sum with its gradient.

    Args:
        plan: The edges, with constant weights.
        width: D.
        backend: Which kernel.
        best: What it has to beat: one that is hopelessly slower runs only once.
    """
    nodes_ND = jnp.ones((plan.incoming.num_nodes, width), jnp.float32)
    run = functools.partial(_forward_and_backward, nodes_ND, plan, backend)
    jax.block_until_ready(run())  # compiles
    times: list[float] = []
    while len(times) < _REPEATS:
        began = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - began)
        if times[0] > _HOPELESS * best:
            break
    return float(np.median(times))


@functools.partial(jax.jit, static_argnums=2)
def _forward_and_backward(
    nodes_ND: jax.Array, plan: EdgePlan, backend: Backend
) -> tuple[jax.Array, jax.Array]:
    out_ND, pull = jax.vjp(
        lambda nodes: weighted_sum(nodes, None, plan, backend=backend), nodes_ND
    )
    return out_ND, pull(out_ND)[0]


def checked_backend(name: str) -> Backend:
    """A configured name as a backend.

    Raises:
        UserError: If there is none of that name.
    """
    for backend in BACKENDS:
        if name == backend:
            return backend
    raise UserError.field(
        "graph.backend",
        expected="auto or one of " + ", ".join(BACKENDS),
        got=repr(name),
    )
