import mmap
import time
from pathlib import Path

import pytest
import torch

from study.train.usage import Usage


def test_waiting_takes_no_processor_and_work_does():
    usage = Usage(torch.device("cpu"))
    time.sleep(0.2)
    waited = usage.row()
    assert waited["seconds"] >= 0.2 and waited["cpu_seconds"] < 0.1
    while time.process_time() - usage.processor < 0.2:
        pass
    worked = usage.row(models=4)
    assert 0.05 <= worked["cpu_seconds"] <= worked["seconds"]


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="this system tells a process its peak alone"
)
def test_the_memory_is_what_the_process_holds_now():
    usage = Usage(torch.device("cpu"))
    before = usage.row()["memory_mb"]
    # From the system, not the allocator: one that has held more before may have a tensor's bytes
    # at hand. A page counts once it is written to.
    with mmap.mmap(-1, 100_000_000) as block:
        block[::1024] = b"1" * len(range(0, len(block), 1024))
        held = usage.row()["memory_mb"]
    assert before > 20 and 90 < held - before < 120
    assert usage.row()["memory_mb"] < held - 90
