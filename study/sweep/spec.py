"""Read and check a W&B sweep YAML, and expand it into configurations.

The same file goes to `wandb sweep FILE` and to `study sweep FILE`. A key that W&B reads and we do
not is an error that names it; it is never ignored.
"""

import posixpath
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from study import output, planned
from study.config import COUPLED, FIELDS, VARIANT, Config
from study.errors import Faults, UsageError
from study.fields import check_whole
from study.planned import Plan
from study.sweep import hyperband, objective, replacement, space, yaml_file
from study.sweep.parameter import Parameter
from study.sweep.sweep import Sweep
from study.values import count, nearest, one_of, text, typed

METHODS = ("grid", "random", "bayes")
# Keys of W&B's schema that say where and how W&B runs the sweep; they mean nothing offline.
WANDB_KEYS = {
    "program", "command", "project", "entity", "description", "settings", "kind", "apiVersion",
}  # fmt: skip
TEXTS = ("name", "project", "entity", "description")
KEYS = {"name", "method", "metric", "parameters", "run_cap", "early_terminate"}
PROGRAM = "study/sweep/agent.py"
MODULE = "study.sweep.agent"


def read(path: str | Path, replacements: Iterable[str] = ()) -> Sweep:
    """Read a sweep YAML; `replacements` (name=value[,value ...]) replace parameters of it.

    Raises:
        UsageError: the file cannot be read, or something in it is not allowed; the message names
            the file and the place.
    """
    path = Path(path)
    if not path.stem.isprintable():  # folders, reports and W&B runs bear it
        raise UsageError(
            f"{path}: a sweep's name must be text that can be printed; rename the file"
        )
    content = yaml_file.load(path)
    faults = Faults()
    sweep = faults.attempt(parse, content, path.stem, replacements)
    if sweep is None:
        raise faults.error(f"{path}: ")
    return sweep


def rerun(
    config: Config, name: str, seeds: str, replacements: Iterable[str], place: str = ""
) -> Sweep:
    """Return a grid of one configuration over seeds (`1,2,3`); `replacements` (name=value[,value
    ...]) replace settings. place: [ENTITY/]PROJECT of its runs on W&B.

    Raises:
        UsageError: a setting that is not allowed.
    """
    parameters = {
        name: space.choice(name, [value]) for name, value in config.non_defaults().items()
    }
    parameters["seed"] = replacement.values("seed", seeds, "--seeds")
    parameters |= replacement.parse(replacements)
    entity, _, project = place.rpartition("/")
    sweep = Sweep(name, project or "study", "grid", parameters, entity=entity)
    _check_configs(sweep)
    return sweep


def parse(content: Any, name: str, replacements: Iterable[str] = ()) -> Sweep:
    """Check what a sweep YAML holds; see `read`. name: the sweep's, its file's stem.

    Raises:
        UsageError: something in it is not allowed, a line for each fault.
    """
    if not isinstance(content, Mapping):
        raise UsageError("is no sweep; it needs the keys method and parameters")
    faults = Faults()
    for key, value in content.items():
        faults.attempt(_check_key, key, value)
    method = faults.attempt(_parse_method, content.get("method"))
    replaced = faults.attempt(replacement.parse, replacements) or {}
    parameters, missing = _parse_parameters(content.get("parameters"), replaced, method, faults)
    metric = faults.attempt(objective.parse, content.get("metric"))
    stopping = faults.attempt(hyperband.parse, content.get("early_terminate"))
    if (run_cap := content.get("run_cap")) is not None:
        faults.attempt(check_whole, "run_cap", run_cap)
    faults.attempt(objective.check, method, metric, content)
    definition = ""
    if not faults.lines:  # else it may have keys that are no text
        definition = planned.definition(method or "grid", content.get("parameters"))
    sweep = Sweep(
        name=name,
        project=str(content.get("project") or "study"),
        method=method or "grid",
        parameters=parameters,
        metric=metric,
        hyperband=stopping,
        run_cap=None if faults.lines else run_cap,
        description=str(content.get("description") or ""),
        definition=definition,
        entity=str(content.get("entity") or ""),
    )
    # Without a setting that others depend on, their combinations would be told as wrong.
    if method and parameters and not missing & {*COUPLED, VARIANT, None}:
        faults.attempt(_check_configs, sweep)
    faults.check()
    _check_steps(sweep.plan(), replaced)
    return sweep


