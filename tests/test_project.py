"""The files around the package keep step with it."""

import re
import subprocess
import tomllib

import yaml

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_conda_users_get_the_same_dependencies():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    plain, [pip] = environment["dependencies"][:-1], environment["dependencies"][-1:]
    assert f"python{PROJECT['project']['requires-python']}" in plain
    assert [*PROJECT["project"]["dependencies"], "-e ."] == pip["pip"]


def test_every_package_is_listed():
    packages = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for path in (ROOT / "study").glob("**/__init__.py")
    }
    assert packages == set(PROJECT["tool"]["setuptools"]["packages"])


def test_imports_point_one_way():
    order = [
        "fields",
        "config",
        "options",
        "runs",
        "server",
        "online",
        "pull",
        "train",
        "sweep",
        "report",
        "panels",
        "publish",
        "check",
        "progress",
        "__main__",
    ]
    for path in (ROOT / "study").glob("**/*.py"):
        noun = path.relative_to(ROOT / "study").parts[0].removesuffix(".py")
        if noun == "__init__":
            continue
        for package, names in re.findall(
            r"^\s*from study(?:\.(\w+))?[\w.]* import (.+)$", path.read_text(), re.MULTILINE
        ):
            for name in [package] if package else re.split(r", ", names):
                name = name.split(" as ")[0]
                assert order.index(name) <= order.index(noun), f"{path} imports {name}"


def test_wandb_is_imported_in_few_places():
    allowed = {
        "server.py",
        "online.py",
        "pull.py",
        "panels.py",
        "publish.py",
        "sweep/agent.py",
        "sweep/suggestions.py",
    }
    importing = {
        str(path.relative_to(ROOT / "study"))
        for path in (ROOT / "study").glob("**/*.py")
        if re.search(r"^\s*(import|from) wandb", path.read_text(), re.MULTILINE)
    }
    assert importing <= allowed


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
