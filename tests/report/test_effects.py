import itertools

import numpy as np
import pytest
from scipy import stats as distributions

from study.config import Config
from study.report import effects, grouping
from tests.report.conftest import run
from tests.report.figures.conftest import study


def by_regression(values, factors):
    """F of an effect by comparing two least squares fits: an independent way to the same."""
    *shape, _ = values.shape
    index = np.indices(values.shape).reshape(len(shape) + 1, -1)
    y = values.ravel()

    def dummies(axes):
        keys = list(zip(*(index[axis] for axis in axes)))
        levels = sorted(set(keys))
        return np.array([[key == level for level in levels] for key in keys], float)

    def residual(design):
        fit, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
        return ((y - design @ fit) ** 2).sum(), rank

    cells = tuple(range(len(shape)))
    full = np.hstack([dummies(cells), dummies((len(shape),))])
    rest, rank = residual(full)
    below = [np.ones((len(y), 1)), dummies((len(shape),))]
    below += [dummies((axis,)) for axis in cells if (axis,) != factors]
    if len(factors) == 1:
        below = [np.ones((len(y), 1)), dummies((len(shape),))]
        below += [dummies((axis,)) for axis in cells if axis not in factors]
    without, low = residual(np.hstack(below))
    with_it, high = residual(np.hstack([*below, dummies(factors)]))
    freedom = len(y) - rank
    return (without - with_it) / (high - low) / (rest / freedom), high - low, freedom


