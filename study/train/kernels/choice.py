"""Whether a pack runs by Triton's kernels or by torch's: here alone."""

import importlib.util
import logging
from typing import TYPE_CHECKING, Any

import torch

from study.errors import first_line
from study.train import devices
from study.train.blocks import Network
from study.train.kernels.layers import read_layers

if TYPE_CHECKING:
    from study.train.kernels.network import KernelNetwork

log = logging.getLogger(__name__)

DEVICES = {"cuda"}  # types; tests add the CPU, where Triton's interpreter takes the kernels


def build(network: Network, device: torch.device, **settings: Any) -> "KernelNetwork | None":
    """Build a pack's network of kernels, compiled; None where torch's must do.

    That is on another device than CUDA, without Triton or where it cannot compile, and of a network
    that has what no kernel does. settings: see KernelNetwork.
    """
    if device.type not in DEVICES or importlib.util.find_spec("triton") is None:
        return None
    layers = read_layers(network, settings["models"])
    if layers is None:
        log.info("no GPU kernels for this network: it trains by torch's")
        return None
    from study.train.kernels.network import KernelNetwork  # lazily: Triton may be missing

    kernels = KernelNetwork(network, layers, **settings)
    if device.type == "cuda":
        try:
            kernels.compile()
        except Exception as error:  # Triton's, its compilers' and the system's are of many kinds
            if devices.lacks_memory(error):
                raise
            log.warning("Triton cannot compile here, torch's kernels do: %s", first_line(error))
            return None
    return kernels
