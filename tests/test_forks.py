import os
import signal
import subprocess
import sys
import time

from tests.conftest import ROOT

PROGRAM = """
import sys, time
from study import forks

if __name__ == "__main__":
    try:
        forks.context(["slow"]).Process(target=print, daemon=True).start()
        time.sleep(60)
    except KeyboardInterrupt:
        print("stopped")
"""
SLOW = """
import pathlib, time
pathlib.Path("importing").touch()
time.sleep(1)
"""


def test_ctrl_c_while_the_server_imports_ends_the_command_alone(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "program.py").write_text(PROGRAM)
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
