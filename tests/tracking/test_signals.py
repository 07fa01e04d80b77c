import os
import signal
import subprocess
import sys

import pytest

from study.tracking.signals import Preempted, Signals

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers():
    previous = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in previous.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_noticed_at_the_next_check(number):
    signals = Signals()
    signals.check()
    os.kill(os.getpid(), number)
    with pytest.raises(Preempted):
        signals.check()
    assert signals.received == number


def test_nohup_is_respected():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals = Signals()
    os.kill(os.getpid(), signal.SIGHUP)
    signals.check()


def test_nothing_slow_is_imported_before_signals_are_caught():
    """What `python -m study.sweep.agent` imports before its first line runs."""
    code = "import sys, study.sweep.agent; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    slow = {"numpy", "torch", "wandb", "study.config", "study.tracking.logger"}
    assert not slow & set(done.stdout.split())
