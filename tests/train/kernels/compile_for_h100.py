"""Compile one of each of the kernels for an H100, without one: its compiler needs no GPU.

python -m tests.train.kernels.compile_for_h100 prints their names. Triton's interpreter takes
more than its compiler does.
"""

import torch
import triton
from triton.backends.compiler import GPUTarget

from study.architectures import POOL, Architecture, Conv
from study.train.blocks import Network
from study.train.dropout import Noise
from study.train.kernels import network as network_module
from study.train.kernels.network import KernelNetwork


class Driver:
    """What Triton asks of a driver before it launches anything."""

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)


def compile_one_of_each(launches, compile_all=network_module.warm_up):
    first = {launch[0].__name__: launch for launch in reversed(launches)}
    compile_all(first.values())
    for name, (kernel, grid, arguments, constants) in first.items():
        assert "cubin" in kernel.warmup(*arguments, grid=grid, **constants).asm, name
        print(name)


def main():
    triton.runtime.driver.set_active(Driver())
    network_module.warm_up = compile_one_of_each
    architecture = Architecture((Conv(3), POOL, Conv(4)), ("norm", "relu", "dropout"))
    for norm, affine in (("batch", "channel"), ("layer", "element")):
        network = Network(
            architecture, norm=norm, norm_affine=affine, dropout=[0.1], copies=1
        ).float()
        one = torch.ones(1)
        kernels = KernelNetwork(
            network, models=1, images=128, precision="float32",
            noise=Noise([1], torch.device("cpu")), mean=one, std=one, smoothing=one,
        )  # fmt: skip
        kernels.product = "tf32"
        kernels.compile()


if __name__ == "__main__":
    main()
