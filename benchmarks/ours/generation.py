"""`decode` with a pretrained decoder: tokens to tokens.

    python -m benchmarks.ours.generation DECODER FOLDER

writes the decoder's weights in Hugging Face's layout, float32, and `prompts.npy`.
"""

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.ours.device import peak_mb
from llmgnn_jax import assets
from llmgnn_jax.native.memory import keep_freed_memory
from llmgnn_jax.text.encoders.layers import ComputeDtype
from llmgnn_jax.text.generation.loop import decode
from llmgnn_jax.text.generation.model import Prompt
from llmgnn_jax.text.generation.pretrained import load_decoder
from llmgnn_jax.text.generation.sampling import SamplingOptions
from llmgnn_jax.text.pretrained import save_encoder
from llmgnn_jax.text.pretrained.load import load_language_model
from llmgnn_jax.text.tokens import load_tokenizer

# What prompts are windows of.
_TEXT = """\
A retired thief gathers an old crew for one last job, and finds that the bank has been
rebuilt by the man who betrayed her ten years ago. The film takes its time with each of
them: the driver who sells flowers now, the twins who never speak to one another, the
locksmith whose hands have begun to shake. When the night comes nothing goes as it was
planned, and the best scene is the quietest one, in which six people sit in a dark
kitchen and wait for the phone to ring. Critics praised the editing and the score, and
audiences remembered the robot that guards the vault, a machine that was built to be
polite and says good evening to everyone who tries to break in. In the second part the
crew has to steal the same painting twice, once to sell it and once to bring it back,
because the new owner turns out to be a child who only wanted something to look at. The
director said that she wanted to make a comedy about work: about what people are good
at, what it costs them, and why they go on with it when nobody is watching any more.
"""


def setup(inputs: Inputs, *, decoder: str, new: int, precision: ComputeDtype) -> Task:
    """Loads the decoder; a run is all tokens of all rows."""
    keep_freed_memory()  # As `llmgnn generate` does.
    model, params = load_decoder(assets.fetch(decoder), dtype=precision)
    ids, forced = np.array(inputs["ids"]), np.array(inputs["forced"])
    prompt = Prompt(ids, np.full(len(ids), ids.shape[1], np.int32))
    settings: dict[str, Any] = {
        "options": SamplingOptions(),
        "max_new_tokens": new,
        "stop_ids": (),
        "key": jax.random.key(0),
    }

    def generated() -> jax.Array:
        return decode(model, params, prompt, **settings).ids_BN.block_until_ready()

    def outputs() -> dict[str, np.ndarray]:
        logits, state = jax.jit(
            lambda params: model.prefill(params, prompt, capacity=forced.shape[1])
        )(params)
        step, all_logits = jax.jit(model.step), [np.asarray(logits)]
        for place in range(forced.shape[1]):
            logits, state = step(params, state, jnp.asarray(forced[:, place]))
            all_logits.append(np.asarray(logits))
        found = {"logits": np.stack(all_logits, axis=1)}
        if precision == "float32":
            found["ids"] = np.asarray(generated())
        return found

    matrices = sum(leaf.nbytes for leaf in jax.tree.leaves(params) if leaf.ndim > 2)
    return Task(
        run=generated,
        outputs=outputs,
        units=len(ids) * new,
        notes={"model": type(model).__name__, "bytes_a_step": matrices},
        device_peak_mb=peak_mb(),
    )


def _write(decoder: str, folder: Path) -> None:
    source = assets.fetch(decoder)
    model = load_language_model(source)
    save_encoder(folder, params=model.params, config=model.config)
    (ids,) = load_tokenizer(source).encode([_TEXT], max_length=1024)
    windows = np.lib.stride_tricks.sliding_window_view(np.array(ids, np.int32), 40)
    np.save(folder / "prompts.npy", windows[::20][:8])


if __name__ == "__main__":
    _write(sys.argv[1], Path(sys.argv[2]))
