"""The step of LightGCN: every peer has its loss and gradient."""

import dataclasses
import shutil

import numpy as np
import pytest

from benchmarks import batch_sizes, lightgcn_step, recbole_baseline
from benchmarks.harness.measure import measure
from benchmarks.harness.system import Effort, Inputs
from tests.benchmarks.test_fused_step import pairs

ROWS = 64
OPTIONS = {**lightgcn_step.OURS, "batch_size": ROWS}


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return lightgcn_step.inputs_of(pairs, OPTIONS)()


@pytest.mark.slow
@pytest.mark.parametrize("variant", lightgcn_step.JRAPH)
def test_jraph_computes_what_ours_does(inputs: Inputs, variant: str) -> None:
    from benchmarks.jraph_baseline import lightgcn_step as theirs
    from benchmarks.ours import lightgcn_step as ours

    assert not inputs["batch_keep"].all()
    wanted = ours.setup(inputs, **OPTIONS, backend="csr").outputs()
    options = {**lightgcn_step.SETTING, **lightgcn_step.JRAPH[variant]}
    task = theirs.setup(inputs, **options)
    got = task.outputs()
    assert got.keys() == wanted.keys()
    for name, array in wanted.items():
        scale = np.abs(array).max()
        assert scale > 0, name
        assert np.abs(got[name] - array).max() <= 2e-5 * scale, name
    task.run()


@pytest.mark.slow
def test_recbole_computes_what_ours_does_in_its_own_interpreter(
    inputs: Inputs,
) -> None:
    if shutil.which(recbole_baseline.interpreter()) is None:
        pytest.skip("RecBole is absent: make setup-recbole")
    (case,) = lightgcn_step.cases(quick=True)
    case = dataclasses.replace(
        case,
        inputs=lambda: inputs,
        systems=tuple(
            system
            for system in lightgcn_step.systems(OPTIONS)
            if system.name == "llmgnn_jax csr"
            or (system.system == "recbole" and not system.environment)
        ),
    )
    result = measure(case, Effort(rounds=1, turn_s=0.0, warm_up_s=0.0, threads=1))
    assert not result.missing
    assert len(result.parity) == len(lightgcn_step.RECBOLE)
    versions = [m.said["versions"] for m in result.measured if m.system.python]
    assert all("recbole" in one and "jax" not in one for one in versions)


def test_rows_have_names_of_their_own() -> None:
    names = [system.name for system in lightgcn_step.systems()]
    assert len(set(names)) == len(names)


def test_batches_are_told_to_ours_and_have_a_place_on_a_curve() -> None:
    from benchmarks.throughput_plots import number_of

    cases = batch_sizes.cases(quick=False)
    places = [number_of(case.size) for case in cases]
    assert [number for _, number in places] == [*batch_sizes.ROWS] * 2
    assert len({words for words, _ in places}) == 2
    for case, (_, rows) in zip(cases, places, strict=True):
        ours = [one for one in case.systems if one.system == "llmgnn_jax"]
        peers = [one for one in case.systems if one.system != "llmgnn_jax"]
        names = [one.variant for one in ours]
        assert names == ["native", "native, tuned malloc"]
        assert {one.options["batch_size"] for one in ours} == {rows}
        assert {"pytorch", "recbole"} >= {peer.system for peer in peers} >= {"pytorch"}
