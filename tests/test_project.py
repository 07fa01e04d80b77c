"""The files around the package keep step with it."""

import ast
import graphlib
import re
import subprocess
import tomllib
from pathlib import Path

import yaml

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_conda_users_get_the_same_dependencies():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    plain, [pip] = environment["dependencies"][:-1], environment["dependencies"][-1:]
    assert f"python{PROJECT['project']['requires-python']}" in plain
    assert [*PROJECT["project"]["dependencies"], "-e ."] == pip["pip"]


# Imports point to the left: docs/extending.md says what stands where.
ORDER = (
    "errors", "fields", "datasets", "plans", "config", "files", "runs", "train", "report",
    "tracking", "sweep", "cli", "__main__",
)  # fmt: skip


def imports(path: Path) -> set[str]:
    """The modules that a file imports, lazily too, by their full names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in (ROOT / "study").glob("**/*.py")
}
IMPORTS = {
    name: {
        next((m for m in (found, found.rpartition(".")[0]) if m in MODULES), found)
        for found in imports(path)
    }
    for name, path in MODULES.items()
}


def test_imports_point_one_way():
    for name, found in IMPORTS.items():
        if name == "study.__init__":
            continue
        place = ORDER.index(name.split(".")[1])
        for other in found & MODULES.keys():
            assert ORDER.index(other.split(".")[1]) <= place, f"{name} imports {other}"


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: found & MODULES.keys() for name, found in IMPORTS.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_wandb_is_imported_by_tracking_alone():
    for name, found in IMPORTS.items():
        if any(re.match(r"wandb(_workspaces)?(\.|$)", other) for other in found):
            assert name.startswith("study.tracking."), name


def test_make_help_lists_the_targets():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("help", "install", "study", "test", "lint", "report", "clean"):
        assert f"make {target} " in done.stdout


def test_ci_runs_the_readmes_test_command():
    assert "make test" in (ROOT / "README.md").read_text()
    assert re.search(r"^make test$", (ROOT / ".ci/run").read_text(), re.MULTILINE)


def test_the_readme_is_short_and_its_files_are_there():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) < 200
    for link in re.findall(r"\]\(([\w./-]+)\)", readme):
        assert (ROOT / link).exists(), link
    for sweep in re.findall(r"sweeps/[\w/]+\.yaml", readme):
        assert (ROOT / sweep).exists(), sweep
