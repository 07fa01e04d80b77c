"""What each setting of a complete grid does, over all the others, and which two settings interact.

A grid is complete where its variants are all combinations of some values of two settings or more.
Then a setting's effect is seen in all its runs at once, and every effect by itself: the analysis
of variance of a factorial experiment, with seeds as blocks.

Sources: Fisher 1935 (The Design of Experiments); Montgomery 2017 (Design and Analysis of
Experiments, chapter 5); Holm 1979 for the correction; Geisser and Greenhouse 1958 (Annals of
Mathematical Statistics 29), where spreads differ.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from study.config import NORM_LABELS, Config
from study.report import contrasts, stats
from study.report.axis import Axis, varying
from study.report.stats import Interval
from study.report.study import Study
from study.report.variants import Variant
from study.values import count, text

MOST_FACTORS = 6


@dataclass(frozen=True)
class Factor:
    """A setting of a grid, and its values in words."""

    title: str
    levels: tuple[str, ...]


@dataclass(frozen=True)
class Effect:
    """What one factor does by itself, or two by being together beyond what each does.

    factors: their indices. means: of each level over all variants that have it, [levels], of two
    factors [levels, levels]. half_widths: as many, of the 95 % intervals of a level's mean less the
    mean of all variants (of two factors: less what both alone give). p: of the F test, corrected
    for all effects of the grid; NaN where the error is not known.
    """

    factors: tuple[int, ...]
    means: np.ndarray
    half_widths: np.ndarray
    p: float

    @property
    def span(self) -> float:
        """The greatest mean less the least."""
        return float(self.means.max() - self.means.min())

    @property
    def significant(self) -> bool:
        return self.p < contrasts.LEVEL


@dataclass(frozen=True)
class Effects:
    """The effects of a grid's factors, then those of two together; by the metric that ranks.

    mean: of all variants; seeds: that all variants have, and over which all means are; left_out:
    the runs of other seeds; pooled: whether the error is that of the whole grid; else, since the
    variants' spreads differ, each effect's own.
    """

    factors: list[Factor]
    effects: list[Effect]
    mean: float
    seeds: int
    left_out: int
    pooled: bool

    @property
    def over(self) -> str:
        """The seeds that the means are over, in words."""
        if not self.left_out:
            return f"{self.seeds} seeds"
        return (
            f"the {self.seeds} seeds that all variants have"
            f" ({count(self.left_out, 'run')} of other seeds left out)"
        )

    def title(self, effect: Effect) -> str:
        """The factors of an effect in words: `norm`, or `norm and dropout together`."""
        names = " and ".join(self.factors[i].title for i in effect.factors)
        return names if len(effect.factors) == 1 else f"{names} together"

    def runs(self, effect: Effect) -> int:
        """How many runs each of an effect's means is over."""
        cells = math.prod(len(factor.levels) for factor in self.factors)
        return self.seeds * cells // effect.means.size

    def interval(self, effect: Effect, level: int) -> Interval:
        """A level's mean with the interval of its difference from the mean of all variants."""
        mean, half = float(effect.means[level]), float(effect.half_widths[level])
        return Interval(mean, mean - half, mean + half, self.runs(effect))


def analyse(study: Study) -> Effects | None:
    """Analyse the grid of a study; None where it is not complete, or has fewer than two factors or
    two seeds in common, or its variants are of several kinds, or of several sweeps, which may
    differ in more than their settings."""
    if len(study.families) != 1 or len(study.sweeps) != 1:
        return None
    grid = _grid(study.variants, varying(study))
    if grid is None:
        return None
    factors, cells = grid
    scores = [variant.values(study.rank_key) for variant in cells]
    seeds = sorted(set.intersection(*(set(values) for values in scores)))
    if len(seeds) < 2:
        return None
    values = np.array([[by_seed[seed] for seed in seeds] for by_seed in scores])
    values = values.reshape(*(len(factor.levels) for factor in factors), len(seeds))
    pooled = are_alike(values)
    effects = analyse_array(values, pooled)
    left_out = sum(map(len, scores)) - values.size
    return Effects(factors, effects, float(values.mean()), len(seeds), left_out, pooled)


