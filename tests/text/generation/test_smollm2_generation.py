"""The real SmolLM2, where it is in the cache already: PyTorch's tokens are ours."""

from pathlib import Path

import jax
import numpy as np
import pytest

from llmgnn_jax import assets
from llmgnn_jax.text.generation.chat import Turn
from llmgnn_jax.text.generation.generator import TextGenerator
from llmgnn_jax.text.generation.loop import decode
from llmgnn_jax.text.generation.model import Prompt
from llmgnn_jax.text.generation.sampling import SamplingOptions
from llmgnn_jax.text.pretrained import save_encoder
from llmgnn_jax.text.pretrained.load import load_language_model

NEW = 64
QUESTIONS = (
    "Name a heist film and say why it is good.",
    "Why would someone who likes robots like The Iron Giant?",
)


@pytest.fixture(scope="module")
def folder() -> Path:
    path = assets.where("smollm2-135m")
    if path is None:
        pytest.skip(
            "smollm2-135m is not in the cache (`llmgnn data fetch smollm2-135m`)"
        )
    return path


@pytest.mark.slow
def test_64_greedy_tokens_are_pytorchs(folder: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    transformers = pytest.importorskip("transformers")
    generator = TextGenerator.load(folder)
    turns = [
        [
            Turn(role="system", text="You are a helpful AI assistant."),
            Turn(role="user", text=question),
        ]
        for question in QUESTIONS
    ]
    prompts = [*map(generator.chat, turns), "The best films about robots are"]
    found = generator.generate(prompts, max_new_tokens=NEW)
    model = load_language_model(folder)
    save_encoder(tmp_path, params=model.params, config=model.config)
    peer = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32
    ).eval()
    for prompt, ours in zip(prompts, found, strict=True):
        (ids,) = generator.tokenizer.encode([prompt])
        with torch.inference_mode():
            theirs = peer.generate(
                torch.tensor([ids]),
                attention_mask=torch.ones((1, len(ids)), dtype=torch.long),
                max_new_tokens=NEW,
                do_sample=False,
                eos_token_id=list(generator.stop_ids),
                pad_token_id=0,
            )[0, len(ids) :].tolist()
        if theirs[-1] in generator.stop_ids:
            assert ours.finished == "stop"
            theirs = theirs[:-1]
        assert list(ours.ids) == theirs


@pytest.mark.slow
def test_prompts_that_begin_alike_are_answered_as_each_alone(folder: Path) -> None:
    generator = TextGenerator.load(folder)
    examples = [
        Turn(role="system", text="You say in one plain sentence why, by the facts."),
        Turn(role="user", text='3 people who had "Ostrava Kid" had "Velmora".'),
        Turn(
            role="assistant", text='3 people who had "Ostrava Kid" had "Velmora" too.'
        ),
    ]
    facts = ['8 people who had "Fargo" had "Heat".', '61 friends had "Alien".']
    facts += [f'{n} people who had "Babe" had "Big Night".' for n in (2, 30, 415)]
    prompts = [
        generator.chat([*examples, Turn(role="user", text=fact)]) for fact in facts
    ]
    for _ in range(2):
        found = generator.generate(prompts, max_new_tokens=24)
        for prompt, together in zip(prompts, found, strict=True):
            (ids,) = generator.tokenizer.encode([prompt])
            whole = decode(
                generator.model,
                generator.params,
                Prompt.whole(np.array([ids], np.int32)),
                options=SamplingOptions(),
                max_new_tokens=24,
                stop_ids=generator.stop_ids,
                key=jax.random.key(0),
            )
            count = int(whole.lengths_B[0])
            assert together.ids == tuple(whole.ids_BN[0, :count].tolist())
            gained = float(whole.log_probabilities_BN[0].sum())
            assert abs(together.log_probability - gained) <= 1e-3


@pytest.mark.slow
def test_conversations_are_cut_into_tokens_as_transformers_does(folder: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is absent")
    transformers = pytest.importorskip("transformers")
    generator = TextGenerator.load(folder)
    name = next(folder.glob("*.gguf")).name
    theirs = transformers.AutoTokenizer.from_pretrained(str(folder), gguf_file=name)
    turns = [
        Turn(role="system", text="Be brief."),
        # transformers reads empty lines before a digit otherwise than llama.cpp, and
        # than the model's own tokenizer, which split digits off first.
        Turn(role="user", text="  Hello\n\nWhich 2024 films?"),
        Turn(role="assistant", text="Yes: 3."),
        Turn(role="user", text="我喜欢电影"),
    ]
    prompt = generator.chat(turns)
    written = theirs.apply_chat_template(
        [{"role": turn.role, "content": turn.text} for turn in turns],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert prompt == written
    assert generator.tokenizer.encode([prompt])[0] == theirs(written)["input_ids"]


@pytest.mark.slow
def test_bfloat16_says_much_the_same(folder: Path) -> None:
    exact = TextGenerator.load(folder)
    half = TextGenerator.load(folder, dtype="bfloat16")
    prompt = exact.chat([Turn(role="user", text=QUESTIONS[0])])
    text = " A good heist film is Ocean's Eleven, because of its cast."
    (one,) = exact.log_likelihoods([prompt], [text])
    (two,) = half.log_likelihoods([prompt], [text])
    assert one.tokens == two.tokens > 10
    assert abs(one.total - two.total) <= 0.05 * abs(one.total)
