"""The device that runs train on."""

import contextlib
import ctypes
import platform
import resource
from pathlib import Path

import torch

from study.config import Config
from study.errors import RunError, UsageError, first_line

# In the text of an error that is no torch.OutOfMemoryError: Triton's and the driver's; cuDNN's and
# cuBLAS's; torch's on a CPU.
OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED", "can't allocate memory")


def pick(name: str | None = None) -> torch.device:
    """Return the device asked for, else the best there is: CUDA, MPS, CPU.

    Raises:
        UsageError: there is no such device.
    """
    if name is None:
        cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        why = first_line(error)
        raise UsageError(f"device={name}: not available ({why}); allowed here: cpu") from error
    if device.type not in ("cpu", "cuda", "mps") or (device.type == "cpu" and device.index):
        raise UsageError(f"device={name}: allowed are cpu, cuda, cuda:1 and so on, and mps")
    return device


def prepare(device: torch.device, config: Config, threads: int) -> None:
    """Set this process up to train on the device.

    Raises:
        UsageError: the device lacks the configuration's precision.
    """
    if device.type == "mps" and config.precision == "float64":
        raise UsageError("precision=float64: MPS has none; allowed on it: float32, bfloat16")
    if device.index is not None and device.type == "cuda":
        torch.cuda.set_device(device)  # CUDA graphs and streams belong to the current one
    if device.type == "cuda":
        # float32 multiplies in TF32 by whatever kernel; float64 is exact, bfloat16 has its own
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True  # maps of few sizes, many times over
    torch.set_num_threads(threads)
    _keep_memory()


def lacks_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, by an error or by one behind it: the recording of a step that it
    breaks off raises another."""
    while error is not None:
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
            return True
        of_libraries = isinstance(error, RuntimeError) and not isinstance(error, RunError)
        if of_libraries and any(words in str(error) for words in OUT_OF_MEMORY):
            return True
        error = error.__context__
    return False


def tf32(device: torch.device) -> bool:
    """Whether products in float32 have TF32's ten bits of mantissa on the device, which NVIDIA's
    GPUs have from Ampere (8.0) on: a T4 (7.5) multiplies in float32."""
    if device.type != "cuda" or not torch.backends.cudnn.allow_tf32:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def _keep_memory() -> None:
    """Let this process keep what it frees: each batch frees and takes the same tensors again.

    glibc gives blocks of a few megabytes back to the operating system, which then zeroes every page
    of theirs anew: a tenth of a step of a small network. (mallopt(3): M_MMAP_THRESHOLD
    is -3, its largest value 32 MB; M_TRIM_THRESHOLD is -1.)
    """
    with contextlib.suppress(AttributeError, OSError):  # no glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, 32 * 2**20)
        mallopt(-1, 2**30)


def name(device: torch.device) -> str:
    """Return the device as a summary names it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()})"


def reset_peak_memory(device: torch.device) -> None:
    """Count the peak of a GPU's memory from now on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def memory(device: torch.device) -> float:
    """Return the memory used now, in MB: of a GPU, else of this process (where the system does not
    tell, the most so far)."""
    if device.type == "cuda":
        return round(torch.cuda.memory_allocated(device) / 1e6, 1)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak_memory(device)
    return round(pages * resource.getpagesize() / 1e6, 1)


def peak_memory(device: torch.device) -> float:
    """Return the most memory used so far, in MB: of a GPU, else of this process."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
    unit = 1 if platform.system() == "Darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