def _check_steps(plan: Plan, replaced: Collection[str]) -> None:
    """Refuse a description whose steps are not those of the grid in the file."""
    if plan.steps and not replaced and not plan.step_configs:
        raise UsageError(
            f"description: has {count(len(plan.steps), 'step')}; allowed is one for each value of"
            " the one parameter of a grid that varies beside seed, such as variant"
        )


def _check_key(key: Any, value: Any) -> None:
    if key in TEXTS and not isinstance(value, str | None):
        raise UsageError(f"{key}={typed(value)}: allowed is text")
    if key == "program" and posixpath.normpath(str(value)) != PROGRAM:
        raise UsageError(
            f"program={text(value)}: study sweep trains its own networks and starts no script;"
            f" write program: {PROGRAM}"
        )
    words = list(map(str, value)) if isinstance(value, list) else []
    if key == "command" and value != [] and not {MODULE, "${program}"} & {*words}:
        raise UsageError(
            f"command={text(value)}: starts another program than {PROGRAM}; write"
            f' command: ["${{env}}", "${{interpreter}}", "-m", "{MODULE}"]'
        )
    if key in KEYS | WANDB_KEYS:
        return
    if key in FIELDS or key == VARIANT:
        raise UsageError(f"{key}: stands beside parameters; indent it, so that it stands below")
    if key == "controller":
        if value == {"type": "cloud"}:  # W&B's default
            return
        raise UsageError(
            f"controller={text(value)}: not supported by study sweep, which searches itself, as"
            " the W&B server does online; leave it out"
        )
    hint = nearest(key, sorted(KEYS | WANDB_KEYS))
    raise UsageError(f"{key}: not supported by study sweep; {hint}")


def _parse_method(given: Any) -> str:
    if given is None:
        raise UsageError(f"method: is missing; allowed are {', '.join(METHODS)}")
    if given not in METHODS:
        raise UsageError(one_of("method", given, METHODS))
    return given


def _parse_parameters(
    given: Any, replaced: Mapping[str, Parameter], method: str | None, faults: Faults
) -> tuple[dict[str, Parameter], set[str | None]]:
    """Return the parameters, those replaced in their places, and the names of those that have a
    fault (None: of an unknown one)."""
    parameters: dict[str, Parameter] = {}
    missing: set[str | None] = set()
    if not isinstance(given, Mapping) or not given:
        faults.add("parameters: is missing or empty; give each setting its value or values")
        return parameters, missing
    for name, value in given.items():
        if name in replaced:
            parameters[name] = replaced[name]
            continue
        parameter = faults.attempt(space.parse_named, name, value, method, "parameters.")
        if parameter:
            parameters[name] = parameter
        else:
            missing.add(name if name in FIELDS or name == VARIANT else None)
    parameters |= replaced
    if (
        method in ("random", "bayes")
        and not missing
        and all(p.constant for p in parameters.values())
    ):
        faults.add(
            f"method={method}: there is nothing to draw, each parameter has one value; give one of"
            " them a range or values, or take method: grid"
        )
    return parameters, missing


def _check_configs(sweep: Sweep) -> None:
    """Refuse combinations that are not allowed, or runs that lack the metric."""
    metric, samples = sweep.metric, sweep.samples
    if metric and metric.name.startswith("val/") and not all(c.holdout for c in samples):
        raise UsageError(f"metric.name={metric.name}: needs the setting holdout above 0")


def check_for_agents(content: Mapping[str, Any]) -> None:
    """Check that a sweep's file tells `wandb agent` what to start.

    Raises:
        UsageError: it does not.
    """
    command = content.get("command") or ["${program}"]  # as W&B fills it in
    if "${program}" in command and not content.get("program"):
        raise UsageError(
            f"program: is missing, so `wandb agent` could start nothing; write program: {PROGRAM}"
            f' and command: ["${{env}}", "${{interpreter}}", "-m", "{MODULE}"]'
        )


if __name__ == "__main__":  # `make sweep` checks a file before it goes to the server
    from study.train import networks

    try:
        sweep = read(sys.argv[1])
        check_for_agents(yaml_file.load(Path(sys.argv[1])))
        networks.build_each(sweep.configs)
    except UsageError as error:
        sys.exit(output.end(error, 2))
    output.show(f"{sys.argv[1]}: {sweep}", sys.stderr)
