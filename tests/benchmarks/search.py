"""Bayes against random on a function that is known, and the time of a suggestion.

    python -m tests.benchmarks.search [--seeds 20] [--runs 30]

The function is Hartmann's of six dimensions with the sixth held at its best (five parameters,
minimum -3.32237; Dixon and Szego, 1978), rescaled to an accuracy. Both methods draw through the
same code that `study sweep` uses, with the same search seeds.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna

from study import runs
from study.config import Config
from study.report import stats
from study.sweep import bayes, spec
from study.sweep.methods import search_of

NAMES = ("dropout", "label_smoothing", "momentum", "gamma", "weight_decay")
BEST = 0.6573  # of the sixth
YAML = """
method: {method}
metric: {{name: val/accuracy, goal: maximize}}
run_cap: {runs}
parameters:
  dropout: {{min: 0.0, max: 0.999}}
  label_smoothing: {{min: 0.0, max: 0.999}}
  momentum: {{min: 0.0, max: 0.999}}
  gamma: {{min: 0.001, max: 1.0}}
  weight_decay: {{min: 0.0, max: 1.0}}
  schedule: {{value: step}}
  holdout: {{value: 100}}
"""
ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8],
     [17, 8, 0.05, 10, 0.1, 14]]
)  # fmt: skip
P = 1e-4 * np.array(
    [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
     [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]]
)  # fmt: skip


def accuracy(config: Config) -> float:
    """96.68 in the valley's floor to 100 at the best."""
    x = np.array([*(getattr(config, name) for name in NAMES), BEST])
    return 96.67763 + float(ALPHA @ np.exp(-(A * (x - P) ** 2).sum(axis=1)))


def best_found(method: str, seed: int, count: int) -> float:
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "known.yaml"
        path.write_text(YAML.format(method=method, runs=count))
        search, best = search_of(spec.read(path), Path(home), seed=seed), 0.0
        while trial := search.ask():
            value = accuracy(trial.config)
            history = [{"epoch": 1, "val/accuracy": value}]
            search.complete(trial, runs.Run(Path(home), trial.config, history, {}))
            best = max(best, value)
        return best


def suggestion_seconds(count: int) -> float:
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "known.yaml"
        path.write_text(YAML.format(method="bayes", runs=1000))
        sweep = spec.read(path)
        samples = [sweep.sample(0, number) for number in range(count)]
        known = [(params, accuracy(sweep.config(params))) for params in samples]
        bayes.suggest(sweep, known, [], 0)  # the first compiles
        times = []
        for seed in range(5):
            began = time.perf_counter()
            bayes.suggest(sweep, known, [], seed)
            times.append(time.perf_counter() - began)
        return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    found = {
        method: [best_found(method, seed, options.runs) for seed in range(options.seeds)]
        for method in ("bayes", "random")
    }
    result = {
        "machine": platform.processor() or platform.machine(), "python": platform.python_version(),
        "optuna": optuna.__version__, "seeds": options.seeds, "runs": options.runs,
    }  # fmt: skip
    for method, values in found.items():
        result[method] = stats.mean_interval(values)
    gains = np.subtract(found["bayes"], found["random"])
    result["bayes - random, paired by seed"] = stats.mean_interval(gains)
    for count in (10, 100, 400):
        result[f"seconds a suggestion, {count} known"] = round(suggestion_seconds(count), 3)
    print(json.dumps(result, indent=1, default=str))


if __name__ == "__main__":
    main()
