"""transformers' `generate`, and a loop of our own in PyTorch for the same decoder.

Shapes: B rows, L tokens of a prompt, N new ones, M places of a cache, D width, H heads,
G heads of keys and values, K width of a head, V vocabulary.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, StaticCache

from benchmarks.harness import Task
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.device import DEVICE, DTYPES, numpy, peak_mb, wait


def _model(folder: str, precision: str) -> Any:
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=DTYPES[precision], local_files_only=True
    )
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model.eval().to(DEVICE)


def setup(
    inputs: Inputs,
    *,
    folder: str,
    new: int,
    precision: str,
    cache: Literal["dynamic", "static"] = "dynamic",
    compiled: bool = False,
) -> Task:
    """`generate`, greedy, all rows of one length and so without a mask."""
    model = _model(folder, precision)
    ids_BL = torch.tensor(np.array(inputs["ids"])).long().to(DEVICE)
    forced_BN = torch.tensor(np.array(inputs["forced"])).long().to(DEVICE)
    batch, length = ids_BL.shape
    settings: dict[str, Any] = {
        "max_new_tokens": new,
        "min_new_tokens": new,
        "do_sample": False,
        "attention_mask": torch.ones_like(ids_BL),
    }
    if cache == "static":
        settings |= {"cache_implementation": "static", "disable_compile": True}
    if compiled:
        # One program for prompts, one for the tokens after them.
        model.forward = torch.compile(model.forward, dynamic=False)

    @torch.inference_mode()
    def generated() -> torch.Tensor:
        found = model.generate(ids_BL, **settings)[:, length:]
        wait()
        return found

    @torch.inference_mode()
    def logits() -> torch.Tensor:
        kept = None
        if cache == "static":
            kept = StaticCache(config=model.config, max_cache_len=length + new)
        found = [model(ids_BL, past_key_values=kept, use_cache=True)]
        kept = found[0].past_key_values
        for place in range(forced_BN.shape[1]):
            one = forced_BN[:, place : place + 1]
            where = torch.full((batch, 1), length + place, device=DEVICE)
            found.append(model(one, past_key_values=kept, position_ids=where))
        return torch.stack([one.logits[:, -1] for one in found], dim=1)

    return _task(logits, generated, precision=precision, units=batch * new)


def setup_loop(
    inputs: Inputs,
    *,
    folder: str,
    new: int,
    precision: str,
    compiled: Literal["no", "plain", "packed"] = "no",
) -> Task:
    """A loop by hand, each step one call."""
    loop = Loop(_model(folder, precision), new=new)
    ids_BL = torch.tensor(np.array(inputs["ids"])).long().to(DEVICE)
    forced_BN = torch.tensor(np.array(inputs["forced"])).long().to(DEVICE)
    batch, length = ids_BL.shape
    cache = loop.cache(batch, length + new)
    run: Callable[..., torch.Tensor] = loop.forward
    step: Callable[..., torch.Tensor] = loop.forward
    if compiled != "no":
        step = torch.compile(loop.forward, dynamic=False)
        torch._inductor.config.freezing = compiled == "packed"

    @torch.inference_mode()
    def prefill() -> torch.Tensor:
        return run(ids_BL, torch.arange(length, device=DEVICE), cache, length)

    @torch.inference_mode()
    def one_more(ids_B: torch.Tensor, place: int) -> torch.Tensor:
        where = torch.tensor([place], device=DEVICE)
        return step(ids_B[:, None], where, cache, length + new)

    @torch.inference_mode()
    def generated() -> torch.Tensor:
        ids_B = prefill().argmax(dim=-1)
        found = [ids_B]
        for place in range(length, length + new - 1):
            ids_B = one_more(ids_B, place).argmax(dim=-1)
            found.append(ids_B)
        wait()
        return torch.stack(found, dim=1)

    @torch.inference_mode()
    def logits() -> torch.Tensor:
        found = [prefill().clone()]
        for place in range(forced_BN.shape[1]):
            found.append(one_more(forced_BN[:, place], length + place).clone())
        return torch.stack(found, dim=1)

    return _task(logits, generated, precision=precision, units=batch * new)


class Loop(torch.nn.Module):
    """The decoder with joined matrices and caches that are written in place."""

    def __init__(self, model: Any, *, new: int) -> None:
        super().__init__()
        config = model.config
        self.heads = config.num_attention_heads
        self.groups = config.num_key_value_heads
        self.head_dim = model.model.layers[0].self_attn.head_dim
        self.epsilon = config.rms_norm_eps
        self.words = model.get_input_embeddings().weight
        self.last_norm = model.model.norm.weight
        self.frequencies = model.model.rotary_emb.inv_freq.float()
        self.layers = [self._layer(layer) for layer in model.model.layers]

    def _layer(self, layer: Any) -> dict[str, torch.Tensor]:
        attention, mlp = layer.self_attn, layer.mlp
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        joined = [one.weight.detach() for one in projections]
        gated = [one.weight.detach() for one in (mlp.gate_proj, mlp.up_proj)]
        return {
            "norm": layer.input_layernorm.weight.detach(),
            "joined": torch.cat(joined).contiguous(),
            "output": attention.o_proj.weight.detach(),
            "mlp_norm": layer.post_attention_layernorm.weight.detach(),
            "gated": torch.cat(gated).contiguous(),
            "down": mlp.down_proj.weight.detach(),
        }

    def cache(self, batch: int, places: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of each layer, (B, G, M, K)."""
        shape = (batch, self.groups, places, self.head_dim)
        kept = {"dtype": self.words.dtype, "device": DEVICE}
        return [
            (torch.zeros(shape, **kept), torch.zeros(shape, **kept))
            for _ in self.layers
        ]

    def forward(
        self,
        ids_BL: torch.Tensor,
        places_L: torch.Tensor,
        cache: list[tuple[torch.Tensor, torch.Tensor]],
        seen: int,
    ) -> torch.Tensor:
        """(B, V) logits after the last of some tokens more.

        Args:
            ids_BL: The tokens.
            places_L: Where they stand.
            cache: Is written to.
            seen: Places of the cache that are looked at; those beyond the tokens are
                masked.
        """
        batch, length = ids_BL.shape
        angles = places_L[:, None].float() * self.frequencies[None]
        angles = torch.cat([angles, angles], dim=-1)
        cosine, sine = (f(angles).to(self.words.dtype) for f in (torch.cos, torch.sin))
        columns = torch.arange(seen, device=DEVICE)
        mask_LM = columns[None, :] <= places_L[:, None]
        x = functional.embedding(ids_BL, self.words)
        width = (x.shape[-1],)
        sizes = [self.heads, self.groups, self.groups]
        for layer, (keys, values) in zip(self.layers, cache, strict=True):
            normed = functional.rms_norm(x, width, layer["norm"], self.epsilon)
            joined = functional.linear(normed, layer["joined"])
            joined = joined.view(batch, length, -1, self.head_dim).transpose(1, 2)
            query, key, value = joined.split(sizes, dim=1)
            query, key = (_turned(one, cosine, sine) for one in (query, key))
            keys.index_copy_(2, places_L, key)
            values.index_copy_(2, places_L, value)
            mixed = functional.scaled_dot_product_attention(
                query,
                keys[:, :, :seen],
                values[:, :, :seen],
                attn_mask=mask_LM,
                enable_gqa=True,
            )
            mixed = mixed.transpose(1, 2).reshape(batch, length, -1)
            x = x + functional.linear(mixed, layer["output"])
            normed = functional.rms_norm(x, width, layer["mlp_norm"], self.epsilon)
            gate, up = functional.linear(normed, layer["gated"]).chunk(2, dim=-1)
            x = x + functional.linear(functional.silu(gate) * up, layer["down"])
        last = functional.rms_norm(x[:, -1], width, self.last_norm, self.epsilon)
        return functional.linear(last, self.words)


def _turned(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


def setup_reads(inputs: Inputs) -> Task:
    """How fast both cores read half a gigabyte, which no cache holds."""
    numbers = torch.ones(2**27)
    total = numbers.sum()
    return Task(
        run=lambda: numbers.sum(),
        outputs=lambda: {"sum": np.array([float(total)])},
        units=numbers.nbytes / 1e9,
    )


def _task(
    logits: Callable[[], torch.Tensor],
    generated: Callable[[], torch.Tensor],
    *,
    precision: str,
    units: float,
) -> Task:
    def outputs() -> dict[str, np.ndarray]:
        found = {"logits": numpy(logits())}
        if precision == "float32":
            found["ids"] = numpy(generated())
        return found

    return Task(run=generated, outputs=outputs, units=units, device_peak_mb=peak_mb())
