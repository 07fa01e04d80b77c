import time

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


def test_the_memory_is_what_the_process_holds_now():
    usage = Usage(torch.device("cpu"))
    before = usage.row()["memory_mb"]
    block = torch.ones(25_000_000)
    assert 90 < usage.row()["memory_mb"] - before < 120
    assert before > 20 and len(block)
