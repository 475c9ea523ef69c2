"""Which devices a run takes."""

from types import SimpleNamespace

import jax
import pytest

from llmgnn_jax.config import ParallelConfig
from llmgnn_jax.errors import UserError
from llmgnn_jax.parallel import mesh


@pytest.fixture
def eight(monkeypatch):
    devices = [SimpleNamespace(id=number) for number in range(8)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(mesh, "Mesh", lambda chosen, *_, **__: chosen)


@pytest.mark.parametrize(
    ("data", "model", "shape"), [(0, 1, (8, 1)), (0, 2, (4, 2)), (2, 3, (2, 3))]
)
def test_all_of_them_unless_fewer_are_asked_for(eight, data, model, shape):
    assert mesh.device_mesh(ParallelConfig(data=data, model=model)).shape == shape


@pytest.mark.parametrize(
    ("data", "model", "words"),
    [
        (0, 3, "parallel.model: expected a number that divides the 8 devices, got 3"),
        (0, 16, "parallel.model: expected at most 8 devices in all"),
        (9, 1, "parallel.data: expected at most 8 devices in all"),
    ],
)
def test_what_would_leave_some_idle_or_is_not_there(eight, data, model, words):
    with pytest.raises(UserError, match=words):
        mesh.device_mesh(ParallelConfig(data=data, model=model))
