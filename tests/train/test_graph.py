"""The recording of a step."""

import pytest
import torch

from study.train import graph


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA here")
def test_on_a_gpu_a_replay_is_the_step_on_other_inputs_and_recording_changes_nothing():
    device = torch.device("cuda")
    total = torch.zeros(3, device=device)
    first, second = torch.ones(3, device=device), torch.arange(3.0, device=device)

    def step(values: torch.Tensor) -> None:
        total.add_(values * 2)

    recorded = graph.StepGraph(step, [total], first)
    assert total.tolist() == [0, 0, 0]
    recorded.replay(first)
    recorded.replay(second)
    assert total.tolist() == [2, 4, 6]
