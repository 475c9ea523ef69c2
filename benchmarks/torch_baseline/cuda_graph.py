"""Training steps as one CUDA graph: the host launches them all with one call."""

from collections.abc import Callable

import torch

from benchmarks.harness import Unavailable
from benchmarks.torch_baseline.device import DEVICE

_WARM_UPS = 3


def check_cuda() -> None:
    """Raises `Unavailable` where there is no GPU."""
    if DEVICE.type != "cuda":
        raise Unavailable("CUDA graphs need a GPU")


def captured(steps: Callable[[], None]) -> Callable[[], None]:
    """What runs the steps as they were when they were captured.

    Args:
        steps: Reads and writes tensors that live on, without a look at a value. It is
            run a few times first, on a stream of its own as PyTorch wants it, and what
            it leaves behind is for the caller to undo.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            steps()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        steps()
    return graph.replay


def restart(
    parameters: dict[torch.nn.Parameter, torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Parameters as given, moments and the count of steps 0, where they lie."""
    with torch.no_grad():
        for parameter, start in parameters.items():
            parameter.copy_(start)
        for state in optimizer.state.values():
            for held in state.values():
                held.zero_()
