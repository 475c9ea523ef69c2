"""Tokenizers and batches of fixed shape."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tokenizers

from llmgnn_jax.errors import UserError
from llmgnn_jax.text.length_buckets import (
    length_buckets,
    padding_waste,
    row_lengths,
    rows_of,
)
from llmgnn_jax.text.tokens import load_tokenizer, tiny_tokenizer

WORDS = ("the", "robot", "##s", "heist", "我", "喜", ".", "cafe", "café")
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS)


def random_lists(seed, *, number=500, longest=60):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, longest + 1, number)
    return [rng.integers(4, 1000, length).tolist() for length in lengths]


def test_tiny_tokenizer_knows_words_and_chinese_characters():
    tokenizer = tiny_tokenizer(["heist", "robots", "我", "喜欢", "heist"])
    known, unknown, empty, chinese = tokenizer.encode(
        ["Heist  ROBOTS", "heist sofa", "", "我heist"], max_length=8
    )
    assert known == [2, 4, 5, 3]
    assert unknown == [2, 4, 1, 3]
    assert empty == [2, 3]
    assert chinese == [2, 6, 4, 3]
    assert tokenizer.vocab_size == 8
    assert tokenizer.pad_id == 0


def test_truncation_keeps_the_special_tokens_and_the_next_call_is_free_of_it():
    tokenizer = tiny_tokenizer(["a"])
    assert tokenizer.encode(["a " * 50], max_length=5) == [[2, 4, 4, 4, 3]]
    assert len(tokenizer.encode(["a " * 50], max_length=60)[0]) == 52
    with pytest.raises(UserError, match=r"max_length: expected more than 2, got 2"):
        tokenizer.encode(["a"], max_length=2)


def test_half_a_surrogate_pair_is_no_error():
    tokenizer = tiny_tokenizer(["a", "b"])
    assert tokenizer.encode(["a \ud800 b"], max_length=9) == [[2, 4, 5, 3]]
    smile = tokenizer.encode(["\ud83d\ude00", "\U0001f600"], max_length=9)
    assert smile[0] == smile[1]


def test_a_text_that_is_no_str_is_named():
    with pytest.raises(UserError, match="text 1: expected a str, got float"):
        tiny_tokenizer(["a"]).encode(["a", float("nan")], max_length=9)


def test_fingerprint_follows_the_vocabulary_alone():
    assert tiny_tokenizer("ab").fingerprint == tiny_tokenizer("ab").fingerprint
    assert tiny_tokenizer("ab").fingerprint != tiny_tokenizer("ba").fingerprint
    tokenizer = tiny_tokenizer("ab")
    tokenizer.encode(["a"], max_length=4)
    assert tokenizer.fingerprint == tiny_tokenizer("ab").fingerprint


def write_vocabulary(folder, **rules):
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", "utf-8")
    if rules:
        (folder / "tokenizer_config.json").write_text(json.dumps(rules))


def test_vocab_txt_is_read_as_bert_reads_it(tmp_path):
    write_vocabulary(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    ids = tokenizer.encode(["The robots. Café 我喜x [MASK]"], max_length=32)[0]
    assert [VOCABULARY[i] for i in ids] == [
        *("[CLS]", "the", "robot", "##s", ".", "cafe", "我", "喜", "[UNK]", "[MASK]"),
        "[SEP]",
    ]
    write_vocabulary(tmp_path, do_lower_case=False, strip_accents=False)
    ids = load_tokenizer(tmp_path).encode(["The café"], max_length=32)[0]
    assert [VOCABULARY[i] for i in ids] == ["[CLS]", "[UNK]", "café", "[SEP]"]


def test_vocab_txt_gives_the_ids_of_transformers(tmp_path):
    folders = tmp_path / "lower", tmp_path / "cased"
    for folder, lower in zip(folders, (True, False), strict=True):
        folder.mkdir()
        write_vocabulary(folder, tokenizer_class="BertTokenizer", do_lower_case=lower)
    texts = ["The robots. Café 我喜x [MASK]", "", "café the\trobot\u200d \u00a0heist!"]
    # In a process of its own: transformers would import PyTorch into this one.
    program = (
        "import json, sys; from transformers import AutoTokenizer as A;"
        "ts = [A.from_pretrained(f, local_files_only=True) for f in sys.argv[2:]];"
        "print(json.dumps([t(json.loads(sys.argv[1]))['input_ids'] for t in ts]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(texts), *map(str, folders)],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = json.loads(done.stdout.splitlines()[-1])
    assert expected[0] != expected[1]
    got = [load_tokenizer(folder).encode(texts, max_length=64) for folder in folders]
    assert got == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("README", b"", "expected a tokenizer.json, or the vocab.txt of a BERT"),
        ("tokenizer.json", b"{", "expected a Hugging Face tokenizer"),
        ("tokenizer.json", b"\xff", "expected a Hugging Face tokenizer"),
        ("vocab.txt", b"\xff", "expected a BERT's vocab.txt"),
        ("vocab.txt", b"[PAD]\n[UNK]\n", r"expected the tokens \[CLS\], \[SEP\]"),
    ],
)
def test_unreadable_tokenizers_are_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)


def write_byte_level(folder, *special, **settings):
    """A tokenizer.json without special tokens around texts, and files beside it."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate((*alphabet, *special))}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.add_special_tokens(list(special))
    backend.save(str(folder / "tokenizer.json"))
    for name, values in settings.items():
        (folder / f"{name}.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("special", "settings", "pad"),
    [
        (["<s>", "<pad>"], {}, "<pad>"),
        (["<|endoftext|>", "<|im_end|>"], {}, "<|endoftext|>"),
        (
            ["<|endoftext|>", "<|im_end|>"],
            {"tokenizer_config": {"pad_token": "<|im_end|>"}},
            "<|im_end|>",
        ),
        (
            ["<pad>", "</s>"],
            {"special_tokens_map": {"pad_token": {"content": "</s>"}}},
            "</s>",
        ),
        (
            ["<pad>", "</s>"],
            {
                "tokenizer_config": {"pad_token": None},
                "special_tokens_map": {"pad_token": "</s>"},
            },
            "</s>",
        ),
        (["<pad>"], {"tokenizer_config": {"pad_token": "<absent>"}}, "<pad>"),
        (["</s>"], {}, "!"),
    ],
)
def test_padding_is_the_token_that_the_files_name(tmp_path, special, settings, pad):
    write_byte_level(tmp_path, *special, **settings)
    tokenizer = load_tokenizer(tmp_path)
    rules = json.loads((tmp_path / "tokenizer.json").read_text())
    assert rules["padding"] is None
    assert tokenizer.pad_id == rules["model"]["vocab"][pad]