def test_the_f_tests_are_those_of_two_regressions():
    values = np.random.default_rng(0).normal(99, 0.1, (3, 2, 2, 4))
    values[1] += 0.2
    found = effects.analyse_array(values)
    assert [effect.factors for effect in found] == [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    raw = []
    for effect in found:
        ratio, one, two = by_regression(values, effect.factors)
        raw.append(distributions.f.sf(ratio, one, two))
    # The error is the larger of the pooled and the effect's own: p is never below the regression's.
    order = np.argsort(raw)
    least = np.minimum.accumulate(np.array(raw)[order][::-1])[::-1] * np.arange(6, 0, -1)
    for i, bound in zip(order, least):
        assert found[i].p >= min(bound, 1) - 1e-12
    assert found[0].p == min(effect.p for effect in found) and found[0].significant


def test_a_pooled_error_is_the_regressions(monkeypatch):
    """Without the guard, exactly."""
    values = np.random.default_rng(3).normal(99, 0.1, (3, 2, 5))
    monkeypatch.setattr(effects, "max", lambda pooled, own: pooled, raising=False)
    monkeypatch.setattr(effects.contrasts, "stands_out", lambda *_: False)
    found = effects.analyse_array(values)
    raw = [distributions.f.sf(*by_regression(values, effect.factors)) for effect in found]
    np.testing.assert_allclose([e.p for e in found], effects.stats.holm(raw), rtol=1e-9)
    # The variance of a level less the mean of all, or of two levels less what both alone give.
    variances = np.array([2 / 3 / 10, 1 / 2 / 15, 2 / 3 * 1 / 2 / 5])
    widths = np.array([e.half_widths.flat[0] for e in found])
    np.testing.assert_allclose(widths / widths[0], np.sqrt(variances / variances[0]))


def own_error(values, factor):
    """The standard error of a factor's levels by its own interaction with seeds, and its degrees of
    freedom."""
    *shape, seeds = values.shape
    by_seed = values.mean(axis=tuple(i for i in range(len(shape)) if i != factor))
    by_seed = by_seed - by_seed.mean(0) - by_seed.mean(1, keepdims=True) + by_seed.mean()
    freedom = (shape[factor] - 1) * (seeds - 1)
    squares = (by_seed**2).sum()
    return np.sqrt(squares / freedom * (1 - 1 / shape[factor]) / seeds), freedom


def by_own_t(values, factor):
    """Half the interval of each level's distance from the mean of all, by its own t over seeds."""
    *shape, seeds = values.shape
    by_seed = values.mean(axis=tuple(i for i in range(len(shape)) if i != factor))
    away = by_seed - by_seed.mean(0)
    return distributions.t.ppf(0.975, seeds - 1) * distributions.sem(away, axis=1)


def test_no_effect_is_surer_than_by_its_own_error():
    rng = np.random.default_rng(5)
    for _ in range(20):
        values = rng.normal(size=(3, 2, 3))
        for effect in effects.analyse_array(values)[:2]:
            error, _ = own_error(values, *effect.factors)
            least = effects.stats.t_quantile((6 - 1) * 2) * error - 1e-9
            assert (effect.half_widths >= least).all()


def test_unlike_spreads_leave_each_effect_its_own_error_and_degrees_of_freedom():
    values = np.random.default_rng(5).normal(size=(3, 2, 3))
    for effect in effects.analyse_array(values, pooled=False)[:2]:
        assert effect.half_widths == pytest.approx(by_own_t(values, *effect.factors))


def one_level_spread(rng, shape, seeds, times, one_cell=False):
    """A grid in which nothing differs but the spread of the last level, or of its last variant."""
    values = rng.normal(size=(*shape, seeds))
    values[-1 if one_cell else slice(None), -1] *= times
    return values


def is_pooled(values):
    scores = [dict(enumerate(row)) for row in values.reshape(-1, values.shape[-1])]
    alike = len(effects.contrasts.of_like_spread(scores)) == len(scores)
    return alike and effects._levels_alike(values)


@pytest.mark.parametrize("times, one_cell", [(10, False), (3, False), (10, True)])
def test_a_level_that_spreads_more_is_no_effect_and_has_an_interval_of_its_own(times, one_cell):
    """As L1 of 1e-3 does. With one error for all levels 14 to 30 of 100 such grids had effects, and
    the wide level's interval held the truth in half of them."""
    rng, wrong, held, studies = np.random.default_rng(8), 0, 0, 300
    for _ in range(studies):
        values = one_level_spread(rng, (3, 8), 5, times, one_cell)
        found = effects.analyse_array(values, is_pooled(values))
        wrong += any(effect.significant for effect in found)
        away = found[1].means - found[1].means.mean()
        held += abs(away[-1]) <= found[1].half_widths[-1]
    assert wrong <= studies * 0.05 + 3 * np.sqrt(studies * 0.05 * 0.95)
    assert held >= studies * 0.92 - 3 * np.sqrt(studies * 0.92 * 0.08)


def test_the_degrees_of_freedom_are_the_fewer_the_less_the_levels_vary_alike():
    """Box's epsilon, from the eigenvalues of the covariance of the levels over seeds."""
    values = one_level_spread(np.random.default_rng(9), (4, 3), 6, 5)
    away = values.mean(axis=0) - values.mean(axis=(0, 1))
    away = away - away.mean(1, keepdims=True)
    roots = np.linalg.eigvalsh(np.cov(away))
    epsilon = roots.sum() ** 2 / (2 * (roots**2).sum())
    assert effects._sphericity(away, 2) == pytest.approx(epsilon)
    means = values.mean(axis=(0, 2))
    ratio = ((means - means.mean()) ** 2).sum() * 6 / 2 / (roots.sum() / 2)
    p = distributions.f.sf(ratio, 2 * epsilon, 10 * epsilon)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effects.stats, "holm", np.asarray)
        assert effects.analyse_array(values, pooled=False)[1].p == pytest.approx(p)


@pytest.mark.parametrize("pooled", [True, False])
def test_nothing_is_significant_where_nothing_differs(pooled):
    """In at most 5 of 100 grids any effect of six, up to the simulation's own error."""
    rng = np.random.default_rng(1)
    wrong = sum(
        any(e.significant for e in effects.analyse_array(rng.normal(size=(3, 2, 2, 3)), pooled))
        for _ in range(150)
    )
    assert wrong <= 150 * 0.05 + 3 * np.sqrt(150 * 0.05 * 0.95)


def test_an_effect_that_varies_from_seed_to_seed_has_its_own_few_degrees_of_freedom():
    """In at most 5 of 100 grids it is significant by chance, up to the simulation's own error."""
    rng, wrong = np.random.default_rng(6), 0
    for _ in range(200):
        values = rng.normal(size=(3, 4, 4)) + 10 * rng.normal(size=(3, 1, 4))
        effect = effects.analyse_array(values)[0]
        wrong += effect.significant
    assert wrong <= 200 * 0.05 + 3 * np.sqrt(200 * 0.05 * 0.95)
    alone = np.zeros((2, 2, 4)) + np.array([[0.1, -0.3, 0.2, 0.5]]) * np.array([[[1]], [[-1]]])
    for some in (values, alone):  # in the latter nothing else varies from seed to seed
        error, freedom = own_error(some, 0)
        half = effects.stats.t_quantile(freedom) * error
        assert effects.analyse_array(some)[0].half_widths == pytest.approx(half)