def analyse_array(values: np.ndarray, pooled: bool = True) -> list[Effect]:
    """Return the effects of each factor and of each two, of values [levels, ..., seeds].

    The error is the interaction of seeds with all cells, or with the effect alone where that is
    larger; on the degrees of freedom of the former, unless the latter stands out (F test at 5 %)
    and so has few of its own.

    Without `pooled`, where spreads differ, it always is the latter, and may be one level's rather
    than all levels': the F test then has the fewer degrees of freedom the more the levels differ in
    spread, and each level's interval is by its own spread.
    """
    *shape, seeds = values.shape
    cells, axes = math.prod(shape), range(len(shape))
    centred = values - values.mean(axis=tuple(axes))  # seeds are blocks
    residuals = centred - centred.mean(-1, keepdims=True)
    freedom = (cells - 1) * (seeds - 1)
    squares = (residuals**2).sum()
    error = squares / freedom
    effects = []
    for factors in [*itertools.combinations(axes, 1), *itertools.combinations(axes, 2)]:
        others = tuple(axis for axis in axes if axis not in factors)
        runs = cells * seeds // math.prod(shape[i] for i in factors)  # that a mean is over
        own_freedom = math.prod(shape[i] - 1 for i in factors)
        deviations = _deviations(centred.mean(axis=(*others, -1)))
        by_seed = _deviations(residuals.mean(axis=others), seeds=True)
        own_squares, own_degrees = (by_seed**2).sum() * runs / seeds, own_freedom * (seeds - 1)
        own = own_squares / own_degrees
        alone = not pooled or contrasts.stands_out(
            own_squares, own_degrees, squares - own_squares, freedom - own_degrees, contrasts.LEVEL
        )
        used, degrees = (own, own_degrees) if alone else (max(error, own), freedom)
        known = used > stats.ROUNDING**2
        ratio = (deviations**2).sum() * runs / own_freedom / used if known else np.nan
        like = 1.0 if pooled or not known else _sphericity(by_seed, own_freedom)
        p = float(special.fdtrc(like * own_freedom, like * degrees, ratio)) if known else np.nan
        if pooled:
            share = math.prod(1 - 1 / shape[i] for i in factors)
            variances = np.full(deviations.shape, used * share / runs)
        else:
            variances, degrees = by_seed.var(axis=-1, ddof=1) / seeds, seeds - 1
        half = stats.t_quantile(degrees) * np.sqrt(variances)
        half[variances <= stats.ROUNDING**2] = np.nan
        effects.append(Effect(factors, values.mean(axis=(*others, -1)), half, p))
    corrected = stats.holm([effect.p for effect in effects])
    return [dataclasses.replace(effect, p=float(p)) for effect, p in zip(effects, corrected)]


def are_alike(values: np.ndarray) -> bool:
    """Whether all variants, and all levels of each factor, spread alike over seeds, so that one
    error may serve for all: values [levels of the first factor, ..., seeds]."""
    rows = [dict(enumerate(row)) for row in values.reshape(-1, values.shape[-1])]
    return len(contrasts.of_like_spread(rows)) == len(rows) and _levels_alike(values)


def _levels_alike(values: np.ndarray) -> bool:
    """Whether no level of a factor has a larger variance over seeds, in all its variants together,
    than the other levels (F test at 5 %, corrected for the number of levels): a level that spreads
    three times as much makes none of its variants stand out by itself."""
    *shape, seeds = values.shape
    residuals = values - values.mean(axis=tuple(range(len(shape))))
    residuals = residuals - residuals.mean(-1, keepdims=True)
    squares, cells, axes = float((residuals**2).sum()), math.prod(shape), range(len(shape) + 1)
    for axis, levels in enumerate(shape):
        own = (residuals**2).sum(axis=tuple(other for other in axes if other != axis))
        freedom = cells // levels * (seeds - 1)
        rest = (levels - 1) * freedom
        level = contrasts.LEVEL / sum(shape)
        if any(contrasts.stands_out(x, freedom, squares - x, rest, level) for x in own):
            return False
    return True


