"""Compile one of each of the kernels for GPUs that are not there: Triton's compiler needs none.

python -m tests.train.kernels.compile_without_a_gpu prints their names. Triton's interpreter takes
more than its compiler does.
"""

import torch
import triton
from triton.backends.compiler import GPUTarget

from study.architectures import POOL, Architecture, Conv
from study.train.blocks import Network
from study.train.dropout import Noise
from study.train.kernels import network as network_module
from study.train.kernels.layers import read_layers
from study.train.kernels.network import PRODUCTS, KernelNetwork

# Compute capability, 10 times (an A100, an H100), precision, norm, affine mode.
CASES = (
    (90, "float32", "batch", "channel"),
    (90, "float32", "layer", "element"),
    (80, "bfloat16", "batch", "channel"),
)


class Driver:
    """What Triton asks of a driver before it launches anything, of GPUs numbered by their
    capabilities, as Triton keeps what it has compiled by the number."""

    capability = 0

    def get_current_device(self):
        return self.capability

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        return GPUTarget("cuda", self.capability, 32)


def compile_one_of_each(launches, compile_all=network_module.warm_up):
    first = {launch[0].__name__: launch for launch in reversed(launches)}
    compile_all(first.values())
    for name, (kernel, grid, arguments, constants) in first.items():
        assert "cubin" in kernel.warmup(*arguments, grid=grid, **constants).asm, name
        print(name)


def main():
    driver = Driver()
    triton.runtime.driver.set_active(driver)
    network_module.warm_up = compile_one_of_each
    architecture = Architecture((Conv(3), POOL, Conv(4)), ("norm", "relu", "dropout"))
    one = torch.ones(1)
    for driver.capability, precision, norm, affine in CASES:
        network = Network(
            architecture, norm=norm, norm_affine=affine, dropout=[0.1], copies=1
        ).float()
        kernels = KernelNetwork(
            network, read_layers(network, 1), models=1, images=128, precision=precision,
            noise=Noise([1], torch.device("cpu")), mean=one, std=one, smoothing=one,
        )  # fmt: skip
        kernels.product = PRODUCTS[precision]
        kernels.compile()


if __name__ == "__main__":
    main()
