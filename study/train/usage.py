"""What an epoch takes of the machine: its columns in the history."""

import time

import torch

from study.train import devices


class Usage:
    """Time and memory since it was made."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.began, self.processor = time.perf_counter(), time.process_time()

    def row(self, models: int = 1) -> dict[str, float]:
        """Return `seconds` and `cpu_seconds` (of the processor, all threads of this process), each
        a share of one of so many models that trained together; and `memory_mb`, used now: of a GPU,
        else of this process.
        """
        seconds, processor = time.perf_counter() - self.began, time.process_time() - self.processor
        return {
            "seconds": round(seconds / models, 6),
            "cpu_seconds": round(processor / models, 6),
            "memory_mb": devices.memory(self.device),
        }
