import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROGRAM = """
import sys, time
{imports}

if __name__ == "__main__":
    try:
        {work}
    except KeyboardInterrupt:
        print("stopped")
"""
WORK = {
    "a process": {
        "imports": "from study import forks",
        "work": "forks.context(['slow']).Process(target=print, daemon=True).start();time.sleep(60)",
    },
    "a renderer": {
        "imports": "from study.report.figures import rendering; rendering.PRELOAD = ['slow']",
        "work": "\n        with rendering.side_by_side(): time.sleep(60)",
    },
}
SLOW = """
import pathlib, time
pathlib.Path("importing").touch()
time.sleep(1)
"""


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_ctrl_c_while_the_server_imports_ends_the_command_alone(tmp_path, work):
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "program.py").write_text(PROGRAM.format(**work))
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    process = subprocess.Popen(
        [sys.executable, "program.py"],
        env=os.environ | {"PYTHONPATH": path}, cwd=tmp_path, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        # Of what runs in the background of a script, SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    until = time.monotonic() + 60
    while not (tmp_path / "importing").exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert output.split() == ["stopped"] and process.returncode == 0


def test_a_plain_script_needs_no_guard(tmp_path):
    """It would run again in each of its processes otherwise, and fail there."""
    (tmp_path / "script.py").write_text(
        "from study import forks\nprint('once')\nprint(*forks.pool(2).map(abs, [-1, -2]))\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("once\n1 2\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_pool_ends_with_a_killed_process(tmp_path):
    (tmp_path / "script.py").write_text(
        "import os, time\n"
        "from study import forks\n"
        "pool = forks.pool(2)\n"
        "print(*{pool.submit(os.getpid).result() for _ in range(2)}, flush=True)\n"
        "[pool.submit(time.sleep, 60) for _ in range(9)]\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    forked = [int(word) for word in process.stdout.readline().split()]
    assert forked
    process.kill()
    process.wait()
    process.stdout.close()
    until = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in forked):
        assert time.monotonic() < until, "processes of the pool went on"
        time.sleep(0.05)
