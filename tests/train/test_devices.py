"""What an error says of a device's memory; devices as commands take them: test_loop.py."""

import pytest
import torch

from study.errors import RunError
from study.train import devices


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_lack_of_memory_is_known_whoever_tells_of_it(error):
    assert devices.lacks_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDNN_STATUS_EXECUTION_FAILED"),
        RunError("out of memory on cpu: lower batch_size"),  # which has its remedy
        ValueError("out of memory"),
        None,
    ],
)
def test_other_errors_are_none(error):
    assert not devices.lacks_memory(error)


def test_it_shows_through_the_error_of_a_recording_that_it_broke_off():
    with pytest.raises(RuntimeError) as broken:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error")
    assert devices.lacks_memory(broken.value)


@pytest.mark.parametrize("capability, has", [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_tf32_is_noted_where_the_gpu_has_it(monkeypatch, capability, has):
    """A T4, an A100 and an H100."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert devices.tf32(torch.device("cuda")) == has
    assert not devices.tf32(torch.device("cpu"))
