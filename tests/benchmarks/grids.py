"""How often the report is right on a grid whose truth is known: on the effects of its settings, and
on the largest L1 lambda without a significant cost.

    python -m tests.benchmarks.grids

prints these tables of docs/statistics.md, from simulated studies. Seeds shift all runs alike.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from study.report import contrasts, effects
from study.report.text import penalty

SEEDS = (3, 5)
STUDIES = 400
SHAPE = (3, 8)  # values of two settings
DEVIATION = 0.06  # of a run over seeds, beside L1
NORMS = 3


class Grid(NamedTuple):
    """A grid without effects. times: the spread of its last value of the second setting, or of its
    last variant alone; moves: of the last value of the first setting with the seed. In units of a
    run's standard deviation over seeds."""

    name: str
    times: float = 1
    alone: bool = False
    moves: float = 0

    def draw(self, rng: np.random.Generator, seeds: int) -> np.ndarray:
        values = rng.normal(size=(*SHAPE, seeds))
        values[-1 if self.alone else slice(None), -1] *= self.times
        values[-1] += self.moves * rng.normal(size=seeds)
        return values + rng.normal(size=seeds)


GRIDS = (
    Grid("equal spread"),
    Grid("one value of 3 times the spread", 3),
    Grid("one value of 10 times the spread", 10),
    Grid("one variant of 10 times the spread", 10, alone=True),
    Grid("one value of the three moves with the seed", moves=1),
)
# What lambdas 1 to 4 cost, in points, and those of them whose cost is none.
COSTS = ((0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.1, 0.5), (0.0, 0.0, 0.3, 1.0))


def false_effects(grid: Grid, seeds: int, pooled: bool | None = None) -> tuple[float, float]:
    """The share of studies in which a setting, or two together, have a significant effect, and the
    share in which the interval of the widest value (of the one that moves) holds the truth.

    pooled: whether all have one error; None: as the report has it.
    """
    rng = np.random.default_rng(0)
    found, held = [], []
    for _ in range(STUDIES):
        values = grid.draw(rng, seeds)
        by_report = effects.are_alike(values) if pooled is None else pooled
        analysed = effects.analyse_array(values, by_report)
        found.append(any(effect.significant for effect in analysed))
        one = analysed[0 if grid.moves else 1]
        held.append(abs(one.means[-1] - one.means.mean()) <= one.half_widths[-1])
    return float(np.mean(found)), float(np.mean(held))


def harmless(costs: Sequence[float], rng: np.random.Generator, seeds: int) -> tuple[int, bool]:
    """How many lambdas of one study have no significant cost, as report/text/penalty.py counts, and
    whether the interval of the last of them holds its cost."""
    true = np.array([*costs, 0.0])  # the last is none
    scores = 99.3 - true[:, None] + DEVIATION * rng.normal(size=(len(true), seeds))
    scores += DEVIATION / 2 * rng.normal(size=seeds)
    compared = contrasts.compare([dict(enumerate(row)) for row in scores])
    count, held = 0, True
    for i, cost in enumerate(costs):
        contrast = compared[i, len(costs)]
        if penalty.may_cost(contrast):
            break
        count, held = i + 1, contrast.interval.low <= -cost <= contrast.interval.high
    return count, bool(held)


def limits(costs: Sequence[float], seeds: int) -> tuple[float, float, float, float]:
    """The shares of studies in which the count is too high; too low beside one norm, and beside any
    of three; and in which the interval holds the cost."""
    rng = np.random.default_rng(0)
    drawn = [[harmless(costs, rng, seeds) for _ in range(NORMS)] for _ in range(STUDIES)]
    counts = np.array([[count for count, _ in study] for study in drawn])
    held = np.mean([one for study in drawn for _, one in study])
    true = sum(not cost for cost in costs)
    low = counts < true
    return float((counts > true).mean()), float(low.mean()), float(low.any(1).mean()), float(held)


def main() -> None:
    heads = [f"{what}, {n} seeds" for what in ("false effect", "interval holds") for n in SEEDS]
    print(f"| in % of studies (by one error) | {' | '.join(heads)} |\n|-|" + "-|" * len(heads))
    for grid in GRIDS:
        ways = [[false_effects(grid, n, pooled) for n in SEEDS] for pooled in (None, True)]
        cells = [
            f"{100 * report[which]:.0f} ({100 * one[which]:.0f})"
            for which in (0, 1)
            for report, one in zip(*ways)
        ]
        print(f"| {grid.name} | {' | '.join(cells)} |", flush=True)
    heads = ["goes unnoticed", "ends short", "so with any of 3 norms", "interval holds"]
    print(f"\n| costs, seeds | {' | '.join(heads)} |\n|-|" + "-|" * len(heads))
    for costs in COSTS:
        for n in SEEDS:
            cells = [f"{100 * share:.0f}" for share in limits(costs, n)]
            print(f"| {costs}, {n} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
