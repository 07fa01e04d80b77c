"""The wheel, installed elsewhere: a user without a clone has all that the commands need."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SWEEP = """
method: grid
parameters:
  dataset: {value: digits}
  batch_size: {value: 512}
  epochs: {value: 1}
"""

# In one process: most of what each takes is the import of torch.
COMMANDS = """
import study
from study.__main__ import main

print(study.__file__)
for words in ("sweep one.yaml --workers 1", "report runs/one", "explain"):
    assert main(words.split()) == 0, words
"""


def run(*command: str | Path, **options) -> str:
    """A finished command's output; its error in the test's message."""
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder of packages with the wheel in it, built from a copy: setuptools builds in place."""
    source, wheels, site = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "site"))
    shutil.copytree(ROOT / "study", source / "study", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    build = ("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", wheels)
    run(*pip, *build, source)
    [wheel] = wheels.glob("*.whl")
    run(*pip, "install", "--no-deps", "--no-index", "--target", site, wheel)
    return site


def files(root: Path) -> set[str]:
    """What a package consists of; the notebooks are for readers of the clone."""
    return {
        path.relative_to(root).as_posix()
        for path in (root / "study").rglob("*")
        if path.is_file() and not {"__pycache__", "notebooks"} & set(path.parts)
    }


def test_modules_templates_and_data_are_in_the_wheel(site):
    assert files(site) == files(ROOT)


def test_an_empty_folder_is_enough_to_sweep_report_and_explain(site, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(site), "STUDY_DATA": str(tmp_path / "data")}
    environment.pop("STUDY_RUNS", None)

    def python(*words: str) -> str:
        return run("-P", *words, cwd=tmp_path, env=environment)

    (tmp_path / "one.yaml").write_text(SWEEP)
    where, *printed = python("-c", COMMANDS).splitlines()
    assert Path(where).is_relative_to(site)
    assert any("1 run trained" in line for line in printed)
    assert python(str(site / "bin/study"), "--version").startswith("study ")
    for name in ("one/index.html", "one/report.md", "explain/normalization.xlsx"):
        assert (tmp_path / "reports" / name).stat().st_size, name
