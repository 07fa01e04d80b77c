import pytest
import torch

from study.config import Config
from study.train import schedule
from study.train.schedule import learning_rate


def rates(config: Config, steps: int) -> list[float]:
    return [learning_rate(config, i, steps) for i in range(config.epochs * steps)]


def torch_rates(config: Config, steps: int, make, *, by_epoch: bool = False) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=config.lr)
    scheduler, values = make(optimizer), []
    for step in range(config.epochs * steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if not by_epoch or (step + 1) % steps == 0:
            scheduler.step()
    return values


def test_the_schedules_are_torchs():
    schedulers = torch.optim.lr_scheduler
    step = Config(schedule="step", step_size=2, gamma=0.5, epochs=7, lr=0.1)
    expected = torch_rates(
        step, 5, lambda o: schedulers.StepLR(o, step.step_size, step.gamma), by_epoch=True
    )
    assert rates(step, 5) == pytest.approx(expected)
    one = Config(schedule="onecycle", epochs=4, lr=0.2)
    expected = torch_rates(
        one, 10, lambda o: schedulers.OneCycleLR(o, 0.2, total_steps=40, cycle_momentum=False)
    )
    assert rates(one, 10) == pytest.approx(expected)
    cosine = Config(schedule="cosine", epochs=4, lr=0.2)
    expected = torch_rates(cosine, 10, lambda o: schedulers.CosineAnnealingLR(o, 40))
    assert rates(cosine, 10) == pytest.approx(expected)
    assert set(rates(Config(epochs=2, lr=0.3), 3)) == {0.3}


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (1, 2), (1, 3), (2, 1), (3, 2)])
def test_the_shortest_runs_have_learning_rates(schedule, epochs, steps):
    config = Config(schedule=schedule, epochs=epochs)
    assert all(0 <= rate <= config.lr for rate in rates(config, steps))


def test_the_table_of_a_pack_knows_every_setting_that_a_rate_follows_from():
    """Or two runs that differ in one of them alone would share the rates of the first."""
    for name in ("constant", "step", "cosine", "onecycle"):
        config, read = Config(schedule=name, epochs=2), set()

        class Recorder:
            def __getattr__(self, field, config=config, read=read):
                read.add(field)
                return getattr(config, field)

        for step in range(6):
            learning_rate(Recorder(), step, 3)
        assert read <= set(schedule.FIELDS)
