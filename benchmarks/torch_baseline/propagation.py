"""One propagation A X in PyTorch: forward alone, without autograd's bookkeeping."""

import time

import torch

from benchmarks.harness import Task, Unavailable
from benchmarks.harness.system import Inputs
from benchmarks.torch_baseline.device import DTYPES, numpy, peak_mb, tensor, wait
from benchmarks.torch_baseline.products import PRODUCTS


def setup(inputs: Inputs, *, product: str, precision: str) -> Task:
    """One of `PRODUCTS`."""
    dtype = DTYPES[precision]
    multiply = PRODUCTS[product](inputs, dtype)
    nodes = tensor(inputs["nodes"], dtype)
    # PyG's EdgeIndex is a tensor subclass that inference mode does not take.
    quiet = torch.no_grad if product == "edge_index_matmul" else torch.inference_mode

    def run() -> None:
        with quiet():
            multiply(nodes)
        wait()

    def outputs() -> dict:
        if precision != "float32":
            with quiet():
                return {"out": numpy(multiply(nodes))}
        leaf = nodes.clone().requires_grad_()
        out = multiply(leaf)
        out.backward(tensor(inputs["cotangent"], dtype))
        assert leaf.grad is not None
        return {"out": numpy(out), "gradient": numpy(leaf.grad)}

    began = time.perf_counter()
    try:
        # Not in inference mode: what torch-sparse caches here, gradients need too.
        with torch.no_grad():
            multiply(nodes)
    except (NotImplementedError, RuntimeError) as error:
        if precision == "float32":
            raise
        # No kernel for this precision: the row is missing, and says so.
        raise Unavailable(str(error).splitlines()[0]) from error
    compile_s = time.perf_counter() - began if "compiled" in product else 0.0
    return Task(run=run, outputs=outputs, compile_s=compile_s, device_peak_mb=peak_mb())
