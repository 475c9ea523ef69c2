"""What is read off a program: loops counted, bytes as they travel."""

import jax
import jax.numpy as jnp
import pytest

from llmgnn_jax.planning.costs import work
from llmgnn_jax.planning.exchanges import collectives

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


PIECES = """HloModule step

%fused.1 (p: f32[1,48]) -> f32[1,384] {
  %all-gather.1 = f32[1,384]{1,0} all-gather(f32[1,48]{1,0} %p), channel_id=3, \
metadata={op_name="jit(step)/while/body/gather_parameters/sharding_constraint"}
}

%async_collective_fusion.2 (p: f32[1,48]) -> f32[1,384] {
  %all-gather.2 = f32[1,384]{1,0} all-gather(f32[1,48]{1,0} %p), channel_id=3, \
metadata={op_name="jit(step)/while/body/gather_parameters/sharding_constraint"}
}

%all-reduce-scatter.1 (p: f32[384]) -> f32[48] {
  %all-reduce.1 = f32[384]{0} all-reduce(f32[384]{0} %p), to_apply=%add
}

%layer.1 (q: (s32[])) -> (s32[]) {
  %async-collective-start = (f32[1,48]{1,0}, f32[1,384]{1,0}) fusion(%a), \
kind=kCustom, calls=%fused.1
  %fusion.2 = (f32[1,384]{1,0}) fusion(%b), kind=kCustom, \
calls=%async_collective_fusion.2
  %async-collective-done = f32[1,384]{1,0} fusion(%c), kind=kCustom, calls=%fused.1
  %fusion.3 = f32[48]{0} fusion(%d), kind=kCustom, calls=%all-reduce-scatter.1
  ROOT %r = (s32[]) tuple(%j)
}

%cond.2 (q: (s32[])) -> pred[] {
  %constant.7 = s32[]{:T(128)} constant(6)
  %i = s32[]{:T(128)} get-tuple-element(%q), index=0
  ROOT %less = pred[]{:T(512)} compare(%i, %constant.7), direction=LT
}

ENTRY %main (a: s32[]) -> s32[] {
  %loop = (s32[]) while((s32[]) %start), condition=%cond.2, body=%layer.1
  %other = f32[64]{0} all-gather(f32[8]{0} %o), channel_id=4
  ROOT %last = s32[] get-tuple-element(%loop), index=0
}
"""


def test_parameters_in_pieces():
    found = collectives(PIECES, devices=8)
    assert set(found) == {"all-gather", "reduce-scatter"}
    gathered, summed = found["all-gather"], found["reduce-scatter"]
    # Six layers, one exchange each, whatever it is cut into; and another.
    assert gathered.count == 7
    assert gathered.bytes == pytest.approx(7 / 8 * 4 * (6 * 384 + 64))
    # Of what was not asked for.
    assert gathered.largest == 4 * 64
    # A device sends all but its own piece.
    assert (summed.count, summed.bytes) == (6, 6 * 7 / 8 * 4 * 384)


@pytest.mark.parametrize(
    ("groups", "among"),
    [
        ("", 8),
        ("replica_groups={{0,2,4,6},{1,3,5,7}}", 4),
        ("replica_groups={}", 8),
        ("replica_groups=[4,2]<=[8]", 2),
        ("replica_groups=[2,4]<=[4,2]T(1,0)", 4),
        ("replica_groups=mesh['axis_0'=4,'axis_1'=2] {'axis_1'}", 2),
        ("replica_groups=mesh['a'=2,'b'=1,'c'=4] {'a','c'}", 8),
    ],
)
def test_among_how_many(groups, among):
    module = f"""ENTRY %main (a: f32[2]) -> f32[64] {{
  ROOT %o = f32[64]{{0}} all-gather(f32[8]{{0}} %a), channel_id=4, {groups}
}}
"""
    found = collectives(module, devices=8)["all-gather"]
    assert found.bytes == pytest.approx(256 * (among - 1) / among)


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
