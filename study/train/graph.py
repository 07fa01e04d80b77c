"""A step on CUDA, recorded once: replaying it costs one launch for hundreds of kernels."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

WARM_UP = 3  # steps before the recording


class StepGraph:
    """The recording of a step, a function of tensors that returns nothing.

    A replay's inputs are copied into the tensors that it was recorded with. As PyTorch's notes on
    CUDA graphs ask (docs.pytorch.org/docs/stable/notes/cuda.html), a few steps run first on a side
    stream; what they changed is put back.

    Args:
        step: what is recorded; no value in it comes back to the host.
        changed: the tensors, on one device, that it changes in place.
        inputs: the first step's.

    Raises:
        RuntimeError: memory ran out, of which leaving the recording may make another error (see
            devices.lacks_memory).
    """

    def __init__(
        self, step: Callable[..., None], changed: Sequence[Tensor], *inputs: Tensor
    ) -> None:
        self.inputs = [tensor.clone() for tensor in inputs]
        saved = [tensor.detach().clone() for tensor in changed]
        device = changed[0].device
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step(*self.inputs)
        torch.cuda.current_stream(device).wait_stream(stream)
        with torch.cuda.graph(self.graph):
            step(*self.inputs)
        with torch.no_grad():
            for tensor, value in zip(changed, saved):
                tensor.copy_(value)

    def replay(self, *inputs: Tensor) -> None:
        """Run the step on other inputs."""
        for recorded, tensor in zip(self.inputs, inputs):
            recorded.copy_(tensor)
        self.graph.replay()
