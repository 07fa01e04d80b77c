"""How often the report's statistics are right, on simulated studies whose truth is known.

    python -m tests.benchmarks.statistics

prints the tables of docs/statistics.md: coverage; how often any of several equal variants differ
significantly; how many differences from a variant ahead are found. In the last two, accuracies are
in units of one variant's standard deviation over seeds; seeds shift all variants alike, by as much.
A run that fails to learn is far below.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats as scipy_stats

from study.report import contrasts, stats

SEEDS = (3, 5, 10)
FAILED = -1000.0  # of a run that learns nothing, beside a standard deviation of 1
STUDIES = {3: 2000, 7: 600, 20: 500}  # simulated, by the number of variants
INTERVALS = 4000  # simulated for the coverage of an interval

Study = np.ndarray  # [variants, seeds]; NaN where a run is missing


class Setting(NamedTuple):
    """What is simulated. ahead: of the first variant, the others are equal. spread: of the last
    variants, `wide` of them, times that of the others. failing: the share of runs that learn
    nothing. missing: runs of the last variant that are not there."""

    name: str
    variants: int = 3
    ahead: float = 0
    spread: float = 1
    failing: float = 0
    missing: int = 0
    wide: int = 1

    def draw(self, rng: np.random.Generator, seeds: int) -> Study:
        deviations = np.ones((self.variants, 1))
        deviations[-self.wide :] = self.spread
        study = deviations * rng.normal(size=(self.variants, seeds)) + rng.normal(size=seeds)
        # So far ahead at 3 seeds, and as hard to see at more.
        study[0] += self.ahead * np.sqrt(3 / seeds)
        study[rng.random(study.shape) < self.failing] = FAILED
        study[-1, : self.missing] = np.nan
        return study


SIZE = (
    Setting("3 variants, equal spread"),
    Setting("3 variants, one of 2 times the spread", spread=2),
    Setting("3 variants, one of 4 times the spread", spread=4),
    Setting("3 variants, one of 10 times the spread", spread=10),
    Setting("3 variants, one lacks a seed", missing=1),
    Setting("3 variants, one run in ten fails", failing=0.1),
    Setting("7 variants, equal spread", 7),
    Setting("7 variants, one of 4 times the spread", 7, spread=4),
    Setting("7 variants, one of 10 times the spread", 7, spread=10),
    Setting("7 variants, two of 4 times the spread", 7, spread=4, wide=2),
    Setting("7 variants, one run in ten fails", 7, failing=0.1),
    Setting("20 variants, equal spread", 20),
    Setting("20 variants, five of 3 times the spread", 20, spread=3, wide=5),
)
POWER = tuple(
    Setting(*setting)
    for setting in (
        ("3 variants, equal spread", 3, 4),
        ("3 variants, one of 10 times the spread", 3, 4, 10),
        ("3 variants, one run in ten fails", 3, 4, 1, 0.1),
        ("7 variants, equal spread", 7, 4),
        ("7 variants, one of 10 times the spread", 7, 4, 10),
        ("7 variants, one run in ten fails", 7, 4, 1, 0.1),
    )
)


def paired(study: Study) -> dict[tuple[int, int], bool]:
    """Which pairs a paired t test each finds to differ, with Holm's correction."""
    pairs = all_pairs(len(study))
    one, two = zip(*pairs)
    p = scipy_stats.ttest_rel(study[[*one]], study[[*two]], axis=1, nan_policy="omit").pvalue
    return dict(zip(pairs, stats.holm(np.ma.filled(p, np.nan)) < contrasts.LEVEL))


def tukey(study: Study) -> dict[tuple[int, int], bool]:
    """Which pairs Tukey's test finds to differ where all errors are pooled, whatever the spread."""
    scores = as_scores(study)
    deviation, freedom = contrasts.pooled_deviation(scores)
    critical = contrasts.critical_range(len(study), freedom) * deviation
    return {
        (i, j): abs(np.nanmean(difference)) > critical / np.sqrt(np.isfinite(difference).sum())
        for i, j in all_pairs(len(study))
        for difference in [study[i] - study[j]]
    }


def report(study: Study) -> dict[tuple[int, int], bool]:
    """Which pairs the report finds to differ."""
    compared = contrasts.compare(as_scores(study))
    return {pair: contrast.significant for pair, contrast in compared.items()}


WAYS: dict[str, Callable[[Study], dict[tuple[int, int], bool]]] = {
    "paired": paired,
    "pooled": tukey,
    "report": report,
}


def as_scores(study: Study) -> list[dict[int, float]]:
    return [{s: float(y) for s, y in enumerate(row) if np.isfinite(y)} for row in study]