def test_a_text_without_tokens_has_a_row_of_padding(tmp_path):
    write_byte_level(tmp_path, "<pad>")
    tokenizer = load_tokenizer(tmp_path)
    lists = tokenizer.encode(["", "ab"], max_length=8)
    assert [len(ids) for ids in lists] == [0, 2]
    assert tokenizer.encode(["abc"], max_length=1) == [lists[1][:1]]
    (batch,) = length_buckets(
        lists, batch_tokens=16, max_length=8, pad_id=tokenizer.pad_id
    )
    assert batch.rows.tolist() == [0, 1]
    assert batch.mask.sum(axis=1).tolist() == [0, 2]
    assert (batch.ids[0] == tokenizer.pad_id).all()


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_unreadable_settings_are_one_line(tmp_path, content):
    write_byte_level(tmp_path)
    (tmp_path / "tokenizer_config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"tokenizer_config\.json: expected a tok"):
        load_tokenizer(tmp_path)


def test_buckets_hold_every_text_once_and_nothing_else():
    lists = random_lists(0)
    batches = length_buckets(lists, batch_tokens=512, max_length=64, pad_id=7)
    seen = np.concatenate([batch.rows for batch in batches])
    assert sorted(seen[seen >= 0]) == list(range(len(lists)))
    for batch in batches:
        assert batch.ids.dtype == np.int32
        for row, ids, mask in zip(batch.rows, batch.ids, batch.mask, strict=True):
            assert ids[mask].tolist() == (lists[row] if row >= 0 else [])
            assert (ids[~mask] == 7).all()
            assert (np.diff(mask.astype(int)) <= 0).all(), "padding is at the right"


def test_the_shape_of_a_text_does_not_depend_on_the_others():
    lists = random_lists(1)

    def shapes(chosen):
        batches = length_buckets(
            [lists[row] for row in chosen], batch_tokens=512, max_length=64
        )
        return {
            chosen[row]: batch.ids.shape
            for batch in batches
            for row in batch.rows
            if row >= 0
        }

    all_shapes = shapes(range(len(lists)))
    for row in (0, 7, 123):
        assert shapes([row])[row] == all_shapes[row]
    assert len(set(all_shapes.values())) <= 10


def test_waste_is_stated_and_small():
    lists = random_lists(2, number=5000)
    batches = length_buckets(lists, batch_tokens=512, max_length=64)
    places = sum(batch.ids.size for batch in batches)
    assert padding_waste(batches) == pytest.approx(
        1 - sum(map(len, lists)) / places, abs=1e-12
    )
    assert padding_waste(batches) < 0.12
    assert padding_waste([]) == 0


def test_row_lengths_cover_and_max_length_caps():
    counts = np.arange(1, 2000)
    lengths = row_lengths(counts)
    assert (lengths >= counts).all()
    assert (np.diff(lengths) >= 0).all()
    assert (lengths - counts < np.maximum(8, counts * 0.3)).all()
    assert len(set(lengths[counts <= 256])) <= 18
    [batch] = length_buckets([[1] * 49], batch_tokens=100, max_length=50)
    assert batch.ids.shape == (2, 50)
    assert rows_of(600, batch_tokens=512) == 1


def test_no_texts_give_no_batches_and_overlong_ones_are_a_defect():
    assert length_buckets([], batch_tokens=512, max_length=64) == []
    with pytest.raises(ValueError, match="65 tokens"):
        length_buckets([[1] * 65], batch_tokens=512, max_length=64)
