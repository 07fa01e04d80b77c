"""W&B's own code as a reference: what `make test-schema` asks it, in an environment of its own.

The package `sweeps` holds numpy below 2, so it stays out of the environment that users get and the
tests run in. Here it checks every sweep YAML against W&B's schema, and answers what
wandb_reference.json keeps for the tests: its distributions, their quantiles, and which runs
Hyperband stops. `make test-schema ARGS=--write` writes that file anew.
"""

import json
import math
import random
import sys
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")
SWEEPS = Path(__file__).parents[2] / "sweeps"
NEWER = {"run_cap", "entity"}  # the server reads them; the package's last release lacks them

UNIFORM = [0.001, *(i / 31 for i in range(1, 31)), 0.999]  # none where a rounding ties
DISTRIBUTIONS: dict[str, dict[str, float]] = {
    "int_uniform": {"min": 2, "max": 5},
    "uniform": {"min": 0.1, "max": 0.5},
    "log_uniform": {"min": -7.0, "max": -2.0},
    "log_uniform_values": {"min": 1e-6, "max": 1e-3},
    "inv_log_uniform": {"min": 2.0, "max": 7.0},
    "inv_log_uniform_values": {"min": 1e-6, "max": 1e-3},
    "normal": {"mu": 0.5, "sigma": 0.05},
    "log_normal": {"mu": -5.0, "sigma": 0.5},
    "beta": {"a": 2.0, "b": 5.0},
    "q_uniform": {"min": 0.0, "max": 1.0, "q": 0.1},
    "q_log_uniform": {"min": -3.0, "max": 3.0, "q": 0.5},
    "q_log_uniform_values": {"min": 0.1, "max": 8.0, "q": 0.5},
    "q_normal": {"mu": 5.0, "sigma": 1.0, "q": 0.5},
    "q_log_normal": {"mu": 0.5, "sigma": 0.5, "q": 0.25},
    "q_beta": {"a": 2.0, "b": 2.0, "q": 0.1},
}
HYPERBAND: dict[str, dict[str, float]] = {
    "min_iter": {"min_iter": 2, "eta": 2},
    "min_iter, its default eta": {"min_iter": 1, "eta": 3},
    "a fractional eta": {"min_iter": 1, "eta": 1.5},
    "max_iter": {"max_iter": 18, "s": 2, "eta": 3},
    "max_iter with brackets below one": {"max_iter": 8, "s": 9, "eta": 2},
}


def histories() -> list[list[list[float]]]:
    """Losses by epoch of eight runs, thirty times: each run's level, and noise.

    Python's own generator, which repeats in every release.
    """
    generator = random.Random(3)

    def losses() -> list[float]:
        level, epochs = generator.random(), 1 + int(20 * generator.random())
        return [level + generator.random() / 2 for _ in range(epochs)]

    return [[losses() for _ in range(8)] for _ in range(30)]


def distributions() -> list[str]:
    """The names that the schema allows."""
    from sweeps.config.schema import sweep_config_jsonschema

    names: set[str] = set()
    for definition in sweep_config_jsonschema["definitions"].values():
        for form in definition.get("anyOf", [definition]):
            names |= set(form.get("properties", {}).get("distribution", {}).get("enum", []))
    return sorted(names)


def quantiles(name: str) -> list[float]:
    """A distribution's values at UNIFORM, to eight digits."""
    from sweeps.params import HyperParameter

    parameter = HyperParameter("l1", {"distribution": name, **DISTRIBUTIONS[name]})
    return [float(f"{float(parameter.ppf(u)):.8g}") for u in UNIFORM]


def stopped(rule: str, strict: bool) -> list[list[int]]:
    """The runs that Hyperband stops, of each eight in `histories`."""
    from sweeps.hyperband_stopping import hyperband_stop_runs
    from sweeps.run import RunState, SweepRun

    sweep = {
        "method": "random",
        "metric": {"name": "loss", "goal": "minimize"},
        "early_terminate": {"type": "hyperband", "strict": strict, **HYPERBAND[rule]},
        "parameters": {"a": {"values": [1, 2]}},
    }
    answer = []
    for losses in histories():
        runs = [
            SweepRun(name=str(i), state=RunState.running, history=[{"loss": v} for v in values])
            for i, values in enumerate(losses)
        ]
        answer.append([int(run.name) for run in hyperband_stop_runs(runs, sweep)])
    return answer


def reference() -> dict[str, Any]:
    return {
        "distributions": distributions(),
        "quantiles": {name: quantiles(name) for name in DISTRIBUTIONS},
        "stopped": {
            rule: {mode: stopped(rule, strict=mode == "strict") for mode in ("strict", "loose")}
            for rule in HYPERBAND
        },
    }


def equal(one: Any, other: Any) -> bool:
    """Whether two references agree, their quantiles to six digits: releases of scipy differ."""
    close = one["quantiles"].keys() == other["quantiles"].keys() and all(
        math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12)
        for name, values in one["quantiles"].items()
        for a, b in zip(values, other["quantiles"][name])
    )
    return close and all(one[key] == other[key] for key in ("distributions", "stopped"))


def main(arguments: list[str]) -> int:
    """Check the YAMLs and compare the file, or write it; the exit code."""
    import jsonschema
    import yaml
    from sweeps.config.schema import sweep_config_jsonschema

    validator = jsonschema.Draft7Validator(sweep_config_jsonschema)
    files = sorted(path for path in SWEEPS.glob("**/*.yaml") if path.parent.name != "launch")
    errors = [
        f"{path.relative_to(SWEEPS.parent)}: {error.json_path}: {error.message}"
        for path in files
        for error in validator.iter_errors(
            {k: v for k, v in yaml.safe_load(path.read_text()).items() if k not in NEWER}
        )
    ]
    if "--write" in arguments:
        FILE.write_text(json.dumps(reference(), separators=(",", ":")) + "\n")
    elif not equal(reference(), json.loads(FILE.read_text())):
        errors.append(f"{FILE.name} differs from what W&B's code answers; --write writes it anew")
    print(*errors, f"{len(files)} sweeps checked against W&B's schema", sep="\n")
    return 1 if errors or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