def test_effects_and_interactions_are_found_with_their_sizes():
    rng, found = np.random.default_rng(2), 0
    for _ in range(50):
        values = rng.normal(0, 0.1, (3, 2, 5)) + rng.normal(0, 1, 5)  # seeds differ by much
        values[2] += 0.5
        values[0, 1] += 0.4
        first, _, both = effects.analyse_array(values)
        found += first.significant and both.significant
        assert abs(first.means[2] - first.means[1] - 0.5) < 0.3
    assert found >= 45


def test_the_intervals_hold_the_truth_nineteen_times_in_twenty():
    rng, held = np.random.default_rng(4), 0
    for _ in range(300):
        values = rng.normal(size=(3, 2, 3))
        effect = effects.analyse_array(values)[0]
        held += abs(effect.means[0] - effect.means.mean()) <= effect.half_widths[0]
    assert held >= 300 * 0.95 - 3 * np.sqrt(300 * 0.95 * 0.05)  # the guard makes them wider


def grid(rng=None, **more):
    rng = rng or np.random.default_rng(0)
    configs = [
        Config(norm=norm, dropout=dropout, **extra, **more)
        for norm, extra in (("batch", {}), ("group", {"groups": 2}), ("group", {"groups": 4}))
        for dropout in (0.0, 0.1)
    ]
    return [
        run(config, 99 + 0.3 * (config.norm == "group") + 0.01 * rng.normal(), seed)
        for config, seed in itertools.product(configs, (1, 2, 3))
    ]


def test_a_grid_is_found_with_the_settings_that_belong_together():
    found = effects.analyse(study(*grid()))
    assert [(factor.title, factor.levels) for factor in found.factors] == [
        ("norm and groups", ("BN", "GN, groups 2", "GN, groups 4")),
        ("dropout", ("0", "0.1")),
    ]
    assert found.seeds == 3 and not found.left_out and found.pooled
    norm, dropout, both = found.effects
    assert norm.significant and not dropout.significant and not both.significant
    assert found.title(both) == "norm and groups and dropout together"
    assert norm.means == pytest.approx([99, 99.3, 99.3], abs=0.03)
    level = found.interval(norm, 1)
    assert level.n == 6 and level.low < 99.3 < level.high
    assert level.half_width == pytest.approx(norm.half_widths[1])


@pytest.mark.parametrize("seed", [1, 3])
def test_all_means_are_over_the_seeds_that_all_variants_have(seed):
    runs = grid()
    lost = next(r for r in runs if r.config.seed == seed)
    found = effects.analyse(study(*(r for r in runs if r is not lost)))
    common = effects.analyse(study(*(r for r in runs if r.config.seed != seed)))
    assert (found.seeds, found.left_out, found.mean) == (2, 5, common.mean)
    for one, two in zip(found.effects, common.effects):
        assert (one.means == two.means).all() and (one.half_widths == two.half_widths).all()


def test_what_is_no_complete_grid_has_no_effects():
    assert effects.analyse(study(*grid()[:-3])) is None, "a cell is missing"
    assert effects.analyse(study(*grid()[:6])) is None, "one factor"
    assert effects.analyse(study(*(r for r in grid() if r.config.seed == 1))) is None
    longer = grid() + grid(epochs=3)
    assert effects.analyse(study(*longer)) is None, "of two lengths"
    by_dropout = {f"{x}": [r for r in grid() if r.config.dropout == x] for x in (0, 0.1)}
    assert effects.analyse(grouping.gather(by_dropout)) is None, "of two sweeps, or their code"


def test_a_variant_of_larger_spread_has_each_effect_by_its_own_error():
    runs = grid()
    config = runs[0].config.without_seed()
    wild = [run(config, last, seed) for seed, last in ((1, 98.0), (2, 99.5), (3, 97.0))]
    found = effects.analyse(study(*wild, *runs[3:]))
    assert not found.pooled and not any(effect.significant for effect in found.effects)


def test_without_any_error_nothing_is_known():
    values = np.zeros((2, 2, 3)) + np.arange(2)[:, None, None]
    assert all(np.isnan(effect.p) for effect in effects.analyse_array(values))
