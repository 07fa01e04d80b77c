"""The kernels draw dropout's noise to the bit, and compile for a GPU also where there is none."""

import inspect
import os
import subprocess
import sys

import pytest
import torch

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

from study.train.dropout import Noise  # noqa: E402
from study.train.kernels import activation, convolution, head, images, noise, norm  # noqa: E402
from tests.conftest import ROOT  # noqa: E402

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@triton.jit
def drawn(keys, step, layer, first, bits, BLOCK: tl.constexpr):
    k = tl.program_id(0)
    place = first + tl.arange(0, BLOCK)
    tl.store(bits + k * BLOCK + tl.arange(0, BLOCK), kernel_draw(keys, step, k, layer, place))


@triton.jit
def kernel_draw(keys, step, k, layer, place):
    return noise.draw(tl.load(keys + k), tl.load(step), layer, place).to(tl.int64)


@pytest.mark.parametrize("layer, step", [(0, 0), (3, 1), (9, 2**31 + 5)])
def test_kernel_draw_dropouts_noise(layer, step):
    noise = Noise([0, 1, 2**64 - 1, 0x123456789ABCDEF0], DEVICE)
    noise.step.fill_(step)
    bits = torch.zeros(4, 256, dtype=torch.int64, device=DEVICE)
    drawn[(4,)](noise.keys, noise.step, layer, 0, bits, BLOCK=256)
    assert torch.equal(bits, noise.draw(layer, 256))
    drawn[(4,)](noise.keys, noise.step, layer, 10_000, bits, BLOCK=256)
    assert torch.equal(bits, noise.draw(layer, 10_256)[:, 10_000:])
    assert len(bits.unique()) > 1000 and bits.min() >= 0 and bits.max() < 2**32


def test_all_kernels_compile_for_gpus_that_are_not_there(request):
    """Some 20 s on two slow cores the first time, since Triton's interpreter, which runs all other
    tests without a GPU, takes what its compiler refuses."""
    folder = str(request.config.cache.mkdir("triton"))
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": folder}
    command = [sys.executable, "-m", "tests.train.kernels.compile_without_a_gpu"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    launched = {
        name
        for module in (activation, convolution, head, images, norm)
        for name, value in vars(module).items()
        if hasattr(value, "fn") and "tl.program_id" in inspect.getsource(value.fn)
    }
    assert set(done.stdout.split()) == launched
