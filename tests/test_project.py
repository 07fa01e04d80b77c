"""The files around the package keep step with it."""

import ast
import graphlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
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
    "errors", "escape", "output", "values", "metrics", "fields", "files", "locks", "forks",
    "own_data", "datasets", "architectures", "extension", "config", "grid", "labels", "planned",
    "search_record", "schema", "runs", "sweep_folder", "train", "report", "tracking", "sweep",
    "cli", "__main__",
)  # fmt: skip
REPORT_ORDER = (
    "stats", "contrasts", "words", "variants", "study", "grouping", "axis", "effects", "results",
    "text", "figures", "explain", "progress", "rows", "parts", "build", "page", "watch", "serve",
)  # fmt: skip

# Modules, and packages, that another file than their namesake tests. May the list grow shorter.
TESTED_ELSEWHERE = {
    "study.architectures": "train/test_networks.py",
    "study.cli.commands": "test_main.py",
    "study.extension": "train/test_backbones.py",
    "study.own_data": "test_datasets.py",
    "study.report.explain": "report/explain/test_explain.py",
    "study.report.figures.live_curves": "report/figures/test_live.py",
    "study.report.figures.live_points": "report/figures/test_live.py",
    "study.report.figures.traces": "report/figures/test_live.py",
    "study.sweep.bayes": "sweep/test_search.py",
    "study.sweep.grid_search": "sweep/test_search.py",
    "study.sweep.job": "sweep/test_local.py",
    "study.sweep.job_queue": "sweep/test_local.py",
    "study.sweep.leases": "sweep/test_search.py",
    "study.sweep.methods": "sweep/test_search.py",
    "study.sweep.objective": "sweep/test_spec.py",
    "study.sweep.outcome": "cli/test_outcome.py",
    "study.sweep.parameter": "sweep/test_space.py",
    "study.sweep.pool": "sweep/test_local.py",
    "study.sweep.sampled_search": "sweep/test_search.py",
    "study.sweep.storages": "sweep/test_search.py",
    "study.sweep.sweep": "sweep/test_spec.py",
    "study.sweep.trials": "sweep/test_search.py",
    "study.sweep.worker": "sweep/test_local.py",
    "study.sweep.yaml_file": "sweep/test_spec.py",
    "study.tracking.heartbeats": "tracking/test_sync.py",
    "study.train.blocks": "train/test_networks.py",
    "study.train.callback": "train/test_loop.py",
    "study.train.image_grid": "test_runs.py",
    "study.train.kernels": "train/kernels/test_network.py",
    "study.train.kernels.activation": "train/kernels/test_network.py",
    "study.train.kernels.convolution": "train/kernels/test_network.py",
    "study.train.kernels.head": "train/kernels/test_network.py",
    "study.train.kernels.images": "train/kernels/test_network.py",
    "study.train.kernels.memory": "train/kernels/test_network.py",
    "study.train.kernels.norm": "train/kernels/test_network.py",
    "study.train.kernels.shared": "train/kernels/test_network.py",
    "study.train.kernels.tiles": "train/kernels/test_network.py",
    "study.train.kernels.warm_up": "train/kernels/test_network.py",
    "study.train.member": "train/test_pack_runs.py",
    "study.train.pack": "train/test_pack_runs.py",
    "study.train.provenance": "train/test_loop.py",
    "study.train.results": "train/test_loop.py",
    "study.train.seeds": "train/test_loop.py",
}


def names(source: str) -> set[str]:
    """What Python source imports, in functions and by importlib too, by full names."""
    imported = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                imported |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                dots = "." * node.level
                imported |= {f"{dots}{node.module or ''}.{alias.name}" for alias in node.names}
            case ast.Call(
                func=ast.Name("import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(str(name)), *_],
            ):
                imported.add(name)
    return imported


def module_name(path: Path) -> str:
    """`study.train.loop` of study/train/loop.py; a package's name of its __init__.py."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {module_name(path): path for path in (ROOT / "study").rglob("*.py")}


def module(name: str) -> str:
    """The module that an import names: `study.files.write` is a function of study.files."""
    while name.startswith("study.") and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


IMPORTS = {
    name: {module(imported) for imported in names(path.read_text())}
    for name, path in MODULES.items()
}


def test_an_import_is_seen_wherever_it_stands():
    source = """
import study.files
from study import runs as folders
from . import near
from ..train import loop
if TYPE_CHECKING:
    from study.config import Config
def late():
    import wandb.sdk
    importlib.import_module("study.cli")
    __import__("study.sweep", level=0)
"""
    assert names(source) == {
        "study.files", "study.runs", "..near", "..train.loop", "study.config.Config", "wandb.sdk",
        "study.cli", "study.sweep",
    }  # fmt: skip
    assert module("study.files.write") == "study.files" and module("wandb.sdk") == "wandb.sdk"


def test_imports_are_absolute():
    for name, imported in IMPORTS.items():
        assert not [other for other in imported if other.startswith(".")], name


@pytest.mark.parametrize(("package", "order"), [("study", ORDER), ("study.report", REPORT_ORDER)])
def test_imports_point_one_way(package, order):
    place = {f"{package}.{name}": index for index, name in enumerate(order)}
    depth = package.count(".") + 2
    part = {name: ".".join(name.split(".")[:depth]) for name in MODULES}
    inside = {name for name in MODULES if name.startswith(f"{package}.")}
    assert {part[name] for name in inside} == place.keys()
    for name in inside:
        for other in IMPORTS[name] & inside:
            assert place[part[other]] <= place[part[name]], f"{name} imports {other}"


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: imported & MODULES.keys() for name, imported in IMPORTS.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_wandb_is_imported_by_tracking_alone():
    for name, imported in IMPORTS.items():
        if any(re.match(r"wandb(_workspaces)?(\.|$)", other) for other in imported):
            assert name.startswith("study.tracking."), name


def test_every_module_has_a_test_file():
    """tests/train/test_loop.py of study/train/loop.py, or the one that TESTED_ELSEWHERE names."""
    tests = ROOT / "tests"
    assert MODULES.keys() >= TESTED_ELSEWHERE.keys()
    assert all((tests / file).exists() for file in TESTED_ELSEWHERE.values())
    missing = []
    for name, path in MODULES.items():
        inside = path.relative_to(ROOT / "study")
        namesake = tests / inside.with_name(f"test_{path.stem.strip('_')}.py")
        if path.name == "__init__.py":
            continue
        if namesake.exists():
            assert name not in TESTED_ELSEWHERE, f"{namesake} is there: drop {name} from the list"
        else:
            package = name.rpartition(".")[0]
            other = TESTED_ELSEWHERE.get(name) or TESTED_ELSEWHERE.get(package)
            if not other or not (tests / other).exists():
                missing.append(namesake.relative_to(ROOT).as_posix())
    assert not missing


def test_make_help_lists_the_targets():
    [targets] = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in targets.split():
        assert f"make {target} " in done.stdout


def test_ci_runs_the_readmes_test_command():
    assert "make test" in (ROOT / "README.md").read_text()
    assert re.search(r"^make test$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
