"""What the server of workers looks up before its first fork."""

import subprocess
import sys

from study.sweep.worker import PRELOAD

SCRIPT = f"""
import importlib
for name in {PRELOAD}:
    importlib.import_module(name)
from study.train import provenance
for known in (provenance.git_commit, provenance.versions):
    assert known.cache_info().currsize == 1, known
"""


def test_forks_know_the_commit_and_the_versions_of_the_code_that_they_run():
    """By the time a run ends, the files may be those of another commit."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
