"""The compiled loop: stops, draws, a few tokens at a time."""

import contextlib
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from llmgnn_jax.text.generation.loop import advance, begin, decode
from llmgnn_jax.text.generation.model import Prompt
from llmgnn_jax.text.generation.sampling import SamplingOptions

SIZE = 11
DRAWN = SamplingOptions(temperature=1.0)


@dataclass(frozen=True)
class Counting:
    """The next token is the last one plus one; `params` is how surely."""

    vocab_size: int = SIZE
    max_tokens: int = 1000

    def prefill(self, params: Any, prompt: Prompt, *, capacity: int) -> Any:
        last = jnp.take_along_axis(
            prompt.ids_BL, (prompt.lengths_B - 1)[:, None], axis=1
        )[:, 0]
        return self._after(params, last), jnp.zeros(capacity)

    def step(self, params: Any, state: Any, ids_B: jax.Array) -> Any:
        return self._after(params, ids_B), state

    def all_logits(self, params: Any, prompt: Prompt) -> jax.Array:
        return self._after(params, prompt.ids_BL)

    def _after(self, params: Any, ids: jax.Array) -> jax.Array:
        return params * jax.nn.one_hot((ids + 1) % SIZE, SIZE)


def prompt_of(*last: int) -> Prompt:
    ids = np.stack([np.array([7, number, 9]) for number in last]).astype(np.int32)
    return Prompt(ids, np.full(len(last), 2, np.int32))


def settings(**changes: Any) -> dict[str, Any]:
    return {
        "options": SamplingOptions(),
        "max_new_tokens": 6,
        "stop_ids": (),
        "key": jax.random.key(1),
        **changes,
    }


def test_rows_end_at_their_stops() -> None:
    found = decode(
        Counting(), jnp.float32(5), prompt_of(0, 3, 4, 9), **settings(stop_ids=(5, 8))
    )
    assert found.ids_BN.tolist() == [
        [1, 2, 3, 4, 0, 0],
        [4, 0, 0, 0, 0, 0],
        [0] * 6,
        [10, 0, 1, 2, 3, 4],
    ]
    assert found.lengths_B.tolist() == [4, 1, 0, 6]
    each = 5 - np.log(np.exp(5) + SIZE - 1)
    wanted = np.where(np.arange(6) < np.array([4, 1, 0, 6])[:, None], each, 0)
    np.testing.assert_allclose(found.log_probabilities_BN, wanted, atol=1e-6)


def test_it_ends_when_all_rows_have() -> None:
    # A step would be heard: a row of padding counts on for ever.
    steps = []

    @dataclass(frozen=True)
    class Heard(Counting):
        def step(self, params: Any, state: Any, ids_B: jax.Array) -> Any:
            jax.debug.callback(lambda: steps.append(1))
            return super().step(params, state, ids_B)

    found = decode(
        Heard(),
        jnp.float32(5),
        prompt_of(2, 0),
        **settings(stop_ids=(5,), rows_B=np.array([0, -1], np.int32)),
    )
    jax.effects_barrier()
    assert found.lengths_B.tolist() == [2, 0]
    assert len(steps) == 2


def test_draws_do_not_depend_on_the_rows_beside() -> None:
    run = settings(options=DRAWN, max_new_tokens=40)
    together = decode(Counting(), jnp.float32(1), prompt_of(1, 2, 3), **run)
    for row, number in enumerate((1, 2, 3)):
        alone = decode(
            Counting(),
            jnp.float32(1),
            prompt_of(number),
            **run,
            rows_B=np.array([row], np.int32),
        )
        assert alone.ids_BN[0].tolist() == together.ids_BN[row].tolist()
    other = decode(
        Counting(),
        jnp.float32(1),
        prompt_of(1, 2, 3),
        **{**run, "key": jax.random.key(2)},
    )
    assert (other.ids_BN != together.ids_BN).any()
    # Rows of one prompt draw different tokens.
    alike = decode(Counting(), jnp.float32(1), prompt_of(1, 1), **run)
    assert (alike.ids_BN[0] != alike.ids_BN[1]).any()


def decode_for_minutes() -> None:
    """None of it in Python; says when it begins."""

    @dataclass(frozen=True)
    class Slow(Counting):
        def step(self, params: Any, state: Any, ids_B: jax.Array) -> Any:
            start = jnp.full((128, 128), 1e-3 * ids_B[0])
            work = jax.lax.fori_loop(0, 300, lambda _, one: jnp.tanh(one @ one), start)
            slowly = (work.sum() > 1e9).astype(jnp.int32)
            return super().step(params, state, ids_B + slowly)

    print("begun", flush=True)
    decode(Slow(), jnp.float32(5), prompt_of(0), **settings(max_new_tokens=50_000))


def test_an_interrupt_is_heard_between_parts() -> None:
    """In a process of its own, whose caches it may leave in disorder."""
    child = subprocess.Popen(
        [sys.executable, "-c", "import test_loop; test_loop.decode_for_minutes()"],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        told = ""
        for _ in range(8):
            # One that comes while JAX compiles may be lost.
            time.sleep(3.0)
            child.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, told = child.communicate(timeout=3.0)
                break
    finally:
        child.kill()
    assert child.returncode != 0
    assert "KeyboardInterrupt" in told


def test_a_few_tokens_at_a_time_are_the_same_tokens() -> None:
    run = settings(options=DRAWN, max_new_tokens=20, stop_ids=(9,))
    prompt = prompt_of(1, 5)
    whole = decode(Counting(), jnp.float32(3), prompt, **run)
    progress = begin(Counting(), jnp.float32(3), prompt, **run)
    assert int(progress.num_tokens) == 1
    for until in (2, 3, 7, 50):
        progress = advance(Counting(), jnp.float32(3), progress, until=until, **run)
        assert int(progress.num_tokens) <= min(until, 20)
    for one, two in zip(progress.decoded, whole, strict=True):
        np.testing.assert_array_equal(one, two)