def _sphericity(by_seed: np.ndarray, freedom: int) -> float:
    """The share of an effect's degrees of freedom that its F test may use: 1 where its levels all
    vary alike from seed to seed, 1 / freedom where all that varies is one contrast of them.

    by_seed: what levels add in each seed less its mean over seeds, [levels, ..., seeds]. It is
    Box's epsilon (1954, Annals of Mathematical Statistics 25) of their covariance.
    """
    rows = by_seed.reshape(-1, by_seed.shape[-1])
    products = rows.T @ rows  # has the eigenvalues of rows @ rows.T but for zeros
    return float(np.trace(products) ** 2 / (products**2).sum() / freedom)


def _deviations(means: np.ndarray, seeds: bool = False) -> np.ndarray:
    """Return what levels, or two levels together, add to what is below them: means [levels] or
    [levels, levels], of `seeds` with a last axis that is left alone."""
    for axis in range(means.ndim - seeds):
        means = means - means.mean(axis=axis, keepdims=True)
    return means


def _grid(
    variants: Sequence[Variant], axes: Sequence[Axis]
) -> tuple[list[Factor], list[Variant]] | None:
    """Return the factors, and the variants in the order of their levels' product; None where that
    product is not just the variants."""
    groups = _merge(variants, axes)
    if not 2 <= len(groups) <= MOST_FACTORS:
        return None
    columns = [[_level(variant.config, group) for variant in variants] for group in groups]
    levels = [_in_order(group, column, variants) for group, column in zip(groups, columns)]
    place = dict(zip(zip(*columns), variants))
    combinations = list(itertools.product(*levels))
    if len(place) != len(variants) or set(place) != set(combinations):
        return None
    factors = [Factor(_title(group), each) for group, each in zip(groups, levels)]
    return factors, [place[combination] for combination in combinations]


def _merge(variants: Sequence[Variant], axes: Sequence[Axis]) -> list[list[Axis]]:
    """Group the settings that no grid can vary by themselves: one that has an effect beside some
    values of another only, such as groups, joins it; so does one that another decides."""
    groups: list[list[Axis]] = []
    for axis in axes:
        column = [_level(variant.config, [axis]) for variant in variants]
        home = next((group for group in groups if _belongs(column, group, variants)), None)
        groups.append([axis]) if home is None else home.append(axis)
    return groups


def _belongs(column: Sequence[str], group: Sequence[Axis], variants: Sequence[Variant]) -> bool:
    """Whether a group decides a setting, or where it has an effect."""
    decided: dict[str, set[str]] = {}
    for variant, level in zip(variants, column):
        decided.setdefault(_level(variant.config, group), set()).add(level)
    partly = "" in column
    by_effect = all(len({level == "" for level in seen}) == 1 for seen in decided.values())
    return all(len(seen) == 1 for seen in decided.values()) or (partly and by_effect)


def _level(config: Config, group: Sequence[Axis]) -> str:
    """The values of a group's settings in words; empty where none has an effect."""
    words = []
    for i, axis in enumerate(group):
        if config.has_effect(axis.name):
            value = getattr(config, axis.name)
            word = NORM_LABELS[value] if axis.name == "norm" else text(value)
            words.append(f"{axis.title} {word}" if i else word)
    return ", ".join(words)


def _in_order(
    group: Sequence[Axis], column: Sequence[str], variants: Sequence[Variant]
) -> tuple[str, ...]:
    """The levels, each once, in the order of their settings' values."""

    def rank(variant: Variant) -> list[int]:
        return [axis.values.index(getattr(variant.config, axis.name))
                if variant.config.has_effect(axis.name) else -1 for axis in group]  # fmt: skip

    ordered = sorted(zip(map(rank, variants), column))
    return tuple(dict.fromkeys(level for _, level in ordered))


def _title(group: Sequence[Axis]) -> str:
    return " and ".join(axis.title for axis in group)
