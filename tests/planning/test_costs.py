"""What is read off a program: loops counted, bytes as they travel."""

import jax
import jax.numpy as jnp
import pytest

from llmgnn_jax.planning.costs import collectives, work

HLO = """HloModule step

%body.1 (p: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %send.1 = f32[8,4]{1,0} collective-permute(f32[8,4]{1,0} %x), channel_id=1
  ROOT %out = (s32[], f32[8,4]) tuple(%i, %send.1)
}

%cond.1 (p: (s32[], f32[8,4])) -> pred[] {
  ROOT %less = pred[] compare(%i, %n), direction=LT
}

%steps.2 (q: (s32[])) -> (s32[]) {
  %turns = (s32[], f32[8,4]) while((s32[], f32[8,4]) %init), condition=%cond.1, \
body=%body.1, backend_config={"known_trip_count":{"n":"7"}}
  %sum = f32[10]{0} all-reduce(f32[10]{0} %y), to_apply=%add
  %heard = (bf16[2,3]{1,0}, bf16[16,3]{1,0}) all-gather-start(bf16[2,3]{1,0} %z), \
dimensions={0}
  %done = bf16[16,3]{1,0} all-gather-done(%heard)
  ROOT %r = (s32[]) tuple(%j)
}

ENTRY %main (a: s32[]) -> s32[] {
  %loop = (s32[]) while((s32[]) %start), condition=%cond.1, body=%steps.2
  ROOT %last = s32[] get-tuple-element(%loop), index=0
}
"""


def test_loops_and_kinds():
    found = collectives(HLO, devices=8)
    assert set(found) == {"collective-permute", "all-reduce", "all-gather"}
    ring = found["collective-permute"]
    assert (ring.count, ring.bytes, ring.largest) == (7, 7 * 128, 128)
    assert found["all-reduce"].bytes == pytest.approx(2 * 7 / 8 * 40)
    assert found["all-gather"].largest == 96
    assert found["all-gather"].bytes == pytest.approx(7 / 8 * 96)


def test_work_of_a_loop():
    def program(a, b):
        def body(_, c):
            return (c @ b) + c[jnp.array([1, 0, 2])]

        return jax.lax.fori_loop(0, 5, body, a)

    shapes = (jax.ShapeDtypeStruct((3, 4), "float32"),) * 1
    traced = jax.jit(program).trace(*shapes, jax.ShapeDtypeStruct((4, 4), "float32"))
    assert work(traced.jaxpr, devices=1).flops == 5 * 2 * 3 * 4 * 4
    assert work(traced.jaxpr, devices=4).flops == 5 * 2 * 3 * 4 * 4 / 4
    assert work(traced.jaxpr, devices=1).traffic >= 5 * (3 * 4 + 16 + 12) * 4