def all_pairs(variants: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(variants) for j in range(i + 1, variants)]


def rates(
    setting: Setting, seeds: int, studies: int, ways: tuple[str, ...] = tuple(WAYS)
) -> dict[str, tuple[float, float]]:
    """Way -> the share of studies in which it finds equal variants to differ, and the share of the
    differences from the variant ahead that it finds; of a variant ahead by nothing 0."""
    rng = np.random.default_rng(0)
    drawn = [setting.draw(rng, seeds) for _ in range(studies)]
    found = {}
    for name in ways:
        answers = [WAYS[name](study) for study in drawn]
        equal = [p for p in all_pairs(setting.variants) if 0 not in p or not setting.ahead]
        true = [pair for pair in all_pairs(setting.variants) if pair not in equal]
        false_any = np.mean([any(answer[pair] for pair in equal) for answer in answers])
        hits = [answer[pair] for answer in answers for pair in true]
        found[name] = float(false_any), float(np.mean(hits)) if hits else 0.0
    return found


def failing(rng: np.random.Generator, n: int) -> np.ndarray:
    """Accuracies near 99.4 %, of which one in ten is 10 %: a mean of 90.46 %."""
    return np.where(rng.random(n) < 0.1, 10.0, steady(rng, n))


def steady(rng: np.random.Generator, n: int) -> np.ndarray:
    """Accuracies near 99.4 % as a test set of 10,000 images rounds them."""
    return np.round(rng.normal(99.4, 0.06, n), 2)


def coverage(
    interval: Callable[[np.ndarray], stats.Interval],
    draw: Callable[[np.random.Generator, int], np.ndarray],
    truth: float,
    seeds: int,
    studies: int = INTERVALS,
) -> float:
    """The share of studies whose interval holds the truth."""
    rng = np.random.default_rng(0)
    found = [interval(draw(rng, seeds)) for _ in range(studies)]
    return float(np.mean([one.low <= truth <= one.high for one in found]))


def one_more(seeds: int, studies: int = INTERVALS) -> tuple[float, float]:
    """The shares of studies in which one more run lies in the interval of the mean, and in that of
    one more run."""
    rng = np.random.default_rng(0)
    in_mean, in_prediction = [], []
    for _ in range(studies):
        *values, more = rng.normal(size=seeds + 1)
        found = stats.mean_interval(values)
        low, high = found.prediction
        in_mean.append(found.low <= more <= found.high)
        in_prediction.append(low <= more <= high)
    return float(np.mean(in_mean)), float(np.mean(in_prediction))


def middle_of_failing() -> float:
    """The interquartile mean of `failing`'s distribution, by its normal part: the lowest quarter
    is the failed tenth and the lowest 0.15 of all."""
    low, high = scipy_stats.norm.ppf([0.15 / 0.9, 0.65 / 0.9])
    density = scipy_stats.norm.pdf(low) - scipy_stats.norm.pdf(high)
    return 99.4 + 0.06 * float(density * 0.9 / 0.5)


def main() -> None:
    print("| in % of studies | " + " | ".join(f"{n} seeds" for n in SEEDS) + " |")
    print("|-|" + "-|" * len(SEEDS))
    mean = stats.mean_interval
    rows = {
        "interval of the mean": [coverage(mean, steady, 99.4, n) for n in SEEDS],
        "the same, one run in ten fails": [coverage(mean, failing, 90.46, n) for n in SEEDS],
        "one more run in the interval of the mean": [one_more(n)[0] for n in SEEDS],
        "one more run in the prediction interval": [one_more(n)[1] for n in SEEDS],
    }
    for name, shares in rows.items():
        print(f"| {name} | " + " | ".join(f"{100 * share:.1f}" for share in shares) + " |")
    for name, draw, truth in (
        ("interquartile mean", steady, 99.4),
        ("the same, one run in ten fails", failing, middle_of_failing()),
    ):
        share = coverage(stats.interquartile_mean, draw, truth, stats.ENOUGH, INTERVALS // 4)
        print(f"| {name} | | | {100 * share:.1f} |")
    for settings, which in ((SIZE, 0), (POWER, 1)):
        print(f"\n| {', '.join(WAYS)} (%) | " + " | ".join(f"{n} seeds" for n in SEEDS) + " |")
        print("|-|" + "-|" * len(SEEDS))
        for setting in settings:
            cells = [rates(setting, n, STUDIES[setting.variants]) for n in SEEDS]
            shown = [", ".join(f"{100 * c[w][which]:.0f}" for w in WAYS) for c in cells]
            print(f"| {setting.name} | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main()
