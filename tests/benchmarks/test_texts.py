"""The texts that benchmarks encode, how they are batched, and the weights."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bert_weights, texts
from benchmarks.harness import Unavailable
from benchmarks.ours import text_train
from llmgnn_jax.text.encoders.bert_config import BertConfig
from llmgnn_jax.text.encoders.model import declare
from llmgnn_jax.text.parameters import flat
from llmgnn_jax.text.pretrained.bert_names import bert_names
from llmgnn_jax.text.pretrained.load import is_kernel

SHAPE = bert_weights.Shape(
    vocab_size=60,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=24,
    max_position_embeddings=32,
)


@pytest.fixture
def small_corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    movies, cards = tmp_path / "ml-latest-small", tmp_path / "amazon-giftcards-5core"
    movies.mkdir()
    cards.mkdir()
    (movies / "movies.csv").write_text(
        "movieId,title,genres\n"
        '1,"Heist, The (1990)",Crime|Drama\n'
        "2,Misérables (1995),(no genres listed)\n"
        "3,Two Friends (1986),Comedy\n",
        "utf-8-sig",
    )
    (movies / "tags.csv").write_text(
        "userId,movieId,tag,timestamp\n"
        "7,1,robots,1\n7,2,sad,2\n8,1,robots,3\n8,1,bank,4\n",
        "utf-8",
    )
    rows = [
        {"summary": "Five Stars", "reviewText": "Another\ngreat gift."},
        {"summary": "Ease of use"},
        {"overall": 5.0},
        {"reviewText": "OK"},
    ]
    with gzip.open(cards / "Gift_Cards_5.json.gz", "wt", encoding="utf-8") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("LLMGNN_SHARED", str(tmp_path))
    return tmp_path


def test_a_movie_is_its_title_genres_and_tags(small_corpora: Path) -> None:
    assert texts.movies() == [
        "Heist, The (1990). Crime, Drama. robots, bank",
        "Misérables (1995). sad",
        "Two Friends (1986). Comedy",
    ]


def test_a_review_is_its_summary_and_text(small_corpora: Path) -> None:
    assert texts.reviews() == ["Five Stars. Another\ngreat gift.", "Ease of use", "OK"]


def test_the_real_corpora_are_whole(shared_data, monkeypatch) -> None:
    monkeypatch.setenv("LLMGNN_SHARED", str(shared_data("ml-latest-small").parent))
    movies = texts.movies()
    assert len(movies) == 9742
    expected = "Toy Story (1995). Adventure, Animation, Children, Comedy, Fantasy"
    assert movies[0] == f"{expected}. pixar, fun"
    shared_data("amazon-giftcards-5core")
    reviews = texts.reviews()
    assert len(reviews) == 2972
    assert reviews[0] == "Five Stars. Another great gift."


def test_absent_corpora_are_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMGNN_SHARED", str(tmp_path))
    for read in (texts.movies, texts.reviews):
        with pytest.raises(Unavailable, match="set LLMGNN_SHARED"):
            read()


def test_a_subset_is_drawn_once_and_keeps_the_order() -> None:
    numbers = [str(number) for number in range(100)]
    drawn = texts.subset(numbers, 10)
    assert drawn == texts.subset(numbers, 10) != texts.subset(numbers, 10, seed=1)
    assert drawn == sorted(set(drawn), key=int)
    assert len(drawn) == 10
    assert texts.subset(numbers, None) == texts.subset(numbers, 1000) == numbers


@pytest.mark.parametrize("corpus", [[], [""], ["a", "", "我喜欢 ½", "café\n", ""]])
def test_packed_texts_come_back(corpus: list[str]) -> None:
    assert texts.unpack_texts(texts.pack_texts(corpus)) == corpus


def test_padding_is_to_the_longest_of_a_batch() -> None:
    # Sorted by characters: (10, 2 tokens), then (5, 5), then (1).
    counts, sizes = np.array([2, 5, 10, 1, 5]), np.array([80, 30, 90, 3, 30])
    # Places: 2 x 10, 2 x 5, 1.
    padding = texts.padding_of_batches(counts, sizes, batch_size=2)
    assert padding == pytest.approx(1 - 23 / 31)
    # One batch, 5 rows of 10.
    padding = texts.padding_of_batches(counts, sizes, batch_size=8)
    assert padding == pytest.approx(1 - 23 / 50)
    assert texts.padding_of_batches(counts, sizes, batch_size=1) == 0
    none = np.zeros(0, int)
    assert texts.padding_of_batches(none, none, batch_size=4) == 0


def test_cosine_does_not_ask_for_unit_vectors() -> None:
    reference = np.array([[1.0, 0.0], [0.0, 1.0]])
    vectors = np.array([[3.0, 0.0], [1.0, 1.0]])
    found = texts.mean_cosine(vectors, reference)
    assert found == pytest.approx((1 + 0.5**0.5) / 2)


def test_weights_have_the_names_and_shapes_of_hugging_face() -> None:
    config = BertConfig(**vars(SHAPE))
    names, shapes = bert_names(config), flat(declare(config).params)
    weights = bert_weights.random_weights(SHAPE, seed=0)
    assert set(weights) == set(names.values())
    for ours, theirs in names.items():
        shape = shapes[ours].shape
        assert weights[theirs].shape == (shape[::-1] if is_kernel(ours) else shape)
    again = bert_weights.random_weights(SHAPE, seed=0)
    assert all((weights[name] == again[name]).all() for name in weights)


def test_key_biases_are_compared_at_the_scale_of_query_biases() -> None:
    layer = "encoder.layer.0.attention.self"
    gradients = {
        f"{layer}.query.bias": np.full(3, 0.5),
        f"{layer}.key.bias": np.full(3, 1e-9),
        f"{layer}.key.weight": np.ones((3, 3)),
    }
    found = bert_weights.for_parity(gradients, precision="float32")
    assert set(found) == {
        f"gradient.{layer}.query_and_key.bias",
        f"gradient.{layer}.key.weight",
    }
    both = found[f"gradient.{layer}.query_and_key.bias"]
    assert both.tolist() == [[0.5] * 3, [1e-9] * 3]


def test_what_pytorch_adds_up_in_bfloat16_is_compared_in_float32_alone() -> None:
    names = [
        "embeddings.token_type_embeddings.weight",
        "embeddings.LayerNorm.bias",
        "embeddings.LayerNorm.weight",
        "encoder.layer.0.output.dense.bias",
    ]
    gradients = {name: np.ones(3) for name in names}
    found = bert_weights.for_parity(gradients, precision="float32")
    assert set(found) == {f"gradient.{name}" for name in names}
    found = bert_weights.for_parity(gradients, precision="bfloat16")
    assert set(found) == {f"gradient.{name}" for name in names[2:]}


@pytest.mark.parametrize("seed", range(5))
def test_texts_packed_into_rows_do_not_overlap(seed: int) -> None:
    counts = np.random.default_rng(seed).integers(1, 33, 40)
    lists = [np.zeros(count, int) for count in counts]
    layout = text_train.packed_layout(lists, length=32)
    taken = np.zeros((layout[:, 0].max() + 1, 32), int)
    for (row, start), count in zip(layout, counts, strict=True):
        assert start + count <= 32
        taken[row, start : start + count] += 1
    assert taken.max() == 1
    assert taken.sum() == counts.sum()
    # No two rows could be one.
    used = np.sort(taken.sum(axis=1))
    assert used[0] + used[1] > 32


def ragged_inputs(mode: str) -> dict[str, np.ndarray]:
    """Three batches of 8 texts, from 1 to 16 tokens each."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 17, 24)
    counts[3] = 16
    inputs = {
        "texts": np.asarray(8),
        "token_ids": rng.integers(1, 60, counts.sum()).astype(np.int32),
        "token_ends": np.cumsum(counts),
        **bert_weights.with_prefix(
            bert_weights.random_weights(SHAPE, seed=1), "weight."
        ),
    }
    if mode == "lora":
        adapters = bert_weights.random_adapters(SHAPE, rank=2, seed=2)
        inputs |= bert_weights.with_prefix(adapters, "adapter.")
    return inputs


OPTIONS = {
    "shape": vars(SHAPE),
    "unit": "texts",
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "temperature": 0.05,
    "alpha": 4.0,
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["full", "lora"])
def test_packed_rows_give_the_losses_and_gradients_of_padded_ones(mode: str) -> None:
    inputs = ragged_inputs(mode)
    rows, packed = (
        text_train.setup(inputs, mode=mode, dtype="float32", layout=layout, **OPTIONS)
        for layout in ("rows", "packed")
    )
    assert packed.notes["rows"][0] < rows.notes["rows"][0] == 8
    assert packed.notes["padding"] < rows.notes["padding"]
    wanted, got = rows.outputs(), packed.outputs()
    assert set(wanted) == set(got)
    trained = {name.split(".")[1] for name in wanted if name != "losses"}
    assert trained == ({"adapter"} if mode == "lora" else {"embeddings", "encoder"})
    for name, array in wanted.items():
        scale = np.abs(array).max()
        assert scale > 0, name
        np.testing.assert_allclose(got[name], array, atol=1e-5 * scale, err_msg=name)
    packed.run()
