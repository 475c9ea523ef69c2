"""Weights in several files, and weights in pickles."""

import json
import pickle
import sys

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.encode import TextEncoder
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.decoder_config import DecoderConfig
from llmgnn_jax.text.encoders.model import initialise
from llmgnn_jax.text.pretrained import load_encoder, save_encoder, weights_hash

INDEX = "model.safetensors.index.json"
BERT = BertConfig(
    vocab_size=20,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=16,
)
LLAMA = DecoderConfig(
    vocab_size=20,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=4,
    intermediate_size=12,
)

_listeners: list[list[str]] = []


def _listen(event, arguments):
    if event == "open":
        for paths in _listeners:
            paths.append(str(arguments[0]))


# It stays for good, so it does nothing while no test listens.
sys.addaudithook(_listen)


@pytest.fixture
def opened():
    """The paths that Python opens in a test, whoever asks for them."""
    _listeners.append([])
    yield _listeners[0]
    _listeners.clear()


def split(folder, *, files=3):
    """model.safetensors to several files and their index."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    names = [f"model-{n + 1:05}-of-{files:05}.safetensors" for n in range(files)]
    # By turns, so that neighbours in a layer lie in different files.
    where = {name: names[n % files] for n, name in enumerate(sorted(tensors))}
    for file in names:
        part = {name: tensors[name] for name in tensors if where[name] == file}
        save_file(part, folder / file)
    size = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (folder / INDEX).write_text(json.dumps(index))
    path.unlink()
    return names


@pytest.fixture(params=[BERT, LLAMA], ids=["bert", "llama"])
def folder(request, tmp_path):
    """A checkpoint in one file."""
    params = initialise(request.param, seed=3).params
    save_encoder(tmp_path, params=params, config=request.param)
    return tmp_path


def line_of(function, *arguments):
    with pytest.raises(UserError) as caught:
        function(*arguments)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_several_files_are_read_as_one_is(folder):
    expected = load_encoder(folder)
    hash_of_one = weights_hash(folder)
    names = split(folder)
    got = load_encoder(folder)
    assert got.config == expected.config
    jax.tree.map(np.testing.assert_array_equal, got.params, expected.params)

    # The hash follows the bytes of each of them.
    hashes = {hash_of_one, weights_hash(folder)}
    for name in names:
        path = folder / name
        save_file({k: v + 1 for k, v in load_file(path).items()}, path)
        hashes.add(weights_hash(folder))
    assert len(hashes) == 2 + len(names)


def test_transformers_own_files(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    for name in ("BertModel", "LlamaForCausalLM"):
        made = getattr(transformers, name)
        config = made.config_class(
            vocab_size=50,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=48,
        )
        peer = made(config)
        one, several = tmp_path / name, tmp_path / f"{name}-several"
        peer.save_pretrained(one)
        peer.save_pretrained(several, max_shard_size="20KB")
        assert len(list(several.glob("*.safetensors"))) > 2
        assert (several / INDEX).exists()
        jax.tree.map(
            np.testing.assert_array_equal,
            load_encoder(several).params,
            load_encoder(one).params,
        )


def test_a_missing_file_is_named(folder):
    names = split(folder)
    (folder / names[1]).unlink()
    for function in (load_encoder, weights_hash):
        assert line_of(function, folder) == (
            f"{folder}: expected the 3 files that {INDEX} names, got 1 missing: "
            f"{names[1]}; fetch it again"
        )


def test_a_truncated_file_is_named(folder):
    path = folder / split(folder)[2]
    path.write_bytes(path.read_bytes()[:-20])
    line = line_of(load_encoder, folder)
    assert line.startswith(f"{path}: expected a whole safetensors file")


def test_tensors_that_no_file_holds_are_listed(folder):
    path = folder / split(folder)[0]
    tensors = load_file(path)
    gone = sorted(tensors)[:2]
    save_file({k: v for k, v in tensors.items() if k not in gone}, path)
    line = line_of(load_encoder, folder)
    assert "2 problems" in line
    for name in gone:
        assert f"{name} is missing" in line


@pytest.mark.parametrize(
    "outside", ["../model.safetensors", "/tmp/model.safetensors", "a/b.safetensors"]
)
def test_an_index_that_points_outside_is_refused(folder, outside, opened):
    split(folder)
    # It would be found if it were looked for.
    beside = folder / outside
    if not outside.startswith("/"):
        beside.parent.mkdir(exist_ok=True)
        save_file({"x": np.zeros(2, np.float32)}, beside)
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"][min(index["weight_map"])] = outside
    (folder / INDEX).write_text(json.dumps(index))
    opened.clear()
    assert line_of(load_encoder, folder) == (
        f"{folder / INDEX}: expected an index of safetensors files, got none: files "
        "outside of the folder"
    )
    assert not any(path.endswith(".safetensors") for path in opened)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"{}", b"\xff"),
        *(b'{"weight_map": 3}', b'{"weight_map": {"a": 3}}'),
        b'{"weight_map": {"a": ["b"]}}',
    ],
)
def test_an_index_that_is_none_is_one_line(folder, content):
    split(folder)
    (folder / INDEX).write_bytes(content)
    line = line_of(load_encoder, folder)
    assert line.startswith(f"{folder / INDEX}: expected an index of safetensors files")


class Bomb:
    """What a pickle may do to those who open it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_is_refused_and_never_opened(folder, tmp_path, opened, tiny_encoder):
    (folder / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "pytorch_model-00001-of-00002.bin"):
        (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "struck")))
    (folder / "vocab.txt").write_bytes((tiny_encoder / "vocab.txt").read_bytes())
    opened.clear()
    for function in (load_encoder, weights_hash, TextEncoder.load):
        assert line_of(function, folder) == (
            f"{folder}: expected a file model.safetensors, got "
            "pytorch_model-00001-of-00002.bin, pytorch_model.bin; save the model as "
            "safetensors: pickles are never opened"
        )
    assert str(folder / "config.json") in opened, "the listener listens"
    assert not any(path.endswith(".bin") for path in opened)
    assert not (tmp_path / "struck").exists()
    # It would have struck.
    pickle.loads((folder / "pytorch_model.bin").read_bytes()).close()
    assert (tmp_path / "struck").exists()


def test_a_pickle_beside_safetensors_is_not_looked_at(folder, opened):
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04\x95")
    opened.clear()
    load_encoder(folder)
    assert not any(path.endswith(".bin") for path in opened)
